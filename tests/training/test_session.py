"""A training in its folder: what it leaves, and that it goes on exactly where it was killed."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import torch

import interp
from interp.errors import InterpError, UnavailableError, UsageError
from interp.training import session, state
from interp.training.loop import Step, optimizer, train
from interp.training.presets import fresh
from interp.training.session import Scored, snapshots

ROOT = Path(__file__).parent.parent.parent


def weights(folder):
    return (folder / "model.safetensors").read_bytes()


def test_training_lowers_the_loss_on_text_that_it_did_not_read(trained):
    _, events = trained
    rows = [event for event in events if isinstance(event, Scored)]
    assert rows[0].step == 0
    assert rows[-1].step == 24
    assert rows[-1].held_out < rows[0].held_out - 0.5
    steps = [event for event in events if isinstance(event, Step)]
    assert [step.number for step in steps] == list(range(1, 25))
    assert all(step.tokens == 4 * 24 and step.gradient > 0 for step in steps)


def test_what_comes_out_is_loaded_by_its_path_and_has_its_tokenizer(trained):
    folder, events = trained
    model = interp.load(str(folder))
    assert "".join(model.to_str_tokens("the fox saw")) == "the fox saw"
    assert json.loads((folder / "training" / "results.json").read_text())["steps"] == 24
    assert session.results(folder)["held_out_loss"] == events[-1].held_out
    assert session.results(folder)["held_out_bits_per_byte"] > 0


def test_checkpoints_are_models_at_steps_that_double(trained):
    folder, _ = trained
    found = sorted((folder / "training" / "checkpoints").iterdir())
    steps = [int(it.name.removeprefix("step-")) for it in found]
    assert steps == snapshots(24) == [0, 1, 2, 4, 8, 16, 24]
    last, first = interp.load(str(found[-1])), interp.load(str(found[0]))
    assert torch.equal(last.embed.W_E, interp.load(str(folder)).embed.W_E)
    assert not torch.equal(last.embed.W_E, first.embed.W_E)


@pytest.mark.parametrize("save_seconds", [1e9, 0.0])
def test_a_training_that_breaks_off_anywhere_ends_with_the_same_weights(
    training, trained, save_seconds
):
    for taken in (1, 5, 9, 14):
        made = training()
        # What was not written to the folder is lost, as in a kill.
        list(islice(made.events(save_seconds), taken))
    *_, last = training().events(save_seconds)
    assert weights(training().folder) == weights(trained[0])
    assert last.held_out == trained[1][-1].held_out
    log = session.results(training().folder)["log"]
    assert [row["held_out"] for row in log] == [
        event.held_out for event in trained[1][:-1] if isinstance(event, Scored)
    ]


def test_a_state_that_cannot_be_written_leaves_the_one_before(training, trained, monkeypatch):
    made = training()
    list(islice(made.events(), 5))
    file = session.place(made.folder) / session.STATE
    before = file.read_bytes()

    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr("safetensors.torch.save_file", full)
        with pytest.raises(InterpError, match="No space left"):
            list(training().events())
    assert file.read_bytes() == before
    list(training().events())
    assert weights(made.folder) == weights(trained[0])


def test_a_finished_training_is_not_done_again(training, trained):
    folder, _ = trained
    made = training()
    made.folder = folder
    assert not [event for event in made.events() if isinstance(event, Step)]


def test_another_training_in_the_same_folder_is_refused(training):
    made = training()
    list(islice(made.events(), 3))
    with pytest.raises(UsageError, match=r"rate 0\.003, and 0\.01"):
        training(recipe=replace(made.recipe, rate=0.01)).events()
    with pytest.raises(UsageError, match="n_layers 2, and 1"):
        training(layers=1).events()


def test_a_shorter_schedule_may_be_asked_for_on_the_way_and_the_model_says_so(training):
    made = training()
    list(islice(made.events(0.0), 9))
    shorter = training(recipe=replace(made.recipe, steps=12))
    *_, last = shorter.events()
    assert last.step == 12
    assert "from 24 to 12 steps" in interp.load(str(made.folder)).origin.notes[0]


def test_fewer_steps_than_are_done_are_refused_and_nothing_is_changed(training):
    made = training()
    list(islice(made.events(0.0), 9))
    recipe = session.place(made.folder) / session.RECIPE
    before = recipe.read_bytes()
    with pytest.raises(UsageError, match="has done . steps already, more than 2"):
        training(recipe=replace(made.recipe, steps=2)).events()
    assert recipe.read_bytes() == before


def test_a_damaged_state_is_named(training):
    made = training()
    list(islice(made.events(), 3))
    file = session.place(made.folder) / session.STATE
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(UnavailableError, match="cannot be gone on from"):
        list(training().events())


def test_a_loss_that_is_no_number_ends_with_a_sentence(training):
    made = training()
    events = made.events(0.0)
    next(events)
    model = events.gi_frame.f_locals["model"]
    with torch.no_grad():
        model.embed.W_E.fill_(float("nan"))
    with pytest.raises(InterpError, match="smaller --rate"):
        list(events)


def test_moments_of_the_optimizer_come_back(training, tmp_path):
    made = training()
    model, other = fresh(made.config, 0), fresh(made.config, 5)
    adam, restored = optimizer(model, made.recipe), optimizer(other, made.recipe)
    list(islice(train(model, made.data.source.batch, made.recipe, adam), 3))
    state.save(tmp_path / "state", model, adam, state.Standing(3, [{"loss": 1.5}], ["A note."]))
    standing = state.restore(tmp_path / "state", other, restored)
    assert standing == state.Standing(3, [{"loss": 1.5}], ["A note."])
    for ours, theirs in zip(other.parameters(), model.parameters(), strict=True):
        assert torch.equal(ours, theirs)
        for name, moment in adam.state[theirs].items():
            assert torch.equal(restored.state[ours][name], moment), name


@pytest.mark.slow
def test_a_killed_command_ends_with_the_same_weights(text, tmp_path):
    options = ["--layers", 2, "--heads", 2, "--width", 16, "--context", 24, "--vocabulary", 290]
    options += ["--steps", 1200, "--batch", 4]

    def start(name):
        words = ["train", name, "--text", text, *options]
        command = [sys.executable, "-m", "interp", *map(str, words)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, env=environment)

    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    assert start("whole").wait() == 0
    steps = tmp_path / "killed" / "training" / "checkpoints"
    generator, kills = torch.Generator().manual_seed(0), 0
    while kills < 4:
        process = start("killed")
        seen = len(list(steps.glob("*")))
        while process.poll() is None and len(list(steps.glob("*"))) == seen:
            time.sleep(0.01)
        time.sleep(float(torch.rand(1, generator=generator)) * 0.2)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        if process.wait() == 0:
            break
        kills += 1
    assert start("killed").wait() == 0
    assert kills >= 3
    assert weights(tmp_path / "killed") == weights(tmp_path / "whole")


RECIPES = [
    b"", b"{", b"[]", b"null", b"3", b"\xff\xfe", b"[" * 100_000, b'{"recipe": ' * 50_000, b"{}",
    b'{"recipe": null}', b'{"recipe": {}}', b'{"recipe": {"steps": "24"}}', b'{"recipe": {"steps": -1}}',
    b'{"recipe": {"steps": true}}', b'{"recipe": [24]}', b'{"recipe": {"steps": 24}, "shape": 3}',
    b'{"recipe": {"steps": 24, "rate": "\\u001b[2J"}}', b'{"recipe": {"steps": 24}, "\\u001b[2J": "x"}',
    b'{"recipe": {"steps": 24, "x": "' + b"y" * 9000 + b'"}}',
    b'{"recipe": {"steps": 24}, "notes": {"schedule": [3]}}', b'{"recipe": {"steps": 24}, "notes": []}',
]  # fmt: skip


@pytest.mark.parametrize("written", RECIPES, ids=[repr(each[:30]) for each in RECIPES])
def test_a_recipe_of_another_kind_is_refused_in_a_sentence(written, training):
    made = training()
    path = session.place(made.folder) / session.RECIPE
    session.agree(made.folder, made.recipe, {"shape": {"a": 1}})
    assert session.agree(made.folder, made.recipe, {"shape": {"a": 1}}) == ()
    path.write_bytes(written)
    with pytest.raises(UsageError, match="or remove this one to begin anew") as refused:
        session.agree(made.folder, made.recipe, {"shape": {"a": 1}})
    assert len(str(refused.value)) < 600
    assert str(refused.value).isprintable()
    assert path.read_bytes() == written


def test_a_changed_schedule_is_noted_although_the_training_is_killed_right_after(training):
    made = training()
    session.agree(made.folder, made.recipe, {})
    notes = session.agree(made.folder, replace(made.recipe, steps=30), {})
    assert notes == ("The schedule was changed from 24 to 30 steps on the way.",)
    assert session.agree(made.folder, replace(made.recipe, steps=30), {}) == notes
    assert len(session.agree(made.folder, replace(made.recipe, steps=40), {})) == 2


def test_a_recipe_that_is_no_file_is_not_waited_for(training):
    made = training()
    path = session.place(made.folder) / session.RECIPE
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(path)
    with pytest.raises(UsageError, match="it is a pipe"):
        session.agree(made.folder, made.recipe, {})


@pytest.mark.parametrize(
    "standing",
    ["", "{", "[]", "{}x", '{"step": "3"}', '{"step": -1}', '{"step": 3, "log": 5}', '{"x": 1}',
     '{"step": 3, "log": [5]}', '{"step": 3, "notes": [5]}', "[" * 100_000],
)  # fmt: skip
def test_a_state_that_says_nothing_sensible_is_refused_in_a_sentence(standing, training):
    from safetensors.torch import load_file, save_file

    made = training()
    list(islice(made.events(0.0), 5))
    path = session.place(made.folder) / session.STATE
    save_file(load_file(path), path, metadata={"standing": standing})
    with pytest.raises(
        UnavailableError, match="cannot be gone on from: .* to begin anew"
    ) as refused:
        list(training().events())
    assert len(str(refused.value)) < 600


def test_a_state_of_other_shapes_is_refused(training):
    from safetensors.torch import load_file, save_file

    made = training()
    list(islice(made.events(0.0), 5))
    path = session.place(made.folder) / session.STATE
    tensors = load_file(path)
    name = next(name for name in tensors if name.startswith("model.") and tensors[name].ndim > 1)
    tensors[name] = tensors[name][:1].clone()
    save_file(tensors, path, metadata={"standing": '{"step": 3}'})
    with pytest.raises(UnavailableError, match=r"must have shape \[.* got \[1,"):
        list(training().events())


def test_the_steps_kept_are_as_few_for_any_number_of_steps():
    assert len(snapshots(10**9)) == 32
    assert snapshots(1) == [0, 1]
