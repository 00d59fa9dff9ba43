"""A mechanistic interpretability workbench: a clean transformer and the questions one can ask it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["components", "edits", "load", "metrics", "plan", "sites", "sweep", "tasks"]

if TYPE_CHECKING:
    from interp import components, edits, metrics, sites, tasks
    from interp.engine.plan import plan
    from interp.engine.sweep import sweep
    from interp.weights import load

# Names are imported when they are first used, so that `interp --help` needs no torch.
_LAZY = {"load": "interp.weights", "sweep": "interp.engine", "plan": "interp.engine"}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    if name in __all__:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, "__version__"})
