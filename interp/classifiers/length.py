"""How many tokens someone else's classifier reads."""

from collections.abc import Iterator
from typing import Any

from interp.errors import UnavailableError, brief

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
