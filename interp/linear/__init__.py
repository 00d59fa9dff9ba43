"""The model linearised around a run: one backward pass, with rules as values for what is not linear."""

from interp.linear.rules import GIM, RELP, TRUE, Rules, frozen
from interp.linear.slopes import AtReaders, Input, Slopes, slopes

__all__ = ["GIM", "RELP", "TRUE", "AtReaders", "Input", "Rules", "Slopes", "frozen", "slopes"]
