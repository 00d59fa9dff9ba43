"""Attention: the only part of the model that moves information between positions."""

import torch
from torch import nn

from interp import sites
from interp.transformer import fused
from interp.transformer.config import Config
from interp.transformer.contract import einsum
from interp.transformer.hooks import NO_HOOKS, Hooks
from interp.transformer.initial import initialise
from interp.transformer.inputs import Read, Reads
from interp.transformer.layout import reading_heads
from interp.transformer.mask import attention_mask
from interp.transformer.norm import Norm, at_least_float32
from interp.transformer.project import read_heads, write_heads
from interp.transformer.rotary import Angles, first_angles, rotate
from interp.transformer.shapes import Keys, Mask, Mixed, Queries, Resid


class Attention(nn.Module):
    """Heads that read the normalized stream and write to the stream.

    Query heads share key/value heads in groups: head h reads kv_head h // group. Without a mask and
    rotary angles, prompts begin at the first position and are not padded.
    """

    def __init__(self, config: Config, layer: int = 0) -> None:
        super().__init__()
        self.config, self.layer = config, layer
        self.W_Q = reading_heads(config.n_heads, config.d_model, config.d_head)
        self.W_K = reading_heads(config.n_kv_heads, config.d_model, config.d_head)
        self.W_V = reading_heads(config.n_kv_heads, config.d_model, config.d_head)
        self.W_O = nn.Parameter(torch.empty(config.n_heads, config.d_head, config.d_model))
        self.b_Q = _bias(config.q_bias, config.n_heads, config.d_head)
        self.b_K = _bias(config.kv_bias, config.n_kv_heads, config.d_head)
        self.b_V = _bias(config.kv_bias, config.n_kv_heads, config.d_head)
        self.b_O = _bias(config.o_bias, config.d_model)
        if config.qk_norm:
            self.q_norm = Norm("rmsnorm", config.d_head, config.norm_eps)
            self.k_norm = Norm("rmsnorm", config.d_head, config.norm_eps)
        initialise(self, config)

    @property
    def scale(self) -> float:
        """What scores are divided by."""
        by_layer = self.layer + 1 if self.config.attn_scale_by_layer else 1
        return self.config.attn_scale * by_layer

    def forward(
        self,
        x: Resid | Reads,
        mask: Mask | None = None,
        rotary: Angles | None = None,
        hooks: Hooks = NO_HOOKS,
    ) -> Resid:
        of_q, of_k, of_v = x if isinstance(x, Reads) else (x, x, x)
        q = self.queries(of_q, rotary, hooks)
        k = self.keys(of_k, rotary, hooks)
        v = self.values(of_v, hooks)
        z = self.mix(q, k, v, mask, hooks)
        return hooks(sites.attn_out(self.layer), self.write(z, hooks))

    def queries(self, x: Read, rotary: Angles | None = None, hooks: Hooks = NO_HOOKS) -> Queries:
        """What each head looks for at every position."""
        return self.place_queries(read_heads(x, self.W_Q, self.b_Q), rotary, hooks)

    def place_queries(
        self, q: Queries, rotary: Angles | None = None, hooks: Hooks = NO_HOOKS
    ) -> Queries:
        """Queries normed and rotated, as they are compared."""
        q = hooks(sites.q(self.layer), q)
        if self.config.qk_norm:
            q = self.q_norm(q, hooks, sites.q_scale(self.layer))
        if self.config.positions != "rotary":
            return q
        return hooks(sites.rot_q(self.layer), rotate(q, rotary or first_angles(self.config, q)))

    def keys(self, x: Read, rotary: Angles | None = None, hooks: Hooks = NO_HOOKS) -> Keys:
        """What every position offers to be found by."""
        return self.place_keys(read_heads(x, self.W_K, self.b_K), rotary, hooks)

    def place_keys(self, k: Keys, rotary: Angles | None = None, hooks: Hooks = NO_HOOKS) -> Keys:
        """Keys normed and rotated, as they are compared."""
        k = hooks(sites.k(self.layer), k)
        if self.config.qk_norm:
            k = self.k_norm(k, hooks, sites.k_scale(self.layer))
        if self.config.positions != "rotary":
            return k
        return hooks(sites.rot_k(self.layer), rotate(k, rotary or first_angles(self.config, k)))

    def values(self, x: Read, hooks: Hooks = NO_HOOKS) -> Keys:
        """What every position gives to whoever attends to it."""
        return hooks(sites.v(self.layer), read_heads(x, self.W_V, self.b_V))

    def mix(
        self, q: Queries, k: Keys, v: Keys, mask: Mask | None = None, hooks: Hooks = NO_HOOKS
    ) -> Queries:
        """z: every head's values, averaged over the keys by its pattern."""
        if mask is None:
            real = k.new_ones(1, k.shape[1], dtype=torch.bool)
            mask = attention_mask(real, self.config.causal, self.config.window(self.layer))
        if self.training and torch.is_grad_enabled():
            inside = (sites.scores(self.layer), sites.pattern(self.layer))
            if not any(map(hooks.wants, inside)):
                return hooks(sites.z(self.layer), fused.mixed(q, k, v, mask, self.scale))
        groups = (self.config.n_kv_heads, self.config.group)
        scores = einsum(
            "batch query kv_head group d_head, batch key kv_head d_head"
            " -> batch kv_head group query key",
            q.unflatten(2, groups),
            k,
        ).flatten(1, 2)
        scores = (scores / self.scale).masked_fill(~mask, float("-inf"))
        scores = hooks(sites.scores(self.layer), scores)
        pattern = at_least_float32(scores).softmax(-1).to(q.dtype)
        pattern = hooks(sites.pattern(self.layer), pattern)
        z = einsum(
            "batch kv_head group query key, batch key kv_head d_head"
            " -> batch query kv_head group d_head",
            pattern.unflatten(1, groups),
            v,
        ).flatten(2, 3)
        return hooks(sites.z(self.layer), z)

    def write(self, z: Mixed, hooks: Hooks = NO_HOOKS) -> Resid:
        """What the layer adds to the stream: concatenating the heads and projecting is the same as
        summing what each head writes, and costs no [head d_model] per position."""
        site = sites.head_out(self.layer)
        if hooks.wants(site):
            each = "batch pos head d_head, head d_head d_model -> batch pos head d_model"
            head_out = hooks(site, einsum(each, z, self.W_O))
            # Gradients too have to pass through what was kept.
            if hooks.edits(site) or head_out.requires_grad:
                return head_out.sum(-2) if self.b_O is None else head_out.sum(-2) + self.b_O
        return write_heads(z, self.W_O, self.b_O)


def _bias(present: bool, *shape: int) -> nn.Parameter | None:
    return nn.Parameter(torch.empty(shape)) if present else None
