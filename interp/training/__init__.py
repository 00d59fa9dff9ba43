"""Make your own: from a text to a tokenizer and a trained model, step by step."""

from interp import lazy
from interp.tokenizers import bpe as bpe
from interp.tokenizers import letters as letters

__all__, __getattr__, __dir__ = lazy.every(__name__)
