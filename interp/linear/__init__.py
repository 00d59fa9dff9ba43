"""The model linearised around a run: one backward pass, with rules as values for what is not linear."""

from interp.linear.rules import TRUE, Rules, frozen
from interp.linear.slopes import Slopes, slopes

__all__ = ["TRUE", "Rules", "Slopes", "frozen", "slopes"]
