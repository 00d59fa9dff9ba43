"""A training that lives in a folder: it begins, is interrupted, goes on, and ends as a model.

The folder holds `training/` (what is going on: data, state, checkpoints) and, once training has
ended, the model itself, loadable by the folder's name.
"""

import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from interp import files
from interp.errors import UnavailableError, UsageError, brief, named
from interp.ordinary import MB
from interp.training.data import Data
from interp.training.loop import Recipe, Step, mean_loss, optimizer, train
from interp.training.state import AGAIN, Standing, restore, save, stands
from interp.transformer import Transformer
from interp.weights import exporting, stored
from interp.weights.files import read_json
from interp.weights.zoo import SHORT_NAMES


def write_model(folder: Path, model: Transformer, tokenizer: Any, notes: Sequence[str]) -> None:
    """The model in this folder, loadable by its path. What says that a model is there is written
    last, so that there is never half a one."""
    with files.inside(folder, last=stored.DESCRIPTION) as fresh:
        tokenizer.save_pretrained(fresh)
        exporting.write(fresh, model, notes)


RECIPE, STATE, CHECKPOINTS = "recipe.json", "state.safetensors", "checkpoints"
_RESULTS = "results.json"
# Parts of the recipe's file beside what was asked for.
_NOTES, _SCHEDULE = "notes", "schedule"
_VALIDATION_TOKENS, _FINAL_TOKENS = 8192, 1 << 17
_SCORED = 20


@dataclass(frozen=True, slots=True)
class Scored:
    """One row of the loss curve."""

    step: int
    tokens: int
    loss: float | None
    held_out: float
    rate: float
    tokens_per_second: float | None


def place(folder: Path) -> Path:
    """Where a training in this folder keeps what it needs to go on."""
    return folder / "training"


def check(folder: Path) -> None:
    """Passes if a training can live in this folder, which need not be there yet.

    Raises  UsageError for a file, for a folder that holds something else, and for the short name of
            a model.
    """
    if str(folder) in SHORT_NAMES:
        raise UsageError(
            f"{folder} is the short name of a model, which would be loaded instead; name another "
            f"folder, such as models/{folder}"
        )
    files.check(folder, "the model's folder")
    if folder.is_dir() and any(folder.iterdir()) and not place(folder).is_dir():
        raise UsageError(f"{folder} holds something else; name a folder that is not there yet")


def snapshots(steps: int) -> list[int]:
    """The steps after which the weights are kept: none, 1, 2, 4, 8… and the last."""
    return sorted({0, steps, *(1 << power for power in range(steps.bit_length()))})


def agree(folder: Path, recipe: Recipe, what: dict[str, Any]) -> tuple[str, ...]:
    """Notes down what is being trained, or checks that it is what was begun in this folder; the
    number of steps alone may change, and a note says so.

    Raises  UsageError where the folder holds another training.
    """
    path = place(folder) / RECIPE
    wanted = json.loads(json.dumps({"recipe": recipe.to_dict(), **what}))
    notes: list[str] = []
    if os.path.lexists(path):
        begun = _begun(path)
        # A training that was killed before it noted this down knows it from here.
        notes += begun.pop(_NOTES, {}).get(_SCHEDULE, [])
        for name in sorted(begun.keys() | wanted.keys()):
            old, new = begun.get(name) or {}, wanted.get(name) or {}
            for key in sorted(old.keys() | new.keys()):
                if old.get(key) != new.get(key) and key != "steps":
                    raise UsageError(
                        f"{named(folder)} holds a training with {named(key, 40)} "
                        f"{brief(old.get(key))}, and {brief(new.get(key))} was asked for; name "
                        "another folder, or remove this one to begin anew"
                    )
        before = begun["recipe"]["steps"]
        if before != recipe.steps:
            notes.append(
                f"The schedule was changed from {before} to {recipe.steps} steps on the way."
            )
    # What is refused changes nothing.
    _refuse_fewer(folder, stands(place(folder) / STATE), recipe)
    if notes:
        wanted[_NOTES] = {_SCHEDULE: notes}
    with files.writing(folder, AGAIN):
        files.write_text(path, json.dumps(wanted, indent=1) + "\n")
    return tuple(notes)


def _refuse_fewer(folder: Path, standing: Standing, recipe: Recipe) -> None:
    if standing.step > recipe.steps:
        raise UsageError(
            f"{folder} has done {standing.step} steps already, more than {recipe.steps}"
        )


