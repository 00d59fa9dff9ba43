"""Many interventions, exactly, with the least work."""

from interp.engine.imagined import Forward, imagining
from interp.engine.options import options
from interp.engine.plan import Plan, plan
from interp.engine.sweep import sweep

__all__ = ["Forward", "Plan", "imagining", "options", "plan", "sweep"]
