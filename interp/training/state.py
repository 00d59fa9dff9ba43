"""Where training stands: weights and optimizer in one file that is replaced whole."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from interp import files
from interp.errors import UnavailableError, brief, named, reason
from interp.ordinary import ordinary_file
from interp.transformer import Transformer

_MOMENTS = ("exp_avg", "exp_avg_sq")
# What to do where a training could not write something.
AGAIN = "make room and repeat the command: it goes on from the last state that was written"


@dataclass
class Standing:
    """So many steps are done; `log` is a row for each evaluation, `notes` what a reader must know."""

    step: int = 0
    log: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def check(self) -> None:
        """Passes if all of it is of its kind, as what comes from a file need not be.

        Raises  ValueError.
        """
        rows = isinstance(self.log, list) and all(isinstance(row, dict) for row in self.log)
        texts = isinstance(self.notes, list) and all(isinstance(it, str) for it in self.notes)
        whole = isinstance(self.step, int) and not isinstance(self.step, bool) and self.step >= 0
        if not (rows and texts and whole):
            raise ValueError("what it says of the steps that were done makes no sense")


def save(
    path: Path, model: Transformer, optimizer: torch.optim.Optimizer, standing: Standing
) -> None:
    """Writes the file so that a reader finds the old state or the new one.

    Raises  InterpError if it cannot be written; the old one is still there.
    """
    from safetensors.torch import save_file

    tensors: dict[str, Tensor] = {}
    for name, parameter in model.named_parameters():
        tensors[f"model.{name}"] = parameter.detach().contiguous()
        for moment, value in optimizer.state.get(parameter, {}).items():
            if moment in _MOMENTS:
                tensors[f"{moment}.{name}"] = value.contiguous()
    text = json.dumps({"step": standing.step, "log": standing.log, "notes": standing.notes})
    with files.writing(path, AGAIN), files.file(path) as fresh:
        save_file(tensors, fresh, metadata={"standing": text})


def stands(path: Path) -> Standing:
    """Where the training of this file stands, without its numbers; without a file nothing was done yet.

    Raises  UnavailableError for a file that is damaged.
    """
    from safetensors import safe_open

    if not os.path.lexists(path):
        return Standing()
    with _readable(path), safe_open(ordinary_file(path), framework="pt") as file:
        return _standing(file)


def restore(path: Path, model: Transformer, optimizer: torch.optim.Optimizer) -> Standing:
    """Puts the state into model and optimizer; without a file nothing was done yet.

    Raises  UnavailableError for a file that is damaged or of another shape.
    """
    from safetensors import safe_open

    if not os.path.lexists(path):
        return Standing()
    with _readable(path), safe_open(ordinary_file(path), framework="pt") as file:
        standing = _standing(file)
        names = set(file.keys())
        for name, parameter in model.named_parameters():
            parameter.data.copy_(_like(parameter, file.get_tensor(f"model.{name}"), name))
            if f"{_MOMENTS[0]}.{name}" in names:
                optimizer.state[parameter] = {
                    # Where the fused optimizer keeps it: with the weights.
                    "step": torch.tensor(float(standing.step), device=parameter.device),
                    **{
                        moment: torch.empty_like(parameter).copy_(
                            _like(parameter, file.get_tensor(f"{moment}.{name}"), name)
                        )
                        for moment in _MOMENTS
                    },
                }
    return standing


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # a damaged file can raise anything
        raise UnavailableError(
            f"{named(path)} cannot be gone on from: {reason(error)}; remove its folder to begin anew"
        ) from None


def _standing(file: Any) -> Standing:
    standing = Standing(**json.loads(file.metadata()["standing"]))
    standing.check()
    return standing


def _like(parameter: Tensor, stored: Tensor, name: str) -> Tensor:
    if stored.shape != parameter.shape:
        raise ValueError(
            f"{name} must have shape {list(parameter.shape)}, got {brief(list(stored.shape))}"
        )
    return stored
