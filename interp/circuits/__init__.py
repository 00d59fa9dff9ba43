"""Circuits: which edges between components a task needs, and whether they suffice.

>>> from interp import load
>>> graph = Graph.of(load("tiny-gpt2"))
>>> len(graph.writers), len(graph.readers), graph.n_edges
(16, 40, 262)
"""

from interp.circuits.circuit import Circuit
from interp.circuits.graph import Edge, Graph

__all__ = ["Circuit", "Edge", "Graph"]
