"""A name, and out comes the model: a short name, a folder, or an id on Hugging Face's hub."""

import os
import re
import shlex
from collections.abc import Iterable
from pathlib import Path

import torch

from interp.errors import UnavailableError, UsageError, brief, named, nearest, reason
from interp.tokenizers import Choice
from interp.tokenizers.bos import checked
from interp.transformer import Transformer
from interp.weights import huggingface, smollm2, stored, tiny, transformerlens
from interp.weights.files import PICKLED, PICKLED_INDEX, SAFE, SAFE_INDEX, parts
from interp.weights.reader import Checkpoint
from interp.weights.zoo import BOOKS, SHORT_NAMES, SMOLLM2

_SMALL = ["config.json", SAFE_INDEX, PICKLED_INDEX, "tokenizer*", "vocab*", "merges.txt"]
_SMALL += ["special_tokens_map.json", "added_tokens.json", "chat_template.jinja", "*.model"]


def folder_of(name: str, revision: str | None, known: Iterable[str] = SHORT_NAMES) -> Path:
    """The folder in the cache that holds this model, fetched if it is not there; its name is the
    commit. HF_HOME and HF_HUB_OFFLINE are honoured; `known` are the short names that an error lists.

    Raises  UnavailableError for an id that does not exist or cannot be had.
    """
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    def fetch(patterns: list[str]) -> Path:
        return Path(snapshot_download(name, revision=revision, allow_patterns=patterns))

    revised = ["--revision", named(revision)] if revision else []
    command = shlex.join(["hf", "download", name, *revised])
    try:
        folder = fetch(_SMALL)
        if not (wanted := _indexed(folder)):
            folder = fetch([SAFE])
            wanted = [] if (folder / SAFE).is_file() else [PICKLED]
        if any(not (folder / file).is_file() for file in wanted):
            folder = fetch(wanted)
        if any(not (folder / file).is_file() for file in wanted):
            raise UnavailableError(
                f"{named(folder)} is incomplete: {_some(wanted)} cannot be had; "
                f"fetch the model with `{command}`"
            )
        return folder
    except (LocalEntryNotFoundError, OfflineModeIsEnabled):
        mode = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else "the hub is out of reach"
        raise UnavailableError(
            f"{brief(name)} is no short name or folder, and not in the Hugging Face cache "
            f"{named(constants.HF_HUB_CACHE)}, and {mode}; fetch it with `{command}`, "
            f"or use a short name ({nearest(name, known)})"
        ) from None
    except GatedRepoError:
        raise UnavailableError(
            f"the hub gives {brief(name)} only to those who asked for it: accept its terms on the hub "
            "and log in with `hf auth login`"
        ) from None
    except RevisionNotFoundError:
        raise UnavailableError(
            f"the hub's {brief(name)} has no revision {brief(revision)}"
        ) from None
    except (RepositoryNotFoundError, HFValidationError):
        raise unknown(name, known) from None
    except (HfHubHTTPError, OSError, ValueError) as error:
        raise UnavailableError(
            f"{brief(name)} cannot be fetched from the hub: {reason(error)}"
        ) from None


def unknown(name: str, known: Iterable[str] = SHORT_NAMES) -> UnavailableError:
    """The error for a name that means nothing."""
    return UnavailableError(
        f"no model is called {brief(name)}: it is no short name ({nearest(name, known)}), "
        "no folder, and no id on the Hugging Face hub"
    )


def _some(files: list[str]) -> str:
    more = f" and {len(files) - 3} more" if len(files) > 3 else ""
    return ", ".join(named(file, 60) for file in files[:3]) + more


def _indexed(folder: Path) -> list[str]:
    """The parts that an index names; none without an index."""
    for index in (SAFE_INDEX, PICKLED_INDEX):
        if (folder / index).is_file():
            return parts(folder / index)
    return []


# Models that ship with this package.
_PACKAGED = Path(__file__).parent / "data"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_DTYPES = {str(it)[6:]: it for it in (torch.float64, torch.float32, torch.bfloat16, torch.float16)}
_SAID = "float64, float32, bfloat16 or float16"
_LOOKS_LIKE_PATH = re.compile(r"[./~\\]|.*[/\\].*[/\\]|[A-Za-z]:")


