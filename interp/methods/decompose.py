"""The residual stream as a sum: embedding, positions, every head, every MLP, and the biases.

Method  Every layer adds to the stream, so the stream at any site is the sum of what was written
        before it. A head writes its z through its own rows of W_O.
Units   Those of the stream, or of its projection on a direction.
Source  Elhage et al. 2021, A Mathematical Framework for Transformer Circuits.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from fancy_einsum import einsum
from jaxtyping import Float, Int
from torch import Tensor

from interp import sites
from interp.cache import Cache
from interp.components import (
    MLP,
    AttentionBias,
    Component,
    Embedding,
    Head,
    MLPBias,
    Neuron,
    PosEmbedding,
)
from interp.errors import UsageError
from interp.sites import Site
from interp.transformer import Run, Transformer


@dataclass(frozen=True, slots=True)
class Decomposition:
    """The stream as labelled parts `[component batch pos d_model]` that add up to it."""

    components: tuple[Component, ...]
    parts: Float[Tensor, "component batch pos d_model"]
    stream: Float[Tensor, "batch pos d_model"]

    @property
    def error(self) -> Float[Tensor, "batch pos"]:
        """‖sum of the parts − stream‖ / ‖stream‖ at every position."""
        difference = self.parts.sum(0) - self.stream
        return difference.norm(dim=-1) / self.stream.norm(dim=-1)


@dataclass(frozen=True, slots=True)
class Projection:
    """What each component adds to the stream's dot product with a direction."""

    components: tuple[Component, ...]
    parts: Float[Tensor, "component batch pos"]
    total: Float[Tensor, "batch pos"]
    scale: Float[Tensor, "batch pos"]

    @property
    def error(self) -> Float[Tensor, "batch pos"]:
        """|sum of the parts − total| / (‖stream‖ ‖direction‖) at every position."""
        return (self.parts.sum(0) - self.total).abs() / self.scale


def needs(model: Transformer, site: Site) -> list[Site]:
    """The sites that a run must keep for its stream to be decomposed at `site`."""
    layers, with_attention = _reach(model, site)
    kept = [sites.embed(), site]
    if model.config.positions == "learned":
        kept.append(sites.pos_embed())
    kept += [sites.z(layer) for layer in range(layers + with_attention)]
    if model.config.d_mlp:
        kept += [sites.mlp_post(layer) for layer in range(layers)]
    return kept


@torch.no_grad()
def decompose(model: Transformer, run: Run, site: Site) -> Decomposition:
    """The stream at `site` as the sum of what every component wrote.

    Raises  UsageError if `site` is not a place of the stream, or the run did not keep `needs`.

    >>> end = sites.resid_post(2)
    >>> run = model.run("Mary and John", keep=[end, *needs(model, end)])
    >>> bool(decompose(model, run, end).error.max() < 1e-5)  # the parts add up
    True
    """
    return Decomposition(*_all_written(model, run, site, _whole(model)), run.cache[site])


@torch.no_grad()
def project(
    model: Transformer,
    run: Run,
    site: Site,
    direction: Float[Tensor, "batch pos d_model"],
    neurons: Sequence[int] = (),
) -> Projection:
    """What every component adds to ⟨stream, direction⟩, for a direction per position. The MLPs of the
    layers named in `neurons` come neuron by neuron. Weights are projected before activations, so nothing of
    size `[batch pos head d_model]` is built.

    Raises  UsageError as `decompose`, for a direction of another shape than the stream's, and for
            neurons of a layer whose MLP has not written before `site`.
    """
    stream = run.cache[site]
    if direction.shape != stream.shape:
        raise UsageError(
            f"expected a direction for every position, of shape {list(stream.shape)}, "
            f"got {list(direction.shape)}"
        )
    layers, _ = _reach(model, site)
    if unwritten := set(neurons) - set(range(layers if model.config.d_mlp else 0)):
        raise UsageError(f"no MLP of layer {min(unwritten)} has written before {site.name!r}")
    found = _all_written(model, run, site, _onto(model, direction, frozenset(neurons)))
    total = einsum("batch pos d_model, batch pos d_model -> batch pos", stream, direction)
    scale = stream.norm(dim=-1) * direction.norm(dim=-1)
    return Projection(*found, total, scale)


