"""A circuit as a value: which edges of a model are kept for a task, and how they were found."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from interp import files, ordinary
from interp.circuits.graph import Edge, Graph, Mask
from interp.circuits.nodes import Part
from interp.circuits.places import Places
from interp.components import Component, Head, KVHead, parse
from interp.errors import UsageError, brief, named
from interp.methods.ablate import KINDS, Named
from interp.transformer import Transformer

Direction = Literal["noising", "denoising"]
DIRECTIONS: tuple[Direction, ...] = ("noising", "denoising")
_LARGEST = 256 << 20


@dataclass(frozen=True, eq=False)
class Circuit:
    """The edges `kept` of a graph, which may have places. `ablation` says what stands for the others'
    writers, and `direction` whether edges were removed from the full graph (noising) or added to the empty
    one. `model` and `weights` are the name of the model and the digest of its weights, `found` says how it
    was found.

    Raises  UsageError for a mask of another graph, and for another ablation or direction.
    """

    graph: Graph
    kept: Mask
    model: str
    weights: str
    task: str
    ablation: Named = "resample"
    direction: Direction = "noising"
    found: str = ""

    def __post_init__(self) -> None:
        if self.kept.shape != self.graph.allowed.shape or (self.kept & ~self.graph.allowed).any():
            raise UsageError(
                "the kept edges of a circuit are edges of its graph; these are of another"
            )
        for name, known in (("ablation", KINDS), ("direction", DIRECTIONS)):
            if getattr(self, name) not in known:
                raise UsageError(
                    f"the {name} of a circuit is {', '.join(known)}, got {brief(getattr(self, name))}"
                )

    def __len__(self) -> int:
        return int(self.kept.sum())

    @property
    def edges(self) -> list[Edge]:
        """The kept edges."""
        return self.graph.edges(self.kept)

    @property
    def heads(self) -> list[Head]:
        """The heads that it reads, in the order of the graph."""
        read = np.asarray(self.kept.any((0, *range(2, self.kept.ndim))))
        return [
            each
            for each, out in zip(self.graph.writers, read, strict=True)
            if out and isinstance(each, Head)
        ]

    @property
    def fraction(self) -> float:
        """The share of the graph's edges that are kept."""
        return len(self) / self.graph.n_edges

    def complement(self) -> Circuit:
        """The edges that are not kept."""
        return replace(self, kept=self.graph.allowed & ~self.kept)

    def pruned(self) -> Circuit:
        """Without dead ends: edges on no path from the embedding to the logits."""
        return replace(self, kept=self.graph.pruned(self.kept))

    def overlap(self, other: Circuit) -> float:
        """Jaccard: the edges in both among those in either, 1 for two empty circuits.

        Raises  UsageError for circuits of two different graphs.
        """
        one, two = self.graph, other.graph
        if one.writers != two.writers or one.readers != two.readers or one.places != two.places:
            raise UsageError(
                "two circuits overlap on one graph; these are of models of another shape, or of other places"
            )
        either = int((self.kept | other.kept).sum())
        return int((self.kept & other.kept).sum()) / either if either else 1.0

    def save(self, path: Path) -> None:
        """Writes the circuit as JSON.

        Raises  UsageError as `text` does.
        """
        files.write_text(path, self.text())

    def text(self) -> str:
        """The circuit as JSON.

        Raises  UsageError for a graph with parts of MLPs, which have no spelling that could be read again.
        """
        if parts := [each for each in self.graph.writers if isinstance(each, Part)]:
            raise UsageError(
                f"parts of MLPs are not stored: {brief(str(parts[0]))} has no name to read"
            )
        data = {name: getattr(self, name) for name in _PLAIN}
        data["private"] = any(
            each.input == "k" and each.component.kind == "head" for each in self.graph.readers
        )
        if self.graph.places is not None:
            data["places"] = self.graph.places.to_dict()
        data["edges"] = [list(each.columns().values()) for each in self.edges]
        return json.dumps(data, ensure_ascii=False, indent=1)

    @classmethod
    def load(cls, path: Path, model: Transformer) -> Circuit:
        """The circuit of this model that was saved there.

        Raises  UsageError for a file of another form, of another model, or with other weights.
        """
        data = _data(path)
        if not isinstance(data, dict) or not isinstance(data.get("edges"), list):
            raise UsageError(f"{named(path.name)} is no circuit: it has no list of edges")
        missing = [name for name in _PLAIN if not isinstance(data.get(name), str)]
        if missing:
            raise UsageError(f"{named(path.name)} is no circuit: it has no text {missing[0]!r}")
        digest = model.origin.weights_sha256
        if data["weights"] != digest:
            raise UsageError(
                f"{named(path.name)} is a circuit of {brief(data['model'])} with weights "
                f"{brief(data['weights'][:12])}, not of {model.name} with {digest[:12]}"
            )
        places = Places.from_dict(data["places"]) if "places" in data else None
        graph = Graph.of(model, private=data.get("private") is True).at_places(places)
        kept = graph.mask(_edge(each, path) for each in data["edges"])
        return cls(graph, kept, **{name: data[name] for name in _PLAIN})


