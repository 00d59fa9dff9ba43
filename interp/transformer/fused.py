"""The same numbers by PyTorch's fused kernels, which training uses: faster, and they keep less for the
backward pass. What happens inside them cannot be read or changed, nor differentiated twice."""

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from interp.transformer.shapes import Keys, Mask, Queries


def mixed(q: Queries, k: Keys, v: Keys, mask: Mask, scale: float) -> Queries:
    """z: every head's values, averaged over the keys by its pattern."""
    q, k, v = (
        rearrange(each, "batch pos head d_head -> batch head pos d_head") for each in (q, k, v)
    )
    # Told so, the kernel leaves out the half that a plain causal mask hides.
    causal = torch.equal(mask[0, 0], torch.ones_like(mask[0, 0]).tril()) and len(mask) == 1
    z = functional.scaled_dot_product_attention(
        *(q, k, v),
        attn_mask=None if causal else mask,
        is_causal=causal,
        scale=1 / scale,
        enable_gqa=q.shape[1] != k.shape[1],
    )
    return rearrange(z, "batch head pos d_head -> batch pos head d_head")


def normed(
    x: Float[Tensor, "*batch d_model"], w: Tensor, b: Tensor | None, eps: float
) -> Float[Tensor, "*batch d_model"]:
    """LayerNorm, or RMSNorm where there is no bias: one pass instead of eight."""
    w = w.to(x.dtype)
    if b is None:
        return functional.rms_norm(x, w.shape, w, eps)
    return functional.layer_norm(x, w.shape, w, b.to(x.dtype), eps)