def load(
    name: str | Path,
    dtype: torch.dtype | str = torch.float32,
    device: str | torch.device = "cpu",
    revision: str | None = None,
    bos: Choice = "auto",
) -> Transformer:
    """The model of this name: a short name (see `interp models`), a folder, or a Hugging Face id.

    A folder holds a Hugging Face model or a checkpoint of TransformerLens's old HookedTransformer.
    `bos` says whether a BOS stands before its prompts: as in training, `yes` or `no`.
    The weights are the file's own memory where dtype and device allow it.

    Raises  UnavailableError for a model that cannot be had or that would not be computed as it was
            meant; UsageError for a dtype or device that does not exist here, or another bos.
    """
    return find(str(name), revision).build(dtype_of(dtype), device_of(device), checked(bos))


def find(name: str, revision: str | None = None) -> Checkpoint:
    """The checkpoint of this name, its weights not yet read.

    Raises  UnavailableError as `load` does; UsageError for a revision of what has none.
    """
    if name in SHORT_NAMES:
        _no_revision(name, revision)
        if name == BOOKS:
            return stored.checkpoint(_PACKAGED / name, name)
        return tiny.checkpoint(name) if name != SMOLLM2 else smollm2.checkpoint(name)
    path = _path(name)
    if path and path.is_dir():
        _no_revision(name, revision)
        return in_folder(path, name)
    if path and path.exists():
        raise UnavailableError(
            f"{named(path)} is a file; give the folder that holds weights and config"
        )
    if not _HUB_ID.fullmatch(name):
        raise UnavailableError(
            f"there is no folder {brief(name, 120)}; short names: {', '.join(SHORT_NAMES)}"
            if _LOOKS_LIKE_PATH.match(name)
            else str(unknown(name))
        )
    folder = folder_of(name, revision)
    return in_folder(folder, name, revision=folder.name)


def in_folder(folder: Path, name: str, revision: str | None = None) -> Checkpoint:
    """The checkpoint in a folder, of whichever kind it is."""
    if os.path.lexists(folder / stored.DESCRIPTION):
        return stored.checkpoint(folder, name)
    if (theirs := transformerlens.config_file(folder)) is not None:
        return transformerlens.checkpoint(folder, name, theirs)
    if os.path.lexists(folder / "config.json"):
        return huggingface.checkpoint(folder, name, revision)
    raise UnavailableError(
        f"{named(folder)} holds no model: expected the config.json of a Hugging Face model, or a state "
        "dict of TransformerLens's HookedTransformer with its config as JSON"
    )


def _path(name: str) -> Path | None:
    """Where a name leads if it is that of a file or a folder which can be there at all."""
    try:
        path = Path(name).expanduser()
        return path if name and path.exists() else None
    except (OSError, ValueError, RuntimeError):  # too long, no name of a file, of no user's home
        return None


def _no_revision(name: str, revision: str | None) -> None:
    if revision is not None:
        raise UsageError(
            f"revision {brief(revision)} was given, but {brief(name)} is no Hugging Face id and has "
            "none"
        )


def dtype_of(dtype: torch.dtype | str) -> torch.dtype:
    """The dtype of this name.

    Raises  UsageError if a model cannot be computed in it.
    """
    found = _DTYPES.get(str(dtype).removeprefix("torch."))
    if found is None:
        raise UsageError(f"dtype must be {_SAID}, got {brief(str(dtype))}")
    return found


def device_of(device: str | torch.device) -> torch.device:
    """The device of this name.

    Raises  UsageError if there is none, and for one that holds no values.
    """
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except Exception as error:  # every kind of device fails in its own way
        raise UsageError(
            f"device {brief(str(device))} cannot be used here: {reason(error)}"
        ) from None
    if found.type == "meta":
        raise UsageError("device 'meta' holds no numbers; choose cpu, cuda or mps")
    return found
