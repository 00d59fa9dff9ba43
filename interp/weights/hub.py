"""Hugging Face's hub and its cache on this machine: a model's id, and out comes a folder."""

import shlex
from collections.abc import Iterable
from pathlib import Path

from interp.errors import UnavailableError, brief, named, nearest, reason
from interp.weights.files import PICKLED, PICKLED_INDEX, SAFE, SAFE_INDEX, parts
from interp.weights.zoo import SHORT_NAMES

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
