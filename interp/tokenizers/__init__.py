"""Text to tokens and back: which BOS stands before a prompt, what a token's text is, and tokenizers of
one's own. Needs no torch."""

from interp.tokenizers.bos import CHOICES, Bos, Choice, bos_of, encode
from interp.tokenizers.spell import single_token, token_text, token_texts

__all__ = [
    "CHOICES",
    "Bos",
    "Choice",
    "bos_of",
    "encode",
    "single_token",
    "token_text",
    "token_texts",
]
