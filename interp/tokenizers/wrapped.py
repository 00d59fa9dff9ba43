"""Tokenizers of the project's own as Hugging Face's class."""

from typing import Any

# What stands before every text, and the one token that is no part of it.
END = "<|endoftext|>"


def wrapped(backend: Any, **more: Any) -> Any:
    """A `tokenizers.Tokenizer` whose one special token, `END`, begins, ends and pads a text, and stands
    for what the vocabulary lacks."""
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        **dict.fromkeys(("bos_token", "eos_token", "unk_token", "pad_token"), END),
        clean_up_tokenization_spaces=False,
        **more,
    )