def _begun(path: Path) -> dict[str, dict[str, Any]]:
    """What this file says was begun: parts, each with its settings."""
    anew = "name another folder, or remove this one to begin anew"
    try:
        begun = read_json(path)
    except UnavailableError as error:
        raise UsageError(f"{error}; {anew}") from None
    for name, part in begun.items():
        if not isinstance(part, dict):
            raise UsageError(
                f"{named(path)}: {named(name, 40)} must be an object of settings, "
                f"got {brief(part)}; {anew}"
            )
    noted = begun.get(_NOTES, {}).get(_SCHEDULE, [])
    if not isinstance(noted, list) or not all(isinstance(note, str) for note in noted):
        raise UsageError(
            f"{named(path)}: {_NOTES} must have a list of texts, got {brief(noted)}; {anew}"
        )
    steps = begun.get("recipe", {}).get("steps")
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise UsageError(
            f"{named(path)}: recipe must have a number of steps, got {brief(steps)}; {anew}"
        )
    return begun


def resume(
    folder: Path,
    model: Transformer,
    data: Data,
    recipe: Recipe,
    notes: tuple[str, ...] = (),
    save_seconds: float = 60.0,
) -> Iterator[Step | Scored]:
    """Trains the model from where the folder stands to the end of the recipe, and yields every step
    and every row of the loss curve. It ends with the model in the folder.

    The state is written every `save_seconds` and whenever weights are kept, so that a kill costs no
    more than that.
    """
    state = place(folder) / STATE
    adam = optimizer(model, recipe)
    standing = restore(state, model, adam)
    _refuse_fewer(folder, standing, recipe)
    standing.notes += [note for note in notes if note not in standing.notes]
    n_ctx = data.source.n_ctx
    held_out = data.source.validation(max(1, _VALIDATION_TOKENS // n_ctx))
    kept, every = snapshots(recipe.steps), max(1, recipe.steps // _SCORED)

    def score(step: Step | None) -> Scored:
        value = mean_loss(model, held_out, data.objective)
        row = Scored(
            standing.step,
            round(standing.step * recipe.batch * data.source.tokens_a_row),
            None if step is None else step.loss,
            value,
            recipe.rate_at(standing.step),
            None if step is None else step.tokens / step.seconds,
        )
        standing.log.append({name: getattr(row, name) for name in Scored.__slots__})
        return row

    saved = time.monotonic()
    if standing.step == 0 and not standing.log:
        yield score(None)
        _keep(folder, model, data, standing)
        save(state, model, adam, standing)
    for step in train(model, data.source.batch, recipe, adam, standing.step, data.objective):
        standing.step = step.number
        yield step
        if step.number in kept or step.number % every == 0:
            yield score(step)
        if step.number in kept:
            _keep(folder, model, data, standing)
        if step.number in kept or time.monotonic() - saved >= save_seconds:
            save(state, model, adam, standing)
            saved = time.monotonic()
    windows = data.source.validation(max(1, _FINAL_TOKENS // n_ctx))
    yield _finish(folder, model, data, recipe, standing, windows)


def results(folder: Path) -> dict[str, Any]:
    """What the training in this folder came to: its held-out loss and its loss curve."""
    return read_json(place(folder) / _RESULTS, most=64 * MB)


def _keep(folder: Path, model: Transformer, data: Data, standing: Standing) -> None:
    where = place(folder) / CHECKPOINTS / f"step-{standing.step:07}"
    with files.writing(where, AGAIN):
        write_model(where, model, data.tokenizer, [f"Checkpoint after {standing.step} steps."])


def _finish(
    folder: Path,
    model: Transformer,
    data: Data,
    recipe: Recipe,
    standing: Standing,
    held_out: Tensor,
) -> Scored:
    n_tokens = round(recipe.steps * recipe.batch * data.source.tokens_a_row)
    final = mean_loss(model, held_out, data.objective)
    results = {
        "held_out_loss": final,
        **data.objective.results(model, held_out.to(model.device), final),
        "steps": recipe.steps,
        "tokens": n_tokens,
        "log": standing.log,
    }
    with files.writing(folder, AGAIN):
        files.write_text(place(folder) / _RESULTS, json.dumps(results, indent=1) + "\n")
        write_model(folder, model, data.tokenizer, standing.notes)
    return Scored(recipe.steps, n_tokens, None, final, recipe.rate_at(recipe.steps), None)