_PLAIN = ("model", "weights", "task", "ablation", "direction", "found")


def _edge(given: Any, path: Path) -> Edge:
    if (
        isinstance(given, list)
        and len(given) in (3, 4)
        and all(isinstance(each, str) for each in given)
    ):
        writer, reader, kind, *position = given
        if kind in ("q", "k", "v", "mlp", "logits"):
            return Edge(parse(writer), parse(reader), kind, *position)
    raise UsageError(
        f"{named(path.name)}: an edge is [writer, reader, input], with places [writer, reader, input, "
        f'position], such as ["L0H3", "L2H5", "q"], got {brief(given)}'
    )


def _data(path: Path) -> Any:
    try:
        return json.loads(ordinary.text(path, _LARGEST))
    except ValueError as error:
        raise UsageError(f"{named(path.name)} is no JSON: {error}") from None


def importances(
    graph: Graph,
    scores: Float[np.ndarray, "reader writer *place"],
    kept: Mask,
    config: Mapping[str, Any],
) -> dict[str, Any]:
    """Scores in the form in which the Mechanistic Interpretability Benchmark exchanges them. Its scores are
    of a loss, so that positive ones help, and ours, of the metric, are written with the sign turned. There
    every query head has keys and values of its own: an edge into those of a group is written once for each
    of its heads, with an equal share of the score. Edges without a score have 0.

    Raises  UsageError for a graph with places, which the form has not.
    Source  Mueller et al. 2025, MIB, arXiv:2504.13151; the form is that of EAP-IG's `Graph.to_json`, the sign
            that of its scores (corrupted minus clean, times the slope) of the metric with `loss=True`, as
            MIB's `run_attribution.py` has it; both then keep the largest.
    """
    edges: dict[str, dict[str, Any]] = {}
    for cell in graph.cells():
        names = _spelt(graph, cell)
        score = -float(np.nan_to_num(scores[cell])) / len(names)
        edges |= {name: {"score": score, "in_graph": bool(kept[cell])} for name in names}
    reached = {_node(graph.writers[column]) for _, column in graph.cells(kept)}
    nodes = {_node(each): {"in_graph": _node(each) in reached} for each in graph.writers}
    return {"cfg": dict(config), "nodes": {**nodes, "logits": {"in_graph": True}}, "edges": edges}


def exchanged(
    model: Transformer, graph: Graph, scores: Float[np.ndarray, "reader writer"], kept: Mask
) -> str:
    """`importances` as JSON, of a graph of this model.

    Raises  UsageError for a graph with places.
    """
    config = model.config
    about = {
        "n_layers": config.n_layers,
        "n_heads": config.n_heads,
        "parallel_attn_mlp": config.parallel,
        "d_model": config.d_model,
    }
    return json.dumps(importances(graph, scores, kept, about), ensure_ascii=False)


def from_importances(
    graph: Graph, data: Mapping[str, Any]
) -> tuple[Float[np.ndarray, "reader writer"], Mask]:
    """The scores, with our sign, and the kept edges that `importances` wrote, or another tool in its form.
    Those of a group's keys and values are added up, and kept if they are for any of its heads.

    Raises  UsageError for edges that this graph does not have, or that it has and the data lacks.
    """
    found = data.get("edges")
    known = {cell: _spelt(graph, cell) for cell in graph.cells()}
    every = {name for names in known.values() for name in names}
    if not isinstance(found, Mapping) or set(found) != every:
        odd = sorted(every ^ set(found if isinstance(found, Mapping) else ()))[:1]
        raise UsageError(
            f"importances of another graph: expected its {len(every):,} edges, "
            f"{brief(odd[0]) if odd else 'none'} is not in both"
        )
    scores, kept = np.zeros(graph.allowed.shape), np.zeros_like(graph.allowed)
    for cell, names in known.items():
        scores[cell] = -sum(float(found[name]["score"]) for name in names)
        kept[cell] = any(found[name].get("in_graph", False) for name in names)
    return scores, kept


def _node(component: Any) -> str:
    layer, index = component.layer, component.index
    return {"head": f"a{layer}.h{index}", "mlp": f"m{layer}", "embed": "input", "logits": "logits"}[
        component.kind
    ]


def _spelt(graph: Graph, cell: tuple[int, ...]) -> list[str]:
    """What the edge is called: once for every query head that reads it."""
    edge = graph.edge(*cell)
    if edge.position is not None:
        raise UsageError("importances name no positions: make the graph without places")
    reader = edge.reader
    heads: list[Component] = [reader]
    if isinstance(reader, KVHead):
        group = graph.group
        heads = [Head(reader.layer, reader.index * group + each) for each in range(group)]
    attention = f"<{edge.input}>" if edge.input in "qkv" else ""
    return [f"{_node(edge.writer)}->{_node(each)}{attention}" for each in heads]
