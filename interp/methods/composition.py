"""What heads could feed each other, read from the weights alone.

Method  The norm of the product of what an earlier head writes and a later one reads, over the product
        of both norms; it comes from the factors' triangular parts, and no product is multiplied out.
Units   Shares of the largest possible norm. What chance gives is measured: the stream between the two
        heads is rotated at random.
Source  Elhage et al. 2021, A Mathematical Framework for Transformer Circuits.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from interp.components import Head
from interp.methods.circuits import Factors, output_value, query_key, triangular
from interp.transformer import Transformer

Composition = Literal["Q", "K", "V"]


@dataclass(frozen=True, slots=True)
class Compositions:
    """`scores[from layer, from head, to layer, to head]`, NaN where the one is not before the other;
    and the scores of some pairs with a random rotation of the stream between them, `baseline`."""

    scores: Float[Tensor, "layer head layer head"]
    baseline: Float[Tensor, " example"]

    @property
    def known(self) -> Float[Tensor, " example"]:
        """The scores of all pairs of heads of which the one is before the other."""
        return self.scores[self.scores.isfinite()]

    @property
    def share_beyond(self) -> float:
        """The share of these pairs that compose beyond everything that a random rotation gives."""
        known = self.known
        return float((known > self.baseline.max()).double().mean()) if len(known) else 0.0

    def pairs(self, most: int) -> list[tuple[Head, Head, float]]:
        """The heads that compose most, the one that writes first, with their score."""
        flat = self.scores.flatten().nan_to_num(nan=-1).double().cpu()
        size, n_heads = self.scores.shape[0] * self.scores.shape[1], self.scores.shape[1]
        order = flat.argsort(descending=True, stable=True)[: min(most, len(self.known))].tolist()
        places = [(*divmod(at // size, n_heads), *divmod(at % size, n_heads)) for at in order]
        return [
            (Head(*place[:2]), Head(*place[2:]), float(flat[at]))
            for place, at in zip(places, order, strict=True)
        ]


@torch.no_grad()
def compositions(
    model: Transformer, kind: Composition, *, offset: int = 0, rotations: int = 4, seed: int = 0
) -> Compositions:
    """‖W_OV · W‖ / (‖W_OV‖ ‖W‖) of every earlier head's OV with every later head's W: its W_QK (Q),
    its W_QKᵀ (K) or its W_OV (V).

    Raises  NotApplicable for Q and K in a model with q/k norm.

    >>> compositions(model, "K").scores.shape
    torch.Size([3, 4, 3, 4])
    """
    n_layers, n_heads = model.config.n_layers, model.config.n_heads
    writes = [_written(model, layer) for layer in range(n_layers)]
    reads = [_read(model, kind, layer, offset) for layer in range(n_layers)]
    scores = torch.full((n_layers, n_heads, n_layers, n_heads), torch.nan, device=model.device)
    stacked = torch.cat(reads)
    for layer in range(n_layers - 1):
        later = stacked[(layer + 1) * n_heads :]
        found = _product_norms(writes[layer], later)
        scores[layer, :, layer + 1 :] = rearrange(
            found, "head (layer group) -> head layer group", group=n_heads
        )
    return Compositions(scores, _baseline(torch.cat(writes), stacked, rotations, seed))


def _written(model: Transformer, layer: int) -> Tensor:
    """R W_O / ‖W_OV‖, which has the norms of W_OV with only d_head rows."""
    circuit = output_value(model, layer)
    rows = triangular(circuit.left) @ circuit.right
    return rows / rows.norm(dim=(-2, -1), keepdim=True)


def _read(model: Transformer, kind: Composition, layer: int, offset: int) -> Tensor:
    """The later head's matrix with only d_head columns, of norm 1."""
    circuit = output_value(model, layer) if kind == "V" else query_key(model, layer, offset)
    if kind == "K":
        circuit = Factors(circuit.right.mT, circuit.left.mT)
    columns = circuit.left @ triangular(circuit.right.mT).mT
    return columns / columns.norm(dim=(-2, -1), keepdim=True)


def _product_norms(
    written: Float[Tensor, "head d_head d_model"], read: Float[Tensor, "group d_model half"]
) -> Float[Tensor, "head group"]:
    """The norm of every product, all heads of one side with all of the other."""
    size = written.shape[-2]
    rows = rearrange(written, "head d_head d_model -> (head d_head) d_model")
    columns = rearrange(read, "group d_model d_head -> d_model (group d_head)")
    squares = rearrange(
        (rows @ columns).square_(),
        "(head d_head) (group half) -> head group d_head half",
        d_head=size,
        half=size,
    )
    return squares.sum((-2, -1)).sqrt()


def _baseline(written: Tensor, read: Tensor, rotations: int, seed: int) -> Tensor:
    """Scores of random pairs of heads with the residual stream rotated at random between the two."""
    generator = torch.Generator().manual_seed(seed)
    size = written.shape[-1]
    found = []
    for _ in range(rotations):
        drawn = torch.randn(size, size, generator=generator, dtype=torch.float32)
        rotation = torch.linalg.qr(drawn).Q.to(written)
        some = torch.randperm(len(written), generator=generator)[:16]
        others = torch.randperm(len(read), generator=generator)[:16]
        found.append(_product_norms(written[some] @ rotation, read[others]).flatten())
    return torch.cat(found)
