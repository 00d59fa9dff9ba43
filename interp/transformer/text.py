"""Prompts into batches of token ids, and back into words."""

from __future__ import annotations

from collections.abc import Sequence
from operator import index
from typing import TYPE_CHECKING, Any, Union

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from interp.errors import UsageError

if TYPE_CHECKING:
    from interp.transformer.model import Transformer

Prompts = Union[str, Sequence[str], Sequence[Sequence[int]], Tensor]


def to_tokens(
    model: Transformer, prompts: str | Sequence[str], prepend_bos: bool = False
) -> Int[Tensor, "batch pos"]:
    """Token ids as the model's own tokenizer gives them, after its BOS if asked for.

    Raises  UsageError for prompts of unequal length, which `run` pads when it is given the text.
    """
    tokens, real = _tokenized(model, prompts, prepend_bos)
    if not bool(real.all()):
        raise UsageError(
            "prompts differ in length; give the text itself to run(), which pads and masks"
        )
    return tokens.to(model.device)


def to_str_tokens(model: Transformer, prompt: str | Tensor, prepend_bos: bool = False) -> list[str]:
    """The tokens of one prompt as text, one string each; bytes of a split character show as �."""
    ids = to_tokens(model, prompt, prepend_bos)[0] if isinstance(prompt, str) else prompt.flatten()
    return [model.tokenizer.decode([token]) for token in ids.tolist()]


def to_batch(
    model: Transformer, prompts: Prompts, attention_mask: Tensor | None = None
) -> tuple[Int[Tensor, "batch pos"], Bool[Tensor, "batch pos"]]:
    """Token ids and which of them are real, on the model's device.

    Text of unequal length is padded on the right. Token ids may be padded on either side, if
    `attention_mask` says where, and with any id: one that the model has no row for becomes 0.

    Raises  UsageError for an empty prompt, an id outside the vocabulary, a prompt longer than the
            context, and a mask with holes or of another shape than the tokens.
    """
    if isinstance(prompts, Tensor):
        tokens, real = _given(prompts, attention_mask)
    elif attention_mask is not None:
        raise UsageError(
            "an attention_mask goes with token ids [batch pos]; text is masked by itself"
        )
    elif isinstance(prompts, str) or (len(prompts) and isinstance(prompts[0], str)):
        tokens, real = _tokenized(model, prompts, prepend_bos=False)  # type: ignore[arg-type]
    else:
        tokens, real = _padded([_ids(row) for row in prompts], fill=0)
    _check(model, tokens, real)
    # A token that only pads need not have a row in the model, and nothing reads what stands there.
    tokens = tokens.where(real | ((tokens >= 0) & (tokens < model.config.d_vocab)), 0)
    return tokens.to(model.device), real.to(model.device)


def _tokenized(
    model: Transformer, prompts: str | Sequence[str], prepend_bos: bool
) -> tuple[Tensor, Tensor]:
    tokenizer: Any = model.tokenizer
    texts = [prompts] if isinstance(prompts, str) else list(prompts)
    start: list[int] = []
    if prepend_bos:
        bos = (
            tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
        )
        if bos is None:
            raise UsageError(f"the tokenizer of {model.name} has neither BOS nor EOS to put first")
        start = [bos]
    fill = tokenizer.pad_token_id
    return _padded([start + tokenizer(text)["input_ids"] for text in texts], fill=fill or 0)


def _padded(rows: Sequence[Sequence[int]], fill: int) -> tuple[Tensor, Tensor]:
    if not rows or not all(rows):
        raise UsageError("expected at least one token in every prompt, got an empty prompt")
    longest = max(map(len, rows))
    tokens = torch.tensor([[*row, *[fill] * (longest - len(row))] for row in rows])
    lengths = torch.tensor([len(row) for row in rows])
    return tokens, torch.arange(longest)[None, :] < lengths[:, None]


def _ids(row: Any) -> list[int]:
    try:
        return [index(each) for each in row]
    except TypeError:
        raise UsageError(
            f"expected text, or a list of integer token ids for each prompt, got {row!r}"
        ) from None


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
        raise UsageError("expected at least one token in every prompt, got an empty prompt")
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
        wrong = low if low < 0 else high
        raise UsageError(
            f"token id {wrong} is outside the vocabulary 0…{config.d_vocab - 1} of {model.name}"
        )
