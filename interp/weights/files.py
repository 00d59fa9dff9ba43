"""Weight files, opened so that their tensors are views of the file and not copies of it."""

from __future__ import annotations

import json
import pickle
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from interp.errors import UnavailableError

SAFE, SAFE_INDEX = "model.safetensors", "model.safetensors.index.json"
PICKLED, PICKLED_INDEX = "pytorch_model.bin", "pytorch_model.bin.index.json"


def read_json(path: Path) -> dict[str, Any]:
    """The object that a JSON file holds.

    Raises  UnavailableError if it is missing, or is no JSON object.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UnavailableError(f"{path} is missing") from None
    except (OSError, ValueError) as error:
        raise UnavailableError(f"{path} cannot be read as JSON: {error}") from None
    if not isinstance(data, dict):
        raise UnavailableError(f"{path} must hold a JSON object, got {type(data).__name__}")
    return data


def weight_files(folder: Path) -> list[Path]:
    """The files of a Hugging Face folder that hold its weights; safetensors before pickles.

    Raises  UnavailableError if there are none, or if a part that the index names is missing.
    """
    for whole, index in ((SAFE, SAFE_INDEX), (PICKLED, PICKLED_INDEX)):
        if (folder / whole).is_file():
            return [folder / whole]
        if (folder / index).is_file():
            return _all_there([folder / part for part in parts(folder / index)], index)
    raise UnavailableError(
        f"{folder} holds no weights: expected {SAFE}, {SAFE_INDEX}, {PICKLED} or {PICKLED_INDEX}"
    )


def parts(index: Path) -> list[str]:
    """The names of the files over which an index says the weights are spread.

    Raises  UnavailableError if the index is damaged, or names a file outside its folder.
    """
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise UnavailableError(f"{index} has no weight_map that names the parts")
    names = sorted({str(name) for name in weight_map.values()})
    # An index comes with the weights and is no more to be trusted than they are.
    if outside := [name for name in names if Path(name).name != name]:
        raise UnavailableError(f"{index} names a part outside its folder: {outside[0]!r}")
    return names


def _all_there(paths: list[Path], index: str) -> list[Path]:
    if missing := [path for path in paths if not path.is_file()]:
        raise UnavailableError(f"{missing[0]} is missing, though {index} names it")
    return paths


def open_tensors(paths: list[Path]) -> dict[str, Tensor]:
    """Every tensor of these files by name: views of the mapped files, read when first used.

    Raises  UnavailableError for a file that is truncated, is no weight file, or would have to run
            code to be read, and for a name that two files hold.
    """
    found: dict[str, Tensor] = {}
    for path in paths:
        opened = _open_safe(path) if path.suffix == ".safetensors" else _open_pickled(path)
        if twice := sorted(found.keys() & opened.keys()):
            raise UnavailableError(f"{path} holds {twice[0]!r}, which another part holds already")
        found.update(opened)
    return found


def _open_safe(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, RuntimeError) as error:
        raise UnavailableError(
            f"{path} is truncated or no safetensors file ({error}); fetch or write it again"
        ) from None


def _open_pickled(path: Path) -> dict[str, Tensor]:
    # Files older than the zip format cannot be mapped.
    options: dict[str, Any] = {"weights_only": True, "mmap": zipfile.is_zipfile(path)}
    try:
        with warnings.catch_warnings():
            # Torch warns of a strange file before it refuses it.
            warnings.simplefilter("ignore")
            state = torch.load(path, map_location="cpu", **options)
    except pickle.UnpicklingError:
        raise UnavailableError(
            f"{path} is refused: it is no plain file of tensors, and unpickling it could run code; "
            "save it as safetensors"
        ) from None
    except Exception as error:  # a damaged pickle can raise anything
        raise UnavailableError(
            f"{path} is truncated or no PyTorch file ({_first_line(error)})"
        ) from None
    if not isinstance(state, Mapping) or not all(isinstance(it, Tensor) for it in state.values()):
        raise UnavailableError(f"{path} must hold a state dict: tensors by name, and nothing else")
    return {str(name): tensor.detach() for name, tensor in state.items()}


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
