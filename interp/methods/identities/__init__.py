"""What holds of every model exactly, computed in two ways: sums of heads, steps of a run, positions that only
attention connects, and our model beside others'."""

from interp import lazy

__all__, __getattr__, __dir__ = lazy.every(__name__)
