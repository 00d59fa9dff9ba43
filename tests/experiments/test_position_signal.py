"""Token and position signal: the table against plain runs with a head's z put in by hand."""

from pathlib import Path

import pytest
import torch

import interp
from interp import sites, tasks
from interp.errors import NotApplicable
from interp.study import registry

ROOT = Path(__file__).parent.parent.parent
CORRUPTIONS = {"position": "swap", "token": "flip_swap", "both": "flip"}


@pytest.fixture(scope="module")
def study():
    return registry.read(ROOT / "experiments" / "position_signal.py").load()


@pytest.fixture(scope="module")
def made(study):
    model = interp.load("tiny-llama", dtype=torch.float64)
    task = tasks.build("ioi", model.tokenizer, n=8)
    return model, task, study(model, task)


def table(report, name):
    return next(each for each in report.tables if each.name == name).frame


def effect_by_hand(model, prompt, tokens, layer, head):
    """The prompt's run with the head's z at the last position from the run of these tokens."""
    source = model.run(torch.tensor([tokens]), keep=[sites.z(layer)]).cache[sites.z(layer)]

    def put(activation, **_):
        activation = activation.clone()
        activation[:, -1, head] = source[:, -1, head]
        return activation

    clean = torch.tensor([prompt.clean_tokens])
    name = str(sites.z(layer))
    patched = model.run_with_hooks(clean, fwd_hooks=[(name, lambda z, hook: put(z))])
    logits = (patched - model.run(clean).logits)[0, -1]
    return float(logits[prompt.answer_token] - logits[prompt.wrong_token])


@pytest.mark.parametrize("signal", CORRUPTIONS)
def test_an_effect_is_that_of_a_run_with_z_put_in_by_hand(made, signal):
    model, task, report = made
    frame = table(report, "heads").set_index(["layer", "head", "signal"])
    for layer, head in ((0, 1), (1, 0)):
        by_hand = [
            effect_by_hand(model, prompt, prompt.others[CORRUPTIONS[signal]][1], layer, head)
            for prompt in task.kept
        ]
        found = frame.effect[layer, head, signal]
        assert found == pytest.approx(sum(by_hand) / len(by_hand), abs=1e-10)


def test_every_prompt_with_its_token_turned_round_is_another_clean_prompt(made):
    # Both assignments of every couple are there, so the logit differences are the same, turned round.
    whole = table(made[2], "prompts_whole").set_index("turned round").logit_difference
    assert whole["token"] == pytest.approx(-whole["clean"], abs=1e-9)
    assert whole["both"] == pytest.approx(-whole["position"], abs=1e-9)


def test_checks_hold_and_every_form_of_a_prompt_is_shown(made):
    report = made[2]
    assert all(check.passed for check in report.checks)
    assert [getattr(each, "title", "") for each in report.inputs[1:]] == [
        *("Clean", "Position turned round", "Token turned round", "Both turned round"),
    ]


def test_a_task_without_two_names_has_no_such_signals(study):
    model = interp.load("tiny-gpt2")
    with pytest.raises(NotApplicable, match="no other corruption"):
        study(model, tasks.build("induction", model.tokenizer, n=4))
