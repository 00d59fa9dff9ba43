"""Concatenating heads and projecting, beside adding up what each head writes.

Method  W_O, flattened to `[(head d_head) d_model]`, is a stack of blocks of rows, one a head, so that the
        concatenated z times the whole is the sum of each head's z times its own block.
Source  Elhage et al. 2021, A Mathematical Framework for Transformer Circuits.
"""

from dataclasses import dataclass

import torch
from einops import rearrange
from fancy_einsum import einsum
from jaxtyping import Float
from torch import Tensor

from interp import sites
from interp.transformer import Run, Transformer


@dataclass(frozen=True, slots=True)
class HeadSum:
    """One attention layer's output computed in different ways: `concatenated` and `summed` ought to agree
    with each other and with `attn_out`, the model's own; `permuted` has every head on the next head's rows of
    W_O and ought to differ. `head_out` is what each head writes."""

    attn_out: Float[Tensor, "batch pos d_model"]
    concatenated: Float[Tensor, "batch pos d_model"]
    summed: Float[Tensor, "batch pos d_model"]
    permuted: Float[Tensor, "batch pos d_model"]
    head_out: Float[Tensor, "batch pos head d_model"]
    bias: Float[Tensor, " d_model"]

    @property
    def differences(self) -> dict[str, float]:
        """How far the two computations are from each other, the sum from the model, and from it the heads
        on the next head's rows; relative ones to ‖attn_out‖, at the position where they are largest."""
        apart = self.summed - self.concatenated
        return {
            "largest_difference": float(apart.abs().max()),
            "relative_difference": self._relative(apart),
            "difference_from_model": self._relative(self.summed - self.attn_out),
            "permuted_difference": self._relative(self.permuted - self.attn_out),
        }

    @property
    def head_share(self) -> Float[Tensor, "batch pos head"]:
        """⟨what the head writes, attn_out⟩ / ‖attn_out‖²: with the bias's share it adds up to 1."""
        return self._share(self.head_out)

    @property
    def bias_share(self) -> Float[Tensor, "batch pos"]:
        """⟨b_O, attn_out⟩ / ‖attn_out‖²."""
        return self._share(self.bias.expand_as(self.attn_out)[:, :, None])[..., 0]

    @property
    def cosines(self) -> Float[Tensor, "batch pos head component"]:
        """The cosine between what every two heads write."""
        unit = torch.nn.functional.normalize(self.head_out, dim=-1)
        return unit @ rearrange(unit, "batch pos head d_model -> batch pos d_model head")

    def _relative(self, difference: Tensor) -> float:
        return float((difference.norm(dim=-1) / self.attn_out.norm(dim=-1)).max())

    def _share(
        self, parts: Float[Tensor, "batch pos head d_model"]
    ) -> Float[Tensor, "batch pos head"]:
        whole = self.attn_out
        along = einsum("batch pos head d_model, batch pos d_model -> batch pos head", parts, whole)
        return along / whole.pow(2).sum(-1, keepdim=True)


@torch.no_grad()
def head_sum(model: Transformer, run: Run, layer: int) -> HeadSum:
    """Both computations of this layer's attention output, from a run that kept z and attn_out.

    >>> run = model.run([[3, 1, 4]], keep=[sites.z(1), sites.attn_out(1)])
    >>> found = head_sum(model, run, layer=1).differences
    >>> found["relative_difference"] < 1e-5 < found["permuted_difference"]
    True

    Raises  UsageError if the run did not keep them.
    """
    attn, z = model.block(layer).attn, run.cache[sites.z(layer)]
    attn_out = run.cache[sites.attn_out(layer)]
    bias = torch.zeros_like(attn_out[0, 0]) if attn.b_O is None else attn.b_O.detach()
    stacked = rearrange(attn.W_O, "head d_head d_model -> (head d_head) d_model")
    each = "batch pos head d_head, head d_head d_model -> batch pos head d_model"
    head_out, permuted = (einsum(each, z, W_O) for W_O in (attn.W_O, attn.W_O.roll(-1, 0)))
    return HeadSum(
        attn_out=attn_out,
        concatenated=rearrange(z, "batch pos head d_head -> batch pos (head d_head)") @ stacked
        + bias,
        summed=head_out.sum(2) + bias,
        permuted=permuted.sum(2) + bias,
        head_out=head_out,
        bias=bias,
    )
