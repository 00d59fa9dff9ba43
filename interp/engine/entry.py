"""How an intervention enters the run: the residual stream just after its first edits.

Edits inside attention or inside an MLP change the stream by a difference that needs only what is
edited: `(z' − z) W_O` for the heads concerned, `(post' − post) W_out` for the neurons concerned. The
edited layer's other work is read from the base run.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interp import sites
from interp.edits import Edit
from interp.engine.base import Base
from interp.sites import Site
from interp.transformer import Config, Transformer
from interp.transformer.contract import einsum
from interp.transformer.hooks import Hooks, RunHooks
from interp.transformer.inputs import INPUTS
from interp.transformer.mlp import ACTIVATIONS
from interp.transformer.project import project, read_heads
from interp.transformer.rotary import Angles

_INSIDE = (
    *("q", "k", "v", "q_scale", "k_scale", "rot_q", "rot_k"),
    *("scores", "pattern", "z", "head_out", "attn_out"),
)
ATTENTION = (*INPUTS, *_INSIDE)
MLP = ("mlp_in", "mlp_pre", "gate", "mlp_pre_linear", "mlp_post", "mlp_out")
_BEFORE = ("ln1_scale", "ln1_normalized")
_NORM = ("ln2_scale", "ln2_normalized")
_PRE, _MID, _POST = 0, 1, 2
# At which entry point of its layer a place of the stream lies.
_STREAM = {"resid_pre": _PRE, "resid_mid": _MID, "resid_post": _POST}


@dataclass(frozen=True, order=True, slots=True)
class EntryPoint:
    """Where rows join the batch: before, inside (between attention and MLP) or after a layer."""

    layer: int
    stage: int


def entrance(edits: Sequence[Edit], config: Config) -> tuple[EntryPoint, list[Edit], list[Edit]]:
    """Where an intervention (its edits sorted) joins the batch, the edits applied analytically there,
    and those applied by hooks later."""
    first = edits[0].site
    here = [edit for edit in edits if edit.site.layer == first.layer]
    if first.layer is None:
        if first.kind in ("embed", "pos_embed"):
            return EntryPoint(0, _PRE), *_split(edits, here, ("embed", "pos_embed"))
        return EntryPoint(config.n_layers - 1, _POST), [], list(edits)
    if first.kind in _STREAM:
        same = [edit for edit in here if edit.site == first]
        return EntryPoint(first.layer, _STREAM[first.kind]), *_split(edits, same, (first.kind,))
    side_by_side = config.parallel and any(edit.site.kind.startswith("ln2") for edit in here)
    if side_by_side or any(edit.site.kind in _BEFORE for edit in here):
        return EntryPoint(first.layer, _PRE), [], list(edits)
    if first.kind in ATTENTION and config.d_mlp and not config.parallel:
        return EntryPoint(first.layer, _MID), *_split(edits, here, ATTENTION)
    if first.kind in ATTENTION + MLP and not any(edit.site.kind in _NORM for edit in here):
        return EntryPoint(first.layer, _POST), *_split(edits, here, ATTENTION + MLP)
    return EntryPoint(first.layer, _MID), [], list(edits)


def _split(
    edits: Sequence[Edit], here: Sequence[Edit], kinds: tuple[str, ...]
) -> tuple[list[Edit], list[Edit]]:
    now = [edit for edit in here if edit.site.kind in kinds]
    return now, [edit for edit in edits if edit not in now]


class LayerEntry:
    """What interventions that enter at one layer, for the same prompts and positions, share."""

    def __init__(
        self,
        model: Transformer,
        base: Base,
        layer: int,
        examples: Int[Tensor, " example"],
        start: int,
    ) -> None:
        self.model, self.base, self.layer = model, base, layer
        self.examples, self.start = examples, start
        self.block, self.config = model.block(layer), model.config

    def _of(self, kept: Tensor, start: int | None = None) -> Tensor:
        start = self.start if start is None else start
        whole = len(self.examples) == len(kept)
        return kept[:, start:] if whole else kept[self.examples, start:]

    @cached_property
    def before(self) -> Float[Tensor, "batch pos d_model"]:
        return self._of(self.base.resid_pre[self.layer])

    @cached_property
    def middle(self) -> Float[Tensor, "batch pos d_model"]:
        return self._of(self.base.resid_mid[self.layer])

    @cached_property
    def after(self) -> Float[Tensor, "batch pos d_model"]:
        last = self.layer == self.config.n_layers - 1
        return self._of(self.base.resid_post if last else self.base.resid_pre[self.layer + 1])

    @cached_property
    def z(self) -> Float[Tensor, "batch pos head d_head"]:
        return self._of(self.base.z[self.layer])

    @cached_property
    def _queries_keys(self) -> tuple[Tensor, Tensor]:
        """Queries from `start` on and keys at all positions, not yet normed or rotated."""
        attn = self.block.attn
        x = self.block.ln1(self._of(self.base.resid_pre[self.layer], 0))
        return read_heads(x[:, self.start :], attn.W_Q, attn.b_Q), read_heads(x, attn.W_K, attn.b_K)

    @property
    def _mlp_reads(self) -> Float[Tensor, "batch pos d_model"]:
        return self.before if self.config.parallel else self.middle

    @cached_property
    def _neurons(self) -> tuple[Tensor, Tensor | None]:
        return self._into_neurons(self._mlp_reads)

    def _into_neurons(
        self, stream: Float[Tensor, "batch pos d_model"]
    ) -> tuple[Tensor, Tensor | None]:
        """What enters the non-linearity and, in a gated MLP, what the gate multiplies."""
        mlp, x = self.block.mlp, self.block.ln2(stream)
        linear = project(x, mlp.W_in, mlp.b_in)
        if not self.config.gated:
            return linear, None
        return project(x, mlp.W_gate, mlp.b_gate), linear

    def entered(self, edits: Sequence[Edit]) -> Float[Tensor, "batch pos d_model"]:
        """The stream at the intervention's entry point, with these localised edits made."""
        kinds = {edit.site.kind for edit in edits}
        if kinds & {"embed", "pos_embed"}:
            return self._embedded(edits)
        if kinds & _STREAM.keys():
            (site,) = {edit.site for edit in edits}
            known = (self.before, self.middle, self.after)[_STREAM[site.kind]]
            return RunHooks(edits)(site, known)
        of_mlp = [edit for edit in edits if edit.site.kind in MLP]
        of_attention = [edit for edit in edits if edit.site.kind in ATTENTION]
        sequential = not self.config.parallel and self.config.d_mlp > 0
        if of_attention and sequential:
            return self._with_attention_edits(self.middle, of_attention)
        stream = self.after
        if of_attention:
            stream = self._with_attention_edits(stream, of_attention)
        return self._with_mlp_edits(stream, of_mlp) if of_mlp else stream

    def _embedded(self, edits: Sequence[Edit]) -> Tensor:
        hooks = RunHooks(edits)
        tokens = self.base.tokens[self.examples, self.start :]
        resid = hooks(sites.embed(), self.model.embed(tokens))
        if self.config.positions == "learned":
            positions = self.base.around.positions[self.examples, self.start :]
            resid = resid + hooks(sites.pos_embed(), self.model.pos_embed(tokens, positions))
        return resid

    def _with_attention_edits(self, stream: Tensor, edits: Sequence[Edit]) -> Tensor:
        """`stream` plus the difference that the edits make to attn_out."""
        hooks, layer = RunHooks(edits), self.layer
        kinds = {edit.site.kind for edit in edits}
        z = self.z
        if kinds - {"z", "head_out", "attn_out"}:
            z = self._mixed(hooks, edits)
        elif "z" in kinds:
            z = hooks(sites.z(layer), z)
        heads = self._heads(edits)
        W_O = self.block.attn.W_O if heads is None else self.block.attn.W_O[heads]
        spelt = "batch pos head d_head, head d_head d_model -> batch pos d_model"
        delta = None
        if kinds - {"head_out", "attn_out"}:
            changed, known = (z, self.z) if heads is None else (z[:, :, heads], self.z[:, :, heads])
            delta = einsum(spelt, changed - known, W_O)
        if "head_out" in kinds:
            each = "batch pos head d_head, head d_head d_model -> batch pos head d_model"
            written = einsum(each, z, self.block.attn.W_O)
            moved = (hooks(sites.head_out(layer), written) - written).sum(-2)
            delta = moved if delta is None else delta + moved
        if "attn_out" in kinds:
            known = self.block.attn.write(self.z)
            written = known if delta is None else known + delta
            delta = hooks(sites.attn_out(layer), written) - known
        return stream if delta is None else stream + delta

    def _mixed(self, hooks: RunHooks, edits: Sequence[Edit]) -> Tensor:
        """z from edited queries, keys and values or inputs of theirs, scores or patterns."""
        attn, around = self.block.attn, self.base.around
        q, k = self._queries_keys
        v = self._of(self.base.values[self.layer], 0)
        if any(edit.site.kind in INPUTS for edit in edits):
            q = self._read_anew(q, attn.W_Q, attn.b_Q, sites.q_input(self.layer), edits)
            k = self._read_anew(k, attn.W_K, attn.b_K, sites.k_input(self.layer), edits)
            v = self._read_anew(v, attn.W_V, attn.b_V, sites.v_input(self.layer), edits)
        rows = self.examples if len(around.mask(self.layer)) > 1 else slice(0, 1)
        rotary = around.rotary
        of_k = rotary and Angles(rotary.cos[rows], rotary.sin[rows])
        of_q = rotary and Angles(rotary.cos[rows, self.start :], rotary.sin[rows, self.start :])
        late = _Shifted(hooks, self.start)
        q = attn.place_queries(q, of_q, hooks)
        k = attn.place_keys(k, of_k, late)
        v = late(sites.v(self.layer), v)
        mask = around.mask(self.layer)[rows][:, :, self.start :]
        return attn.mix(q, k, v, mask, hooks)

    def _read_anew(
        self, known: Tensor, W: Tensor, b: Tensor | None, site: Site, edits: Sequence[Edit]
    ) -> Tensor:
        """Queries, keys or values, of the heads whose input is edited read from that."""
        mine = [edit for edit in edits if edit.site in (sites.attn_in(self.layer), site)]
        if not mine:
            return known
        every = range(len(W))
        of_each = [every if edit.where.heads is None else edit.where.heads for edit in mine]
        heads = sorted({head % len(W) for of_one in of_each for head in of_one})
        # Copies of these heads alone.
        own = self.before[:, :, None].expand(-1, -1, len(heads), -1)
        for edit, of_one in zip(mine, of_each, strict=True):
            there = tuple(heads.index(head % len(W)) for head in of_one)
            own = replace(edit, where=replace(edit.where, heads=there)).apply(own)
        read = read_heads(self.block.ln1(own), W[heads], None if b is None else b[heads])
        known = known.clone()
        known[:, known.shape[1] - own.shape[1] :, heads] = read
        return known

    def _heads(self, edits: Sequence[Edit]) -> list[int] | None:
        """The query heads whose z the edits can change; None for all."""
        heads: set[int] = set()
        for edit in edits:
            if edit.where.heads is None:
                return None
            if edit.site.kind in ("k", "v", "k_scale", "rot_k", "k_input", "v_input"):
                group, n_kv_heads = self.config.group, self.config.n_kv_heads
                read = [kv % n_kv_heads * group for kv in edit.where.heads]
                heads |= {first + each for first in read for each in range(group)}
            else:
                heads |= {head % self.config.n_heads for head in edit.where.heads}
        return sorted(heads)

    def _with_mlp_edits(self, stream: Tensor, edits: Sequence[Edit]) -> Tensor:
        """`stream` plus the difference that the edits make to mlp_out."""
        hooks, layer, mlp = RunHooks(edits), self.layer, self.block.mlp
        kinds = {edit.site.kind for edit in edits}
        act = ACTIVATIONS[self.config.activation]
        pre, linear = self._neurons
        post = act(pre) if linear is None else act(pre) * linear
        delta = None
        if kinds != {"mlp_out"}:
            if "mlp_in" in kinds:
                pre, linear = self._into_neurons(hooks(sites.mlp_in(layer), self._mlp_reads))
            changed = act(hooks(sites.mlp_pre(layer), pre))
            if linear is not None:
                changed = hooks(sites.gate(layer), changed) * hooks(
                    sites.mlp_pre_linear(layer), linear
                )
            difference = hooks(sites.mlp_post(layer), changed) - post
            units = [edit.where.units for edit in edits if edit.site.kind != "mlp_out"]
            if None in units or "mlp_in" in kinds:
                delta = project(difference, mlp.W_out, None)
            else:
                some = sorted({unit % self.config.d_mlp for each in units for unit in each})  # type: ignore[union-attr]
                delta = difference[..., some] @ mlp.W_out[some]
        if "mlp_out" in kinds:
            known = project(post, mlp.W_out, mlp.b_out)
            written = known if delta is None else known + delta
            delta = hooks(sites.mlp_out(layer), written) - known
        return stream if delta is None else stream + delta


class _Shifted(Hooks):
    """Edits of keys and values, whose activations here begin at position 0 instead of `start`."""

    def __init__(self, hooks: RunHooks, start: int) -> None:
        self._tap, self._start = hooks, start

    def __call__(self, site: Site, activation: Tensor) -> Tensor:
        if not self._tap.edits(site):
            return activation
        edited = self._tap(site, activation[:, self._start :])
        return torch.cat([activation[:, : self._start], edited], dim=1)
