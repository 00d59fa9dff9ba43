"""`--bos`: what stands before the prompts reaches tasks, prompts, the key, the command and the page."""

import json
from pathlib import Path

import pytest

import interp as package
from interp import tasks
from interp.report import store

TINY = ("--model", "tiny-gpt2")


@pytest.fixture
def asks(place, write_study):
    write_study("asks", "assert task.n", 'task="ioi", gated=False')


def _stored(name="asks", task="ioi"):
    return store.load(Path("reports/tiny-gpt2") / task / name)


def test_the_choice_reaches_the_prompts_the_command_and_the_page(asks, interp):
    for bos, begins, says in (
        ("auto", True, "BOS: `<|endoftext|>`, put before every prompt (auto: it stands between"),
        ("no", False, "BOS: none before a prompt (no: as asked for)."),
        ("yes", True, "BOS: `<|endoftext|>`, put before every prompt (yes: as asked for)."),
    ):
        code, out = interp("run", "asks", *TINY, "--n", "4", "--bos", bos)[:2]
        assert code == 0
        assert "runs: " in out
        found = _stored()
        assert (f"--bos {bos}" in found.command) == (bos != "auto")
        (sentence,) = [
            it.text for it in found.report.inputs if getattr(it, "text", "").startswith("BOS")
        ]
        assert sentence.startswith(says)
        first = {row.split()[0] for row in found.report.files["prompts"]["clean_tokens"]}
        assert (first == {"0"}) == begins
    key = json.loads(Path("reports/tiny-gpt2/ioi/asks/key.json").read_text())
    assert key["parts"]["bos"] == "yes"
    assert "skipped" in interp("run", "asks", *TINY, "--n", "4", "--bos", "yes")[1]
    assert "bos changed (yes → auto)" in interp("run", "asks", *TINY, "--n", "4")[1]


def test_a_refusal_of_the_gate_names_the_bos_and_the_way_to_another(place, write_study, interp):
    write_study("gated", "raise AssertionError('called')", 'task="ioi"')
    assert interp("run", "gated", *TINY, "--task", "ioi")[0] == 0
    usual = _stored("gated").report.answer
    assert "<|endoftext|> stands before the prompts" in usual
    assert "--bos auto|yes|no" in usual
    interp("run", "gated", *TINY, "--task", "ioi", "--bos", "no")
    assert "no BOS stands before the prompts" in _stored("gated").report.answer
    assert len(usual) < 600


def test_a_choice_that_does_not_exist_is_refused(asks, interp):
    assert interp("run", "asks", *TINY, "--bos", "maybe")[0] == 2


def test_prompts_of_a_model_begin_as_it_was_loaded():
    with_bos, without = (package.load("tiny-gpt2", bos=bos) for bos in ("yes", "no"))
    assert tasks.prompt_tokens(with_bos, "Mary left")[0, 0] == 0
    assert 0 not in tasks.prompt_tokens(without, "Mary left")
    assert with_bos.run("Mary left").tokens[0, 0] == 0
    assert 0 not in without.run("Mary left").tokens
    assert tasks.prompt_tokens(with_bos, "<|endoftext|>Mary left").tolist() == (
        tasks.prompt_tokens(with_bos, "Mary left").tolist()
    )
    with pytest.raises(package.errors.UsageError, match="bos must be auto, yes or no, got 'some'"):
        package.load("tiny-gpt2", bos="some")
