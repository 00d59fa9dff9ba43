"""Where studies are registered, run and kept: what a file in experiments/ imports."""

from interp.lab.experiment import experiment
from interp.lab.progress import meter, progress
from interp.lab.ranges import (
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
]
