"""What do later parts of the model do about an ablated one?

Method  An ablation moves the logit difference directly (the part's own write, final norm computed
        again) and through everything after it. The rest, total − direct, is the sum of three terms:
        what later heads write differently, what later MLPs write differently, and the final norm
        dividing the whole by another scale. Heads and MLPs are read with the scale that the direct
        change leaves, so the three add up exactly.
Units   Logits of answer minus wrong. Where the part helped (a negative direct effect), a positive
        offset is compensation, and only that is called self-repair.
Source  McGrath et al. 2023, The Hydra Effect, arXiv:2307.15771; Rushing & Nanda 2024, Explorations
        of Self-Repair in Language Models, arXiv:2402.15390 (the norm's part in it).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
import torch
from fancy_einsum import einsum
from jaxtyping import Bool, Float
from torch import Tensor

from interp import edits, sites
from interp.cache import Cache
from interp.components import Component, heads, mlps, sites_of
from interp.edits import Edit
from interp.errors import UsageError
from interp.methods.ablate import Kind, Values, edits_of
from interp.methods.direct import Readout, change_written, readout
from interp.metrics import logit_difference
from interp.sites import Site
from interp.tasks import Task
from interp.tasks.batches import PromptBatch, by_length, gathered
from interp.transformer import Run, Transformer
from interp.transformer.packing import packed

# Tokens that go through the model at once: a tall product, and not much to keep.
_TOKENS = 1024
TERMS = ("total", "direct", "later_heads", "later_mlps", "rescaling", "offset")


@dataclass(frozen=True)
class Offsets:
    """For every ablated component and prompt: the total effect, and the four terms that add up to it.
    `before` and `after` are the direct contributions of every head and then every MLP (rows as in
    `writers`) on the clean and on the ablated run, both read with the scale that the direct change leaves;
    their differences, without the ablated component's own, add up to `later_heads` and `later_mlps`."""

    components: tuple[Component, ...]
    total: Float[np.ndarray, "component example"]
    direct: Float[np.ndarray, "component example"]
    later_heads: Float[np.ndarray, "component example"]
    later_mlps: Float[np.ndarray, "component example"]
    rescaling: Float[np.ndarray, "component example"]
    writers: tuple[Component, ...]
    before: Float[np.ndarray, "component label example"]
    after: Float[np.ndarray, "component label example"]

    @property
    def offset(self) -> Float[np.ndarray, "component example"]:
        """total − direct: positive where what comes after raises the logit difference."""
        return self.total - self.direct

    @property
    def error(self) -> float:
        """The largest |direct + later heads + later MLPs + rescaling − total|."""
        parts = self.direct + self.later_heads + self.later_mlps + self.rescaling
        return float(np.abs(parts - self.total).max())

    def frame(self, prompts: Bool[np.ndarray, " example"]) -> pd.DataFrame:
        """One row a component, means over these prompts: columns, total, its terms, offset, self_repair."""
        named = pd.DataFrame([each.columns() for each in self.components])
        terms = {name: getattr(self, name)[:, prompts].mean(-1) for name in TERMS}
        repair = repaired(terms["offset"], terms["direct"])
        return named.assign(**terms, self_repair=repair)

    def responses(
        self, prompts: Bool[np.ndarray, " example"]
    ) -> Float[np.ndarray, "component label"]:
        """How much more every writer contributes directly once a component is ablated, mean over these
        prompts; a component's own change is left out."""
        change = (self.after - self.before)[:, :, prompts].mean(-1)
        for row, each in enumerate(self.components):
            change[row, [writer == each for writer in self.writers]] = 0.0
        return change

    def responders(self, prompts: Bool[np.ndarray, " example"], top: int) -> pd.DataFrame:
        """ablated, responds, layer, head, before, after and change: of the writers that come after an
        ablated component those whose contribution changes most."""
        before, after = (each[:, :, prompts].mean(-1) for each in (self.before, self.after))
        rows = []
        for row, ablated in enumerate(self.components):
            for column in np.argsort(-np.abs(after[row] - before[row]), kind="stable"):
                writer = self.writers[column]
                if _comes_after(writer, ablated):
                    named = [str(ablated), writer.kind, writer.layer, writer.index]
                    rows.append([*named, before[row, column], after[row, column]])
        columns = ["ablated", "responds", "layer", "head", "before", "after"]
        frame = pd.DataFrame(rows, columns=columns).astype({"head": "Int64"})
        strongest = frame.groupby("ablated", sort=False).head(top).reset_index(drop=True)
        return strongest.assign(change=strongest["after"] - strongest["before"])


def _comes_after(writer: Component, ablated: Component) -> bool:
    """Whether it reads what the ablated component wrote; an MLP reads the heads of its layer."""
    one, other = (
        (-1 if each.layer is None else each.layer, each.kind in ("mlp", "neuron"))
        for each in (writer, ablated)
    )
    return one > other


def repaired(
    offset: Float[np.ndarray, " component"], direct: Float[np.ndarray, " component"]
) -> Float[np.ndarray, " component"]:
    """The offset where the component helped directly and what comes after makes up for it, else NaN."""
    return np.where((offset > 0) & (direct < 0), offset, np.nan)


