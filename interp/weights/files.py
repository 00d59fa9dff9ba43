"""Weight files, opened so that their tensors are views of the file and not copies of it."""

import json
import os
import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from interp import ordinary
from interp.errors import UnavailableError, UsageError, brief, named, reason
from interp.ordinary import ordinary_file

SAFE, SAFE_INDEX = "model.safetensors", "model.safetensors.index.json"
PICKLED, PICKLED_INDEX = "pytorch_model.bin", "pytorch_model.bin.index.json"
# Configs take some kilobytes, indices of the largest models a few megabytes in some hundred parts.
_MOST_JSON, _MOST_INDEX, _MOST_PARTS = 4 * ordinary.MB, 64 * ordinary.MB, 10_000
_PART = re.compile(r"(?!\.)[^/\\\x00-\x1f]{1,200}\.(safetensors|bin|pt|pth)")


def read_json(path: Path, most: int = _MOST_JSON) -> dict[str, Any]:
    """The object that an ordinary JSON file of at most so many bytes holds.

    Raises  UnavailableError if it is missing, or is no such file.
    """
    if not os.path.lexists(path):
        raise UnavailableError(f"{named(path)} is missing")
    try:
        data = json.loads(ordinary.text(path, most))
    except UsageError as error:
        raise UnavailableError(str(error)) from None
    except RecursionError:
        raise UnavailableError(f"{named(path)} is nested too deeply to be read as JSON") from None
    except ValueError as error:
        raise UnavailableError(
            f"{named(path)} cannot be read as JSON: {reason(error)}; write or fetch it again"
        ) from None
    if not isinstance(data, dict):
        raise UnavailableError(f"{named(path)} must hold a JSON object, got {brief(data)}")
    return data


def weight_files(folder: Path) -> list[Path]:
    """The files of a Hugging Face folder that hold its weights; safetensors before pickles.

    Raises  UnavailableError if there are none, or if a part that the index names is missing.
    """
    for whole, index in ((SAFE, SAFE_INDEX), (PICKLED, PICKLED_INDEX)):
        if os.path.lexists(folder / whole):
            return [ordinary_file(folder / whole)]
        if os.path.lexists(folder / index):
            return [
                ordinary_file(folder / part, f", though {index} names it")
                for part in parts(folder / index)
            ]
    raise UnavailableError(
        f"{named(folder)} holds no weights: expected {SAFE}, {SAFE_INDEX}, {PICKLED} or "
        f"{PICKLED_INDEX}"
    )


def parts(index: Path) -> list[str]:
    """The names of the files over which an index says the weights are spread.

    Raises  UnavailableError if the index is damaged, or names a file outside its folder.
    """
    weight_map = read_json(index, _MOST_INDEX).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise UnavailableError(f"{named(index)} has no weight_map that names the parts")
    names = set()
    for name in weight_map.values():
        # An index comes with the weights and is no more to be trusted than they are.
        if not isinstance(name, str) or not _PART.fullmatch(name):
            raise UnavailableError(
                f"{named(index)} names a part outside its folder, or none that is a file of weights: "
                f"{brief(name)}"
            )
        names.add(name)
    if len(names) > _MOST_PARTS:
        raise UnavailableError(
            f"{named(index)} names {len(names):,} parts, at most {_MOST_PARTS:,} are read"
        )
    return sorted(names)


def open_tensors(paths: list[Path]) -> dict[str, Tensor]:
    """Every tensor of these files by name: views of the mapped files, read when first used.

    Raises  UnavailableError for a file that is truncated, is no weight file, or would have to run
            code to be read, and for a name that two files hold.
    """
    found: dict[str, Tensor] = {}
    for path in paths:
        opened = _open_safe(path) if path.suffix == ".safetensors" else _open_pickled(path)
        if twice := sorted(found.keys() & opened.keys()):
            raise UnavailableError(
                f"{named(path)} holds {brief(twice[0])}, which another part holds already"
            )
        found.update(opened)
    return found


def _open_safe(path: Path) -> dict[str, Tensor]:
    from safetensors import safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except Exception as error:  # a damaged header can raise anything
        raise UnavailableError(
            f"{named(path)} is truncated or no safetensors file that can be read ({reason(error)}); "
            "fetch or write it again"
        ) from None


def _open_pickled(path: Path) -> dict[str, Tensor]:
    try:
        # Files older than the zip format cannot be mapped.
        zipped = zipfile.is_zipfile(path)
        if zipped:
            with zipfile.ZipFile(path) as file:
                packed = any(entry.compress_type for entry in file.infolist())
            # What is compressed may become any size in memory, and PyTorch compresses nothing.
            if packed:
                raise UnavailableError(
                    f"{named(path)} is compressed; save it with torch.save, or as safetensors"
                )
        with warnings.catch_warnings():
            # Torch warns of a strange file before it refuses it.
            warnings.simplefilter("ignore")
            state = torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except UnavailableError:
        raise
    except pickle.UnpicklingError:
        raise UnavailableError(
            f"{named(path)} is refused: it is no plain file of tensors, and unpickling it could run "
            "code; save it as safetensors"
        ) from None
    except Exception as error:  # a damaged pickle can raise anything
        raise UnavailableError(
            f"{named(path)} is truncated or no PyTorch file ({reason(error)})"
        ) from None
    if not isinstance(state, Mapping) or not all(isinstance(it, Tensor) for it in state.values()):
        raise UnavailableError(
            f"{named(path)} must hold a state dict: tensors by name, and nothing else"
        )
    return {str(name): tensor.detach() for name, tensor in state.items()}
