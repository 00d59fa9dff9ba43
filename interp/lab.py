"""What `interp.study` was called: a study that imports from here goes on working."""

from interp.study import *  # noqa: F403
from interp.views import ablations, figures, judged, scores, tested, tolerance

__all__ = ["ablations", "figures", "judged", "scores", "tested", "tolerance"]