@torch.no_grad()
def offsets(model: Transformer, task: Task, components: Sequence[Component], kind: Kind) -> Offsets:
    """The split of every component's effect under one ablation, by whole forward passes.

    The total is measured at the logits, the terms on the stream: that they agree is a check.

    Raises  UsageError for a component that is not one site's heads, MLP or neurons.

    >>> split = offsets(model, task, [components.Head(0, 1)], "resample")
    >>> bool(np.allclose(split.total, split.direct + split.offset))
    True
    """
    for each in components:
        kinds = {where.site.kind for where in each.slices(model)}
        if len(kinds) > 1 or not kinds <= {"z", "mlp_out", "mlp_post"}:
            raise UsageError(
                f"{each} cannot be told from what reacts to it: expected heads, an MLP or neurons, "
                f"got {', '.join(sorted(kinds))}"
            )
    layers = range(model.config.n_layers)
    kept = [sites.z(layer) for layer in layers]
    if model.config.d_mlp:
        kept += [sites.mlp_out(layer) for layer in layers]
    wanted = list(dict.fromkeys([*sites_of(components, model), *kept]))
    found: list[list[tuple[PromptBatch, Tensor]]] = [[] for _ in components]
    with packed(model, unembedding=False):
        for batch in by_length(task, model.device):
            values = Values(model, task, batch, wanted)
            read = readout(model, logit_difference(batch))
            reads = _reads(model, read)
            written = _contributions(values.clean, read, reads)
            together = max(1, _TOKENS // batch.clean.numel())
            for first in range(0, len(components), together):
                some = components[first : first + together]
                runs = _ablated(model, some, kind, values, kept)
                for number, (each, run) in enumerate(zip(some, runs, strict=True), first):
                    own = change_written(model, each, values.clean, values.under(kind))
                    rewritten = _contributions(run.cache, read, reads)
                    terms = _terms(model, each, values, run, own, read, rewritten - written)
                    scale = read.scale(values.stream + own)
                    contributed = [terms, written / scale, rewritten / scale]
                    found[number].append((batch, torch.cat(contributed)))
    measured = np.stack([gathered(task, its) for its in found])
    total, direct, later_heads, later_mlps, rescaling = measured[:, :5].swapaxes(0, 1)
    before, after = np.split(measured[:, 5:], 2, axis=1)
    writers = (*heads(model), *(mlps(model) if model.config.d_mlp else ()))
    return Offsets(
        tuple(components), total, direct, later_heads, later_mlps, rescaling, writers, before, after
    )


def _ablated(
    model: Transformer,
    components: Sequence[Component],
    kind: Kind,
    values: Values,
    kept: Sequence[Site],
) -> Iterator[Run]:
    """The run with each component ablated: one tall forward pass, each in rows of its own."""
    size = len(values.batch.clean)
    made = [
        edits.call(edit.site, partial(_in_rows, edit, slice(number * size, (number + 1) * size)))
        for number, each in enumerate(components)
        for edit in edits_of(each, kind, values)
    ]
    tokens = values.batch.clean.repeat(len(components), 1)
    run = model.run(tokens, edits=made, keep=[*kept, values.stream_end], logits_at=-1)
    for number in range(len(components)):
        own = slice(number * size, (number + 1) * size)
        cache = Cache({site: run.cache[site][own] for site in run.cache})
        yield Run(run.logits[own], cache, run.tokens[own], run.real[own])


def _in_rows(edit: Edit, rows: slice, activation: Tensor) -> Tensor:
    # What a called function is given is a copy.
    activation[rows] = edit.apply(activation[rows])
    return activation


def _terms(
    model: Transformer,
    component: Component,
    values: Values,
    run: Run,
    own: Float[Tensor, "batch d_model"],
    read: Readout,
    change: Float[Tensor, "component batch"],
) -> Float[Tensor, "5 batch"]:
    """Total, direct, later heads, later MLPs and rescaling, from the ablated run and from the change
    in what every head and MLP contributes."""
    clean = read(values.stream)
    total = logit_difference(values.batch).of(run.logits[:, 0]) - clean
    directly = values.stream + own
    scale, last = read.scale(directly), run.cache[values.stream_end][:, -1]
    n_heads = model.config.n_layers * model.config.n_heads
    of_heads, others = change[:n_heads].sum(0) / scale, change[n_heads:].sum(0) / scale
    # What the component itself writes differently is the direct effect, not a reaction to it.
    itself = read.along(own) / scale
    if component.slices(model)[0].site.kind == "z":
        of_heads = of_heads - itself
    else:
        others = others - itself
    rescaling = read.along(last) * (1 / read.scale(last) - 1 / scale)
    return torch.stack([total, read(directly) - clean, of_heads, others, rescaling])


def _reads(model: Transformer, read: Readout) -> list[Float[Tensor, "batch head d_head"]]:
    """What the logit difference reads of every head's z, layer by layer."""
    return [
        einsum(
            "head d_head d_model, batch d_model -> batch head d_head",
            model.block(layer).attn.W_O.to(read.direction),
            read.direction,
        )
        for layer in range(model.config.n_layers)
    ]


def _contributions(
    cache: Cache, read: Readout, reads: Sequence[Float[Tensor, "batch head d_head"]]
) -> Float[Tensor, "component batch"]:
    """What every head and every MLP writes at END along what the logit difference reads, not yet scaled."""
    rows = []
    for layer, onto in enumerate(reads):
        z = cache[sites.z(layer)][:, -1].to(onto)
        rows.append(einsum("batch head d_head, batch head d_head -> head batch", z, onto))
    mlps = [sites.mlp_out(layer) for layer in range(len(reads))]
    rows += [read.along(cache[site][:, -1])[None] for site in mlps if site in cache]
    return torch.cat(rows)
