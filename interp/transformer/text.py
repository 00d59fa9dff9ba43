"""Prompts into batches of token ids, and back into words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import index
from typing import TYPE_CHECKING, Any, Union

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from interp import tokenizers
from interp.errors import UsageError

if TYPE_CHECKING:
    from interp.transformer.model import Transformer

    Prompts = Union[str, Sequence[str], Sequence[int], Sequence[Sequence[int]], Tensor]
else:
    # What a caller gives is looked at by hand, so that what is none of these is told in a sentence.
    Prompts = Any

_EMPTY = "expected at least one token in every prompt, got an empty prompt"


def to_tokens(
    model: Transformer, prompts: Prompts, prepend_bos: bool | None = None
) -> Int[Tensor, "batch pos"]:
    """Token ids as the model's own tokenizer gives them; after the BOS if `prepend_bos`, and without
    one if that is False. A BOS is never put before a text that begins with it.

    Raises  UsageError for prompts of unequal length, which `run` pads when it is given the text; for
            what is no text; for a tokenizer that has no BOS to put.
    """
    given = _plain(prompts)
    if not _are_texts(given):
        raise UsageError(f"expected a text or a list of texts, got {given!r:.60}")
    tokens, real = _tokenized(model, given, prepend_bos)
    if not bool(real.all()):
        raise UsageError(
            "prompts differ in length; give the text itself to run(), which pads and masks"
        )
    return tokens.to(model.device)


def to_str_tokens(model: Transformer, prompt: Prompts, prepend_bos: bool | None = None) -> Any:
    """The text of every token of a prompt, a list of strings; of a list of prompts, a list for each.

    Put together they are the prompt's text, but for bytes that are no character by themselves, which
    are `<0xE2>`. Special tokens are their names.

    Raises  UsageError for what is no prompt, and for ids outside the vocabulary.
    """
    given = _plain(prompt)
    if isinstance(given, str):
        (ids,) = _encoded(model, [given], prepend_bos)
        return tokenizers.token_texts(model.tokenizer, ids, given)
    if isinstance(given, Tensor):
        rows = [_texts(model, row) for row in _given(given, None)[0].tolist()]
        return rows[0] if len(rows) == 1 else rows
    if not _are_texts(given) and not any(map(_is_prompt, given)):
        return _texts(model, _ids(model, given))
    return [to_str_tokens(model, each, prepend_bos) for each in given]


def to_single_token(model: Transformer, text: str) -> int:
    """The one token of this text, as it follows other text: `" Mary"`, the space included.

    Raises  UsageError for a text that is not one token of this model.
    """
    return tokenizers.single_token(model.tokenizer, text)


def to_single_str_token(model: Transformer, token: int) -> str:
    """The text of one token, wherever it stands; the inverse of `to_single_token`.

    Raises  UsageError for an id outside the vocabulary.
    """
    return _texts(model, _ids(model, [token]), together=False)[0]


def to_batch(
    model: Transformer, prompts: Prompts, attention_mask: Tensor | None = None
) -> tuple[Int[Tensor, "batch pos"], Bool[Tensor, "batch pos"]]:
    """Token ids and which of them are real, on the model's device.

    Text of unequal length is padded on the right. Token ids may be padded on either side, if
    `attention_mask` says where.

    Raises  UsageError for an empty prompt, an id outside the vocabulary, a prompt longer than the
            context, and a mask with holes or of another shape than the tokens.
    """
    given = _plain(prompts)
    if isinstance(given, Tensor):
        tokens, real = _given(given, attention_mask)
    elif attention_mask is not None:
        raise UsageError(
            "an attention_mask goes with token ids [batch pos]; text is masked by itself"
        )
    elif _are_texts(given):
        tokens, real = _tokenized(model, given, None)
    else:
        rows = given if any(map(_is_prompt, given)) or not len(given) else [given]
        tokens, real = _padded([_ids(model, row) for row in rows], fill=0)
    _check(model, tokens, real)
    # A token that only pads need not have a row in the model, and nothing reads what stands there.
    tokens = tokens.where(real | ((tokens >= 0) & (tokens < model.config.d_vocab)), 0)
    return tokens.to(model.device), real.to(model.device)


def _plain(prompts: Any) -> Any:
    """A text, a tensor or a sequence; arrays of other libraries as lists.

    Raises  UsageError for anything else.
    """
    if isinstance(prompts, Mapping) or hasattr(prompts, "input_ids"):
        raise UsageError(
            "expected text or token ids, got a mapping; give its input_ids, and its attention_mask "
            "as attention_mask"
        )
    if isinstance(prompts, (str, Tensor)):
        return prompts
    if not isinstance(prompts, Sequence) and hasattr(prompts, "tolist"):
        prompts = prompts.tolist()
    if not _is_prompt(prompts):
        raise UsageError(
            "expected a text, a list of texts, or integer token ids [batch pos], got "
            f"{type(prompts).__name__} {prompts!r:.60}"
        )
    return prompts


def _is_prompt(each: Any) -> bool:
    """Whether this could be a prompt or several, and no single token."""
    if isinstance(each, Tensor):
        return each.ndim > 0
    if isinstance(each, (bytes, bytearray)):
        return False
    return isinstance(each, Sequence) or bool(hasattr(each, "tolist") and getattr(each, "ndim", 0))


def _are_texts(prompts: Any) -> bool:
    """Whether they are texts.

    Raises  UsageError for a list of texts and other things.
    """
    if isinstance(prompts, (str, Tensor)):
        return isinstance(prompts, str)
    n_texts = sum(isinstance(each, str) for each in prompts)
    if 0 < n_texts < len(prompts):
        other = next(each for each in prompts if not isinstance(each, str))
        raise UsageError(f"expected texts alone in a list of texts, got {other!r:.60}")
    return n_texts > 0


def _encoded(model: Transformer, texts: Sequence[str], prepend_bos: bool | None) -> list[list[int]]:
    bos = model.bos
    if prepend_bos is not None:
        bos = tokenizers.bos_of(model.tokenizer, "yes" if prepend_bos else "no")
    try:
        rows = [tokenizers.encode(model.tokenizer, text, bos) for text in texts]
    except (TypeError, UnicodeError) as error:
        raise UsageError(f"the tokenizer of {model.name} cannot read the text: {error}") from None
    if not rows or not all(rows):
        raise UsageError(_EMPTY)
    return rows


def _tokenized(
    model: Transformer, prompts: str | Sequence[str], prepend_bos: bool | None
) -> tuple[Tensor, Tensor]:
    texts = [prompts] if isinstance(prompts, str) else prompts
    rows = _encoded(model, texts, prepend_bos)
    return _padded(rows, fill=model.tokenizer.pad_token_id or 0)


def _padded(rows: Sequence[Sequence[int]], fill: int) -> tuple[Tensor, Tensor]:
    if not rows or not all(rows):
        raise UsageError(_EMPTY)
    longest = max(map(len, rows))
    tokens = torch.tensor([[*row, *[fill] * (longest - len(row))] for row in rows])
    lengths = torch.tensor([len(row) for row in rows])
    return tokens, torch.arange(longest)[None, :] < lengths[:, None]


def _ids(model: Transformer, row: Any) -> list[int]:
    """One prompt's token ids."""
    try:
        if any(isinstance(each, (bool, str)) for each in row):
            raise TypeError
        found = [index(each) for each in row]
    except TypeError:
        raise UsageError(
            "expected text, or a list of integer token ids for each prompt, got "
            f"{type(row).__name__} {row!r:.60}"
        ) from None
    for token in found:
        # A number that no tensor holds.
        if not -(1 << 63) <= token < 1 << 63:
            raise _outside(model, token)
    return found


