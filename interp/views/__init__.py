"""Estimates, tests and sweeps as the blocks of a report."""

from interp import lazy

__all__, __getattr__, __dir__ = lazy.every(__name__)
