"""What heads and MLPs write to the residual stream: sums in numbers, shares, and how alike heads write."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from interp.components import Head
from interp.methods.decompose import Decomposition
from interp.methods.identities.head_sum import HeadSum
from interp.report import Chart, Formula, Maps, Series, Table
from interp.views.pictures import array, heatmap, maps

_DIMENSIONS = 4
_WRITERS = {
    **{"embed": "embedding", "pos_embed": "embedding", "head": "attention"},
    **{"attn_bias": "attention", "mlp": "MLP", "mlp_bias": "MLP"},
}


def algebra(done: HeadSum, layer: int, token: str) -> list[Formula | Table]:
    """The sum over the heads of one layer as an equation, and in numbers at the last position."""
    rows = {str(Head(layer, head)): each for head, each in enumerate(done.head_out[0, -1])}
    rows |= {"b_O": done.bias, "added up": done.summed[0, -1]}
    rows |= {"concatenated and projected": done.concatenated[0, -1]}
    rows |= {"written by the model": done.attn_out[0, -1]}
    frame = pd.DataFrame(
        [[name, *each[:_DIMENSIONS].tolist()] for name, each in rows.items()],
        columns=["written by", *(f"dimension {dim}" for dim in range(_DIMENSIONS))],
    )
    title = f"Layer {layer} at the last token, {token!r}"
    return [
        Formula(
            "concat(z₀, z₁, …) · W_O  =  [z₀ z₁ …] · [ W_O⁰ ; W_O¹ ; … ]  =  z₀ W_O⁰ + z₁ W_O¹ + …",
            "W_O is a stack of blocks of rows, one block a head.",
        ),
        Table("algebra", frame, title=title, first_rows=len(frame)),
    ]


def head_shares(sums: Sequence[HeadSum]) -> pd.DataFrame:
    """layer, head, and each head's share of its layer's attn_out: the mean over the positions after the
    first (of the first, if it is alone), and at the first, often an attention sink."""
    shares = np.stack([array(each.head_share[0]) for each in sums])
    n_layers, _, n_heads = shares.shape
    columns = [Head(layer, head).columns() for layer in range(n_layers) for head in range(n_heads)]
    return pd.DataFrame(columns).assign(
        share=_later(shares).mean(1).ravel(), share_first_position=shares[:, 0].ravel()
    )


def heads(sums: Sequence[HeadSum], layer: int) -> list[Maps]:
    """Who writes how much: shares, lengths, and how alike the heads of one layer write."""
    shares = head_shares(sums)
    norms = _later(np.stack([array(each.head_out[0].norm(dim=-1)) for each in sums])).mean(1)
    cosines = _later(array(sums[layer].cosines)).mean(1)[0]
    share, at_first = (
        shares[each].to_numpy().reshape(len(sums), -1) for each in ("share", "share_first_position")
    )
    after = "after the first"
    length = f"Length of what the head writes, mean {after} position"
    return [
        Maps(
            [
                heatmap(f"Share of attn_out, mean over positions {after}", share),
                heatmap("Share of attn_out at the first position", at_first),
                heatmap(length, norms, scale="sequential"),
            ]
        ),
        maps(
            {f"Cosine between heads of layer {layer}, mean {after} position": cosines},
            ("head", "other head"),
            low=-1,
            high=1,
            note="Heads are not orthogonal: they may write the same thing, or undo each other, "
            "which is why shares can be negative or above 1.",
        ),
    ]


def stream(parts: Decomposition, n_layers: int) -> list[Chart | Table]:
    """How the residual stream at the last token comes about: every component's share of it,
    ⟨component, stream⟩ / ‖stream‖², and what each layer's attention and MLP have together."""
    final = parts.stream[0, -1]
    share = array((parts.parts[:, 0, -1] @ final) / (final @ final))
    kinds = [each.kind for each in parts.components]
    frame = pd.DataFrame({"component": map(str, parts.components), "kind": kinds, "share": share})
    depth = ["embedding", *(f"layer {each}" for each in range(n_layers))]
    at = [0 if each.layer is None else each.layer + 1 for each in parts.components]
    writer = frame["kind"].map(_WRITERS)
    series = [
        Series(name, depth, np.bincount(at, np.where(writer == name, share, 0), len(depth)))
        for name in dict.fromkeys(_WRITERS.values())
    ]
    return [
        Chart(
            "Share of the final residual stream at the last token, by where it was written",
            "stacked",
            series,
            "written by",
            "share of the final residual stream",
        ),
        Table(
            "stream",
            frame.sort_values("share", key=abs, ascending=False),
            title="Every component of the final residual stream at the last token",
        ),
    ]


def _later(values: np.ndarray) -> np.ndarray:
    """The positions after the first, where there are any; positions are the second axis."""
    return values[:, 1:] if values.shape[1] > 1 else values
