"""`interp train` and `interp export` as they are typed, and what they say to what cannot be meant."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from interp.classifiers import loading as classifiers
from interp.classifiers.pairs import Pair
from interp.training.loop import Step

ROOT = Path(__file__).parent.parent.parent
SMALL = ["--layers", 1, "--heads", 2, "--width", 16, "--context", 16, "--vocabulary", 280]
SHORT = ["--steps", 4, "--batch", 2, "--warmup", 1]


@pytest.fixture
def fables(place):
    rows = [f"the fox number {row} saw {row * 7} grapes and said sour" for row in range(400)]
    (place / "fables.txt").write_text("\n".join(rows))
    return "fables.txt"


def test_a_model_is_trained_loaded_and_exported(interp, fables, place):
    code, said, _ = interp("train", "models/mine", "--text", fables, *SMALL, *SHORT)
    assert code == 0
    assert "held out" in said
    assert "interp run all --model models/mine" in said
    code, said, _ = interp("export", "models/mine", "theirs")
    assert (code, said) == (0, "written: theirs, as gpt2\n")
    assert (place / "theirs" / "interp.json").exists()
    import interp as package

    tokens = torch.tensor([[0, 5, 270, 9]])
    theirs = AutoModelForCausalLM.from_pretrained("theirs").eval()
    with torch.no_grad():
        expected = theirs(tokens).logits
    assert (package.load("models/mine").run(tokens).logits - expected).abs().max() < 1e-5
    code, _, complaint = interp("export", "models/mine", "theirs")
    assert code == 2
    assert "is there already" in complaint


def test_the_corpus_without_data_trains_a_model_that_is_asked_what_it_has_tokens_for(
    interp, place, write_study
):
    words = ["--repeats", "--preset", "attn-only", "--layers", 2, "--heads", 2, "--width", 16]
    assert interp("train", "mine", *words, "--context", 32, *SHORT)[0] == 0
    code, said, _ = interp("run", "works", "--model", "mine")
    assert code == 0, said
    write_study("asks", "assert task.name == 'induction'", 'task="ioi", gated=False')
    code, said, _ = interp("run", "asks", "--model", "mine", "--n", 4)
    assert code == 0, said
    assert "ioi needs at least 5 names" in said
    (stored,) = Path("reports/mine/induction/asks").glob("result.json")
    assert "--task induction --n 4" in stored.read_text()
    code, _, complaint = interp("export", "mine", "theirs")
    assert code == 2
    assert "attention without MLPs" in complaint
    assert not (place / "theirs").exists()


@pytest.mark.parametrize(
    ("content", "options", "sentence"),
    [
        (b"", [], "holds no text"),
        (b"abc", [], "only 259 different"),
        (bytes(range(256)), [], "byte 0 is zero"),
        (b"the fox and the grapes " * 99, ["--vocabulary", 5000], "a vocabulary of 5000"),
        (
            b"the fox and the grapes " * 99,
            ["--vocabulary", 260, "--context", 9999],
            "context of 9999",
        ),
        (b"the fox and the grapes " * 99, ["--heads", 3], "multiple of heads"),
        (b"the fox and the grapes " * 99, ["--rate", 0], "--rate must be from"),
        (b"the fox and the grapes " * 99, ["--device", "cuda:99"], "cannot be used here"),
        (None, [], "there is no text"),
    ],
    ids=lambda value: str(value)[:12],
)
def test_what_cannot_be_learnt_from_is_one_sentence_and_leaves_nothing(
    interp, place, content, options, sentence
):
    if content is not None:
        (place / "text.txt").write_bytes(content)
    words = ["--text", "text.txt", *SMALL, *SHORT, *options]
    code, _, complaint = interp("train", "models/mine", *words)
    assert code == 2
    assert sentence in complaint
    assert len(complaint.splitlines()) == 1
    assert not (place / "models" / "mine").exists()


def test_a_model_is_trained_further_and_what_is_frozen_stays(interp, fables, place):
    import interp as package

    words = ["--text", fables, "--context", 16, "--freeze", "embed", "--freeze", "blocks.0"]
    code, said, _ = interp("finetune", "tiny-gpt2", "tuned", *words, "--rate", 0.01, *SHORT)
    assert code == 0
    held_out = [float(line.split()[-2]) for line in said.splitlines() if line.strip()[:1] == "4"]
    first = next(float(line.split()[-1]) for line in said.splitlines() if line.split()[0] == "0")
    assert held_out[0] < first
    before, after = package.load("tiny-gpt2"), package.load("tuned")
    changed = {
        name
        for (name, one), other in zip(before.named_parameters(), after.parameters(), strict=True)
        if not torch.equal(one, other)
    }
    assert changed
    assert not [name for name in changed if name.startswith(("embed.", "blocks.0."))]
    assert after.origin.notes[0] == "Fine-tuned from tiny-gpt2."
    for options, sentence in ((["--freeze", "blok"], "blok"), (["--context", 999], "at most 160")):
        code, _, complaint = interp("finetune", "tiny-gpt2", "more", "--text", fables, *options)
        assert (code, sentence in complaint) == (2, True)
    assert not (place / "more").exists()


def test_a_model_learns_to_tell_pairs_apart_and_is_looked_into(interp, place):
    rows = ["premise,hypothesis,label"]
    rows += [f"a fox {n},a fox {n + n % 2},{'no' if n % 2 else 'yes'}" for n in range(40)]
    (place / "pairs.csv").write_text("\n".join(rows))
    code, said, _ = interp("finetune", "tiny-gpt2", "clf", "--labels", "pairs.csv", *SHORT)
    assert code == 0
    assert "of 4 held-out lines" in said
    assert "interp run pair_scoring --classifier clf" in said
    loaded = classifiers.load("clf")
    reading = loaded.read(Pair("a fox 1", "a fox 2"))
    assert reading.strings[0] == "<|endoftext|>"
    assert reading.sentence.index(1) > reading.sentence.index(0)
    assert loaded.decide(reading.inputs).isfinite().all()
    assert loaded.labels == ("no", "yes")
    assert interp("export", "clf", "theirs")[0] == 0
    assert '"GPT2ForSequenceClassification"' in (place / "theirs" / "config.json").read_text()
    for options in (["--text", "pairs.csv", "--labels", "pairs.csv"], []):
        code, _, complaint = interp("finetune", "tiny-gpt2", "more", *options)
        assert (code, "--text PATH or --labels FILE" in complaint) == (2, True)
    code, _, complaint = interp("finetune", "tiny-neox", "more", "--labels", "pairs.csv")
    assert (code, "no model of this shape" in complaint) == (2, True)
    assert not (place / "more").exists()


def test_text_or_repeats_has_to_be_said(interp, fables):
    assert interp("train", "mine")[0] == 2
    assert interp("train", "mine", "--text", fables, "--repeats")[0] == 2


def test_a_folder_that_holds_something_else_is_left_alone(interp, fables, place):
    (place / "other").mkdir()
    (place / "other" / "model.safetensors").write_text("precious")
    for folder in ("other", fables):
        code, _, complaint = interp("train", folder, "--text", fables, *SMALL)
        assert code == 2, complaint
    assert (place / "other" / "model.safetensors").read_text() == "precious"


def test_a_folder_may_not_be_called_as_a_model_that_would_be_loaded_instead(interp, fables, place):
    code, _, complaint = interp("train", "books-gpt2", "--text", fables, *SMALL)
    assert code == 2
    assert "models/books-gpt2" in complaint
    assert not (place / "books-gpt2").exists()


@pytest.mark.slow
def test_a_disk_without_room_is_one_sentence_and_the_same_command_goes_on(fables, place):
    words = [*SMALL, *SHORT, "--width", 256]
    command = [sys.executable, "-m", "interp", "train", "mine", "--text", fables, *map(str, words)]

    def little():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, resource.RLIM_INFINITY))

    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    failed = subprocess.run(
        command, capture_output=True, text=True, preexec_fn=little, env=environment
    )
    assert failed.returncode == 1, failed.stderr
    *progress, complaint = failed.stderr.splitlines()
    assert complaint.startswith("error: mine")
    assert "make room" in complaint
    assert all(line.startswith("train: ") for line in progress)
    assert not list(place.glob("mine/**/*.safetensors"))


def test_progress_tells_loss_and_speed():
    from interp.cli.commands.train import show
    from interp.study.progress import Watch
    from interp.training.loop import Recipe

    watch = Watch("train")
    show(iter([Step(3, 2.5, 1e-3, 1.0, 500, 0.5)]), Recipe(steps=9), watch)
    assert "loss 2.500, 1,000 tokens/s, step 3 of 9" in str(watch)
