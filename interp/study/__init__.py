"""Where studies are registered, run and kept: what a file in experiments/ imports."""

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
    "Steps",
    "Tokens",
    "experiment",
    "meter",
    "progress",
    "study",
]
