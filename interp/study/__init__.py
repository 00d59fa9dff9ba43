"""Where studies are registered, run and kept: what a file in experiments/ imports."""

from typing import TYPE_CHECKING

from interp import lazy
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


# Statistics and tables, which the list of studies needs none of.
__getattr__, __dir__ = lazy.names(__name__, {"Report": "interp.views.report"})