@dataclass(frozen=True, slots=True)
class _Measure:
    """How a writer's contribution is expressed: as a whole vector, or as its projection."""

    vector: Callable[[Tensor], Tensor]
    heads: Callable[[int, Tensor], Tensor]
    mlp: Callable[[int, Tensor], tuple[Sequence[Component], Tensor]]


def _whole(model: Transformer) -> _Measure:
    return _Measure(
        vector=lambda written: written,
        heads=lambda layer, z: einsum(
            "batch pos head d_head, head d_head d_model -> head batch pos d_model",
            z,
            model.block(layer).attn.W_O,
        ),
        mlp=lambda layer, post: (
            [MLP(layer)],
            einsum(
                "batch pos d_mlp, d_mlp d_model -> batch pos d_model",
                post,
                model.block(layer).mlp.W_out,
            )[None],
        ),
    )


def _onto(model: Transformer, direction: Tensor, neurons: frozenset[int]) -> _Measure:
    def heads(layer: int, z: Tensor) -> Tensor:
        read = einsum(
            "head d_head d_model, batch pos d_model -> batch pos head d_head",
            model.block(layer).attn.W_O,
            direction,
        )
        return einsum("batch pos head d_head, batch pos head d_head -> head batch pos", z, read)

    def mlp(layer: int, post: Tensor) -> tuple[Sequence[Component], Tensor]:
        W_out = model.block(layer).mlp.W_out
        each = post * einsum(
            "d_mlp d_model, batch pos d_model -> batch pos d_mlp", W_out, direction
        )
        if layer not in neurons:
            return [MLP(layer)], each.sum(-1)[None]
        found = [Neuron(layer, unit) for unit in range(W_out.shape[0])]
        return found, each.movedim(-1, 0)

    def vector(written: Tensor) -> Tensor:
        return einsum("batch pos d_model, batch pos d_model -> batch pos", written, direction)

    return _Measure(vector, heads, mlp)


def _all_written(
    model: Transformer, run: Run, site: Site, measure: _Measure
) -> tuple[tuple[Component, ...], Tensor]:
    found = list(_written(model, run, site, measure))
    return tuple(each for several, _ in found for each in several), torch.cat(
        [it for _, it in found]
    )


def _written(
    model: Transformer, run: Run, site: Site, measure: _Measure
) -> Iterator[tuple[Sequence[Component], Tensor]]:
    """Every writer before `site`, in order, with its contribution `[component batch pos …]`."""
    cache, config = run.cache, model.config
    layers, with_attention = _reach(model, site)
    shape = cache[sites.embed()]
    yield [Embedding()], measure.vector(shape)[None]
    if config.positions == "learned":
        yield [PosEmbedding()], measure.vector(cache[sites.pos_embed()])[None]
    for layer in range(layers + with_attention):
        attn = model.block(layer).attn
        found = [Head(layer, head) for head in range(config.n_heads)]
        yield found, measure.heads(layer, cache[sites.z(layer)])
        if attn.b_O is not None:
            bias = attn.b_O.expand_as(shape)
            yield [AttentionBias(layer)], measure.vector(bias)[None]
        if layer == layers or not config.d_mlp:
            continue
        yield measure.mlp(layer, cache[sites.mlp_post(layer)])
        if (b_out := model.block(layer).mlp.b_out) is not None:
            bias = b_out.expand_as(shape)
            yield [MLPBias(layer)], measure.vector(bias)[None]


def _reach(model: Transformer, site: Site) -> tuple[int, bool]:
    """How many whole layers have written before `site`, and whether one more attention has."""
    site = sites.among(site, model.sites)
    if site.kind == "resid_post" and site.layer is not None:
        return site.layer + 1, False
    if site.kind in ("resid_pre", "resid_mid") and site.layer is not None:
        return site.layer, site.kind == "resid_mid"
    raise UsageError(
        f"only the stream is a sum: expected a resid_pre, resid_mid or resid_post, got {site.name!r}"
    )


def at(run: Run, positions: Int[Tensor, "batch label"]) -> Run:
    """The run as if these had been its only positions, without what has no position axis (patterns)."""
    examples = torch.arange(len(positions), device=positions.device)[:, None]
    kept = {
        site: run.cache[site][examples, positions] for site in run.cache if site.axes[1] == "pos"
    }
    return Run(
        run.logits, Cache(kept), run.tokens[examples, positions], run.real[examples, positions]
    )
