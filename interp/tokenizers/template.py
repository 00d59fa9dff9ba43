"""Tokenizers that put a token before a text, and between two, by themselves."""

import copy
from typing import Any

from interp.tokenizers.bos import begin, bos_of


def begun(tokenizer: Any) -> Any:
    """The tokenizer, saying that what `begin` names stands before a text: a copy that puts it, where
    its files would have it that nothing or something else does.

    Raises  UsageError for a tokenizer that has nothing to put.
    """
    if bos_of(tokenizer).token == begin(tokenizer):
        return tokenizer
    told = copy.deepcopy(tokenizer)
    put(told)
    return told


def put(tokenizer: Any, between: bool = False) -> None:
    """Has the tokenizer put what `begin` names before a text and, of two, `between` them.

    Raises  UsageError for a tokenizer that has nothing to put.
    """
    from tokenizers.processors import TemplateProcessing

    number = begin(tokenizer)
    mark = tokenizer.convert_ids_to_tokens(number)
    second = f"{mark} $B:1" if between else "$B:1"
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{mark} $A", pair=f"{mark} $A {second}", special_tokens=[(mark, number)]
    )
