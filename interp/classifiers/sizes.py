"""The sizes in someone else's config: whether the weights can have them, and how many tokens it reads."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from interp.errors import UnavailableError, brief, named
from interp.transformer import bounds

# Rotary models read up to ten million tokens; tables of positions are made in memory.
_MOST_POSITIONS = 1 << 24
_POSITIONS = ("position", "n_ctx", "max_seq_len")


def check(name: str, written: Mapping[str, Any], files: Sequence[Path]) -> None:
    """Passes if no size in the config is beyond what its weight files can hold.

    A weight takes a byte or more, and no layer, head, width or vocabulary is without weights.

    Raises  UnavailableError for one that is, and for more layers than any model has.
    """
    total = sum(file.stat().st_size for file in files)
    for setting, value in _integers(written):
        most = total
        if any(part in setting for part in _POSITIONS):
            most = _MOST_POSITIONS
        elif "layer" in setting:
            most = min(total, bounds.MOST_LAYERS)
        elif not _is_size(setting):
            continue
        if value > most:
            raise UnavailableError(
                f"config.json of {named(name)} says {named(setting, 60)} = {brief(value)}, more than its "
                f"weights can have ({total:,} bytes)"
            )


def _is_size(setting: str) -> bool:
    parts = ("size", "dim", "hidden", "head", "expert", "d_model", "n_embd", "d_ff", "d_inner")
    return any(part in setting for part in (*parts, "n_inner", "num_labels", "num_buckets", "rank"))


def _integers(written: Any, depth: int = 0) -> Iterator[tuple[str, int]]:
    """The integers of a config and of those inside it, by name."""
    for setting, value in written.items() if isinstance(written, dict) and depth < 4 else ():
        values = value if isinstance(value, list) else [value]
        for each in values[:1000]:
            if isinstance(each, int) and not isinstance(each, bool):
                yield str(setting), each
            elif isinstance(each, float) and each > 1e9:
                yield str(setting), int(min(each, 1e18))
            yield from _integers(each, depth + 1)


# Tokenizers that know no limit say so with a number that no text reaches.
NO_LIMIT = 1_000_000
# What configs call their number of positions; encoder–decoders may have one for each.
_NAMED = (
    "max_position_embeddings",
    "max_encoder_position_embeddings",
    "max_decoder_position_embeddings",
)


def limit(model: Any, tokenizer: Any) -> int:
    """The most tokens that tokenizer and model read; NO_LIMIT where positions are relative.

    The config's number of positions counts, and that of the rows that its position embeddings have
    for text: those of RoBERTa's kind begin behind the row of the padding.
    """
    return min((NO_LIMIT, _said(tokenizer), *_written(model), *_rows(model)))


def _said(tokenizer: Any) -> int:
    """What the tokenizer says; NO_LIMIT for the huge number by which it says none.

    Raises  UnavailableError for what is no number of tokens.
    """
    said = tokenizer.model_max_length
    if isinstance(said, bool) or not isinstance(said, int | float) or not said >= 1:
        raise UnavailableError(
            f"the tokenizer says that it reads {brief(said)} tokens at most; model_max_length in its "
            "tokenizer_config.json must be a number of at least 1"
        )
    return int(min(said, NO_LIMIT))


def _written(model: Any) -> Iterator[int]:
    if getattr(model.config, "position_biased_input", True) is False:
        return
    for name in _NAMED:
        number = getattr(model.config, name, None)
        # XLNet says −1 where it means none.
        if isinstance(number, int) and number > 0:
            yield number


def _rows(model: Any) -> Iterator[int]:
    for module in model.modules():
        table = getattr(module, "position_embeddings", None)
        weight = getattr(table, "weight", None)
        if weight is not None and weight.ndim == 2:
            padding = getattr(table, "padding_idx", None)
            yield len(weight) - (0 if padding is None else padding + 1)
