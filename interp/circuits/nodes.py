"""Nodes of a graph that are parts of an MLP: what they read for themselves, and what they write of it.

A part is any component that says what it writes of the residual stream it reads. The parts that stand in the
place of an MLP have to add up to it: the last one is the rest.

>>> from interp.circuits.graph import Graph
>>> graph = Graph.of(model, parts={MLP(2): [Rest(MLP(2), ())]})
>>> print(graph.writers[-1])
the rest of L2 MLP
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from interp.components import MLP, Component
from interp.errors import UsageError
from interp.transformer import Transformer

Stream = Float[Tensor, "*batch pos d_model"]


@runtime_checkable
class Part(Protocol):
    """A component that is part of what the MLP of its layer writes."""

    @property
    def layer(self) -> int | None: ...

    def writes(self, model: Transformer, stream: Stream) -> Stream:
        """What it adds to the residual stream where this is what it reads of it, before any norm."""


@dataclass(frozen=True)
class Rest(Component):
    """What an MLP writes that is of none of these parts, its bias included; it reads its input for itself."""

    of: MLP
    parts: tuple[Component, ...]
    kind, plural = "rest", "rests of MLPs"

    @property
    def layer(self) -> int | None:
        return self.of.layer

    def __str__(self) -> str:
        return f"the rest of {self.of}"

    def writes(self, model: Transformer, stream: Stream) -> Stream:
        rest = writes(model, self.of, stream)
        for part in self.parts:
            rest = rest - writes(model, part, stream)
        return rest


def writes(model: Transformer, node: Component, stream: Stream) -> Stream:
    """What an MLP, or a part of one, adds to the residual stream where this is what it reads of it.

    Raises  UsageError for a component that does not say so.
    """
    if isinstance(node, MLP):
        block = model.block(node.layer)
        flat = stream.reshape(-1, *stream.shape[-2:])
        written: Stream = block.mlp(block.ln2(flat)).view_as(stream)
        return written
    if isinstance(node, Part):
        return node.writes(model, stream)
    raise UsageError(
        f"{node} is no part of an MLP: it does not say what it writes of the residual stream that it reads"
    )
