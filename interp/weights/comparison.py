"""Does the clean transformer give the logits that Hugging Face gives?"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from interp.errors import UsageError
from interp.transformer import Transformer
from interp.transformer.text import Prompts
from interp.weights.loading import find, load


@dataclass(frozen=True, slots=True)
class Comparison:
    """Ours against Hugging Face's logits for the same tokens.

    `largest` is the largest absolute difference of any logit, `relative` the same over the largest
    absolute logit, `same_top` the share of positions whose most likely next token is the same.
    """

    name: str
    dtype: str
    n_tokens: int
    largest: float
    relative: float
    same_top: float


def check(model: Transformer | str, text: Prompts) -> Comparison:
    """How far the model's logits are from Hugging Face's, on a prompt or on token ids [batch pos].

    Raises  UsageError for a model that Hugging Face's library has no counterpart of.
    """
    ours = load(model) if isinstance(model, str) else model
    run = ours.run(text)
    if not bool(run.real.all()):
        raise UsageError("check compares prompts of one length; give one prompt at a time")
    theirs = reference(ours)
    with torch.inference_mode():
        expected = theirs(run.tokens).logits
    difference = (run.logits - expected).abs().max()
    return Comparison(
        name=ours.name,
        dtype=str(ours.dtype).removeprefix("torch."),
        n_tokens=run.tokens.numel(),
        largest=float(difference),
        relative=float(difference / expected.abs().max()),
        same_top=float((run.logits.argmax(-1) == expected.argmax(-1)).float().mean()),
    )


def reference(model: Transformer) -> Any:
    """Hugging Face's own model of the same weights, with eager attention, in the same dtype.

    Raises  UsageError for a model that Hugging Face's library has no counterpart of.
    """
    folder = find(model.origin.name, model.origin.revision).huggingface
    if folder is None:
        raise UsageError(
            f"{model.name} has no counterpart in Hugging Face's library to compare it with; "
            "smollm2-135m and every Hugging Face folder or id have one"
        )
    return reference_in(folder, model.dtype).to(model.device)


def reference_in(folder: Path, dtype: torch.dtype) -> Any:
    """Hugging Face's model of this folder, with eager attention."""
    from transformers import AutoModelForCausalLM

    with quiet():
        theirs: Any = AutoModelForCausalLM.from_pretrained(
            folder, dtype=dtype, attn_implementation="eager", trust_remote_code=False
        )
    return theirs.eval()


@contextmanager
def quiet(warnings: bool = True) -> Iterator[None]:
    """No progress bars of Hugging Face's inside, nor `warnings` unless asked for; afterwards as before."""
    import transformers

    logging: Any = transformers.utils.logging
    shown, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    if not warnings:
        logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if shown:
            logging.enable_progress_bar()
