"""Where studies are registered, run and kept: what a file in experiments/ imports."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from interp.study.declaration import experiment, study
from interp.study.progress import meter, progress
from interp.study.ranges import (
    AnyHead,
    AnyLayer,
    Components,
    Count,
    Example,
    Heads,
    Layer,
    Layers,
    Neurons,
    Range,
    Rate,
    Steps,
    Tokens,
)

if TYPE_CHECKING:
    from interp.views.report import Report

__all__ = [
    "AnyHead",
    "AnyLayer",
    "Components",
    "Count",
    "Example",
    "Heads",
    "Layer",
    "Layers",
    "Neurons",
    "Range",
    "Rate",
    "Report",
    "Steps",
    "Tokens",
    "experiment",
    "meter",
    "progress",
    "study",
]


def __getattr__(name: str) -> Any:
    # Statistics and tables, which the list of studies needs none of.
    if name == "Report":
        return import_module("interp.views.report").Report
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
