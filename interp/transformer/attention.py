"""Attention: the only part of the model that moves information between positions."""

from __future__ import annotations

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from interp import sites
from interp.transformer.config import Config
from interp.transformer.contract import einsum
from interp.transformer.hooks import NO_HOOKS, Hooks
from interp.transformer.initial import initialise
from interp.transformer.mask import attention_mask
from interp.transformer.norm import Norm, at_least_float32
from interp.transformer.project import read_heads, reading_heads, write_heads
from interp.transformer.rotary import Angles, first_angles, rotate


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
        x: Float[Tensor, "batch pos d_model"],
        mask: Bool[Tensor, "#batch 1 query key"] | None = None,
        rotary: Angles | None = None,
        hooks: Hooks = NO_HOOKS,
    ) -> Float[Tensor, "batch pos d_model"]:
        q = self.queries(x, rotary, hooks)
        k = self.keys(x, rotary, hooks)
        v = self.values(x, hooks)
        z = self.mix(q, k, v, mask, hooks)
        return hooks(sites.attn_out(self.layer), self.write(z, hooks))

    def queries(
        self,
        x: Float[Tensor, "batch pos d_model"],
        rotary: Angles | None = None,
        hooks: Hooks = NO_HOOKS,
    ) -> Float[Tensor, "batch pos head d_head"]:
        """What each head looks for at every position."""
        return self.place_queries(read_heads(x, self.W_Q, self.b_Q), rotary, hooks)

    def place_queries(
        self,
        q: Float[Tensor, "batch pos head d_head"],
        rotary: Angles | None = None,
        hooks: Hooks = NO_HOOKS,
    ) -> Float[Tensor, "batch pos head d_head"]:
        """Queries normed and rotated, as they are compared."""
        q = hooks(sites.q(self.layer), q)
        if self.config.qk_norm:
            q = self.q_norm(q, hooks)
        if self.config.positions != "rotary":
            return q
        return hooks(sites.rot_q(self.layer), rotate(q, rotary or first_angles(self.config, q)))

    def keys(
        self,
        x: Float[Tensor, "batch pos d_model"],
        rotary: Angles | None = None,
        hooks: Hooks = NO_HOOKS,
    ) -> Float[Tensor, "batch pos kv_head d_head"]:
        """What every position offers to be found by."""
        return self.place_keys(read_heads(x, self.W_K, self.b_K), rotary, hooks)

    def place_keys(
        self,
        k: Float[Tensor, "batch pos kv_head d_head"],
        rotary: Angles | None = None,
        hooks: Hooks = NO_HOOKS,
    ) -> Float[Tensor, "batch pos kv_head d_head"]:
        """Keys normed and rotated, as they are compared."""
        k = hooks(sites.k(self.layer), k)
        if self.config.qk_norm:
            k = self.k_norm(k, hooks)
        if self.config.positions != "rotary":
            return k
        return hooks(sites.rot_k(self.layer), rotate(k, rotary or first_angles(self.config, k)))

    def values(
        self, x: Float[Tensor, "batch pos d_model"], hooks: Hooks = NO_HOOKS
    ) -> Float[Tensor, "batch pos kv_head d_head"]:
        """What every position gives to whoever attends to it."""
        return hooks(sites.v(self.layer), read_heads(x, self.W_V, self.b_V))

    def mix(
        self,
        q: Float[Tensor, "batch query head d_head"],
        k: Float[Tensor, "batch key kv_head d_head"],
        v: Float[Tensor, "batch key kv_head d_head"],
        mask: Bool[Tensor, "#batch 1 query key"] | None = None,
        hooks: Hooks = NO_HOOKS,
    ) -> Float[Tensor, "batch query head d_head"]:
        """z: every head's values, averaged over the keys by its pattern."""
        if mask is None:
            real = k.new_ones(1, k.shape[1], dtype=torch.bool)
            mask = attention_mask(real, self.config.causal, self.config.window(self.layer))
        if self.training and torch.is_grad_enabled() and not self._watched(hooks):
            return hooks(sites.z(self.layer), self._mix_fused(q, k, v, mask))
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

    def _watched(self, hooks: Hooks = NO_HOOKS) -> bool:
        """Whether anybody looks at what the fused kernel never writes down."""
        return hooks.wants(sites.scores(self.layer)) or hooks.wants(sites.pattern(self.layer))

    def _mix_fused(
        self,
        q: Float[Tensor, "batch query head d_head"],
        k: Float[Tensor, "batch key kv_head d_head"],
        v: Float[Tensor, "batch key kv_head d_head"],
        mask: Bool[Tensor, "#batch 1 query key"],
    ) -> Float[Tensor, "batch query head d_head"]:
        """The same z by PyTorch's fused kernel: what training uses, since it is faster and keeps no
        pattern for the backward pass. It cannot be differentiated twice."""
        q, k, v = (
            rearrange(each, "batch pos head d_head -> batch head pos d_head") for each in (q, k, v)
        )
        # Told so, the kernel leaves out the half that a plain causal mask hides.
        causal = torch.equal(mask[0, 0], torch.ones_like(mask[0, 0]).tril()) and len(mask) == 1
        z = functional.scaled_dot_product_attention(
            *(q, k, v),
            attn_mask=None if causal else mask,
            is_causal=causal,
            scale=1 / self.scale,
            enable_gqa=self.config.group > 1,
        )
        return rearrange(z, "batch head pos d_head -> batch pos head d_head")

    def write(
        self, z: Float[Tensor, "batch pos head d_head"], hooks: Hooks = NO_HOOKS
    ) -> Float[Tensor, "batch pos d_model"]:
        """What the layer adds to the stream: concatenating the heads and projecting is the same as
        summing what each head writes, and costs no [head d_model] per position."""
        site = sites.head_out(self.layer)
        if hooks.wants(site):
            head_out = hooks(
                site,
                einsum(
                    "batch pos head d_head, head d_head d_model -> batch pos head d_model",
                    z,
                    self.W_O,
                ),
            )
            # Gradients too have to pass through what was kept.
            if hooks.edits(site) or head_out.requires_grad:
                return head_out.sum(-2) if self.b_O is None else head_out.sum(-2) + self.b_O
        return write_heads(z, self.W_O, self.b_O)


def _bias(present: bool, *shape: int) -> nn.Parameter | None:
    return nn.Parameter(torch.empty(shape)) if present else None
