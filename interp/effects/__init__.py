"""Effects: labelled numbers, the selection of components, and its test. numpy only."""

from interp.effects.effects import Effects
from interp.effects.selection import Selection
from interp.effects.test import Test, verdict_of

__all__ = ["Effects", "Selection", "Test", "verdict_of"]
