"""Reports: blocks of data that an experiment returns, kept on disk, shown as one page a run."""

from interp.report.blocks import (
    Block,
    Check,
    Formula,
    Headline,
    NotRun,
    Report,
    Section,
    Table,
    Text,
)
from interp.report.diagrams import Distribution, Edge, Flow, Graph, Node
from interp.report.pictures import Attention, Chart, Curve, Heatmap, Maps, Series, TokenStrip

__all__ = [
    "Attention",
    "Block",
    "Chart",
    "Check",
    "Curve",
    "Distribution",
    "Edge",
    "Flow",
    "Formula",
    "Graph",
    "Headline",
    "Heatmap",
    "Maps",
    "Node",
    "NotRun",
    "Report",
    "Section",
    "Series",
    "Table",
    "Text",
    "TokenStrip",
]
