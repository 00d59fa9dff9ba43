"""A mechanistic interpretability workbench: a clean transformer and the questions one can ask it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interp import lazy

__version__ = "0.1.0"
__all__ = [
    "circuits",
    "classifiers",
    "components",
    "edits",
    "effects",
    "linear",
    "load",
    "methods",
    "metrics",
    "plan",
    "report",
    "sites",
    "study",
    "sweep",
    "tasks",
    "tokenizers",
    "training",
    "transformer",
    "views",
    "weights",
]

if TYPE_CHECKING:
    from interp import (
        circuits,
        classifiers,
        components,
        edits,
        effects,
        linear,
        methods,
        metrics,
        report,
        sites,
        study,
        tasks,
        tokenizers,
        training,
        transformer,
        views,
        weights,
    )
    from interp.engine.plan import plan
    from interp.engine.sweep import sweep
    from interp.weights import load

_HELD = {"load": "interp.weights", "sweep": "interp.engine", "plan": "interp.engine"}
__getattr__, __dir__ = lazy.names(__name__, _HELD, set(__all__) - set(_HELD))
