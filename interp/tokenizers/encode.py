"""A text as its tokens, with the BOS before them at most once."""

from typing import Any

from interp.tokenizers.bos import Bos, as_given, plainly


def encode(tokenizer: Any, text: str, bos: Bos) -> list[int]:
    """The tokens of a text: `auto` gives them as the tokenizer does, `yes` after the BOS, `no` without
    one. Where a BOS is put, a text that begins with it is the text behind it."""
    own = bos.own
    if bos.choice == "auto":
        return as_given(tokenizer, unmarked(tokenizer, text, own[:1]))
    if bos.choice == "no":
        whole = as_given(tokenizer, text)
        return whole[len(own) :] if tuple(whole[: len(own)]) == own else whole
    assert bos.token is not None
    rest = as_given(tokenizer, unmarked(tokenizer, text, (bos.token,)))
    return rest if own else [bos.token, *rest]


def unmarked(tokenizer: Any, text: str, bos: tuple[int, ...]) -> str:
    """The text without this BOS at its beginning."""
    if not bos:
        return text
    mark = str(tokenizer.convert_ids_to_tokens(bos[0]))
    if text.startswith(mark) and plainly(tokenizer, mark) == [bos[0]]:
        return text[len(mark) :]
    return text