def _texts(model: Transformer, ids: Sequence[int], together: bool = True) -> list[str]:
    """The texts of a prompt's tokens, or of each by itself."""
    if not ids:
        raise UsageError(_EMPTY)
    rows = max(model.config.d_vocab, model.config.d_vocab_out)
    for token in ids:
        if not 0 <= token < rows:
            raise _outside(model, token, rows)
    if together:
        return tokenizers.token_texts(model.tokenizer, ids)
    return [tokenizers.token_text(model.tokenizer, token) for token in ids]


def _outside(model: Transformer, token: int, rows: int | None = None) -> UsageError:
    name = str(token) if abs(token) < 1 << 63 else "beyond 64 bits"
    last = (rows or model.config.d_vocab) - 1
    return UsageError(f"token id {name} is outside the vocabulary 0…{last} of {model.name}")


def _given(tokens: Tensor, attention_mask: Tensor | None) -> tuple[Tensor, Tensor]:
    if tokens.ndim == 1:
        tokens = tokens[None]
        attention_mask = None if attention_mask is None else attention_mask.reshape(1, -1)
    whole = not (tokens.is_floating_point() or tokens.is_complex() or tokens.dtype == torch.bool)
    if tokens.ndim != 2 or not whole:
        raise UsageError(
            f"expected integer token ids [batch pos], got {tokens.dtype} of shape {list(tokens.shape)}"
        )
    # A copy: what a run says it has read does not change with the caller's tensor.
    tokens = tokens.to(torch.int64, copy=True)
    if attention_mask is None:
        return tokens, torch.ones_like(tokens, dtype=torch.bool)
    if attention_mask.shape != tokens.shape:
        raise UsageError(
            f"attention_mask must have the tokens' shape {list(tokens.shape)}, "
            f"got {list(attention_mask.shape)}"
        )
    if not bool(((attention_mask == 0) | (attention_mask == 1)).all()):
        raise UsageError("attention_mask must be 1 on tokens and 0 on padding, got other values")
    return tokens, attention_mask.bool()


def _check(model: Transformer, tokens: Tensor, real: Tensor) -> None:
    config = model.config
    if tokens.numel() == 0 or not bool(real.any(-1).all()):
        raise UsageError(_EMPTY)
    starts = (real[:, 1:] & ~real[:, :-1]).sum(-1) + real[:, 0]
    if bool((starts > 1).any()):
        raise UsageError(
            "attention_mask must mark one unbroken run of tokens per prompt, got one with holes"
        )
    longest = int(real.sum(-1).max())
    if longest > config.n_ctx:
        raise UsageError(
            f"the prompt has {longest} tokens, {model.name} reads at most {config.n_ctx}"
        )
    low, high = int(tokens[real].min()), int(tokens[real].max())
    if low < 0 or high >= config.d_vocab:
        raise _outside(model, low if low < 0 else high)
