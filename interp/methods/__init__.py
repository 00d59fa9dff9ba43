"""The questions one can ask of a model, each a function of runs and weights."""

from interp import lazy

__all__, __getattr__, __dir__ = lazy.every(__name__)
