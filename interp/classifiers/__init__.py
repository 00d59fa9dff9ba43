"""Other people's sentence-pair classifiers, as Hugging Face computes them, opened up.

The clean transformer reads in one direction or both, but classifiers come in too many shapes to be
rewritten; here Hugging Face's own modules run, and what is changed is changed by hooks that last for
one call.
"""

from interp import lazy

__all__, __getattr__, __dir__ = lazy.every(__name__)
