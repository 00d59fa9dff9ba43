"""What `interp.study` was called: a study that imports from here goes on working."""

from typing import Any

from interp.study import *  # noqa: F403

_GONE = ("ablations", "calibrated", "judged", "scores", "tested")


def __getattr__(name: str) -> Any:
    if name in _GONE:
        raise ImportError(
            f"interp.lab.{name} is gone: import Effects from interp.effects, Report from interp.study and "
            "what draws them from interp.views; `interp new NAME` writes a study that shows how"
        )
    if name in ("figures", "tolerance"):
        from importlib import import_module

        return import_module(f"interp.views.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
