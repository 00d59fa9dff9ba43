"""What heads could do, read from the weights alone: copy and match.

Method  A head's OV circuit W_V W_O says what it writes of what it reads, its QK circuit W_Q R(Δ) W_Kᵀ what
        it attends to; R(Δ) is the rotation between a query and a key Δ positions before it, the identity
        without rotary positions. Norms' weights (and LayerNorm's centring) are multiplied into what reads
        them, their scales left out. Copying and matching scores are Σλ/Σ|λ| over the eigenvalues of
        tokens → OV → logits and tokens → QK → tokens, d_head × d_head products.
Units   Scores between −1 and 1, shares of tokens (accuracy).
Source  Elhage et al. 2021, A Mathematical Framework for Transformer Circuits.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from einops import rearrange
from fancy_einsum import einsum
from jaxtyping import Float, Int
from torch import Tensor

from interp import sites
from interp.errors import NotApplicable
from interp.transformer import Run, Transformer
from interp.transformer.norm import Norm
from interp.transformer.rotary import angles, rotate

# Tokens of the vocabulary worked on at once.
_ROWS = 8192


@dataclass(frozen=True, slots=True)
class Factors:
    """One matrix for every head, `left @ right`, that is never multiplied out."""

    left: Float[Tensor, "head d_model d_head"]
    right: Float[Tensor, "head d_head d_model"]

    @property
    def norm(self) -> Float[Tensor, " head"]:
        """‖left · right‖ (Frobenius)."""
        return (triangular(self.left) @ self.right).norm(dim=(-2, -1))


def output_value(model: Transformer, layer: int) -> Factors:
    """W_V W_O of every head, as it reads the normalized stream; the norm's weight is in W_V."""
    block = model.block(layer)
    W_V = block.attn.W_V.detach().repeat_interleave(model.config.group, 0)
    return Factors(_single(_read_through(block.ln1, W_V)), _single(block.attn.W_O.detach()))


def query_key(model: Transformer, layer: int, offset: int = 0) -> Factors:
    """W_Q R(Δ) W_Kᵀ of every head, for a key `offset` = Δ positions before the query.

    Raises  NotApplicable for a model with q/k norm, which makes a score depend on the lengths of
            query and key: it has no fixed bilinear form.
    """
    if model.config.qk_norm:
        raise NotApplicable(
            f"{model.name} normalizes queries and keys, so its QK circuits are no fixed bilinear form"
        )
    block = model.block(layer)
    W_K = block.attn.W_K.detach().repeat_interleave(model.config.group, 0)
    W_Q = _read_through(block.ln1, block.attn.W_Q.detach())
    W_K = _read_through(block.ln1, W_K)
    if model.config.positions == "rotary":
        # What is left of both rotations in their product: queries rotated by Δ positions more.
        position = torch.tensor([[offset]], device=W_Q.device)
        W_Q = rotate(W_Q[None], angles(model.config, position, W_Q))[0]
    right = rearrange(W_K, "head d_model d_head -> head d_head d_model")
    return Factors(_single(W_Q), _single(right))


@torch.no_grad()
def writes(model: Transformer, run: Run, layer: int) -> Float[Tensor, "batch pos head d_model"]:
    """What each head writes, by its OV circuit: the normalized stream through `output_value`, mixed by
    the pattern, and the values' biases. It ought to be the model's own head_out.

    Raises  UsageError if the run did not keep the pattern and what the layer's norm made.
    """
    block, group = model.block(layer), model.config.group
    circuit = output_value(model, layer)
    normed = sites.resid_pre if model.config.norm == "none" else sites.ln1_normalized
    read = einsum(
        "batch key d_model, head d_model d_head -> batch key head d_head",
        run.cache[normed(layer)].to(circuit.left.dtype),
        circuit.left,
    )
    constant = torch.zeros_like(circuit.right[:, :, 0])
    if block.attn.b_V is not None:
        constant = constant + block.attn.b_V.repeat_interleave(group, 0)
    if block.ln1.kind == "layernorm":
        W_V = block.attn.W_V.repeat_interleave(group, 0)
        constant = constant + einsum(
            "d_model, head d_model d_head -> head d_head", block.ln1.b, W_V
        )
    pattern = run.cache[sites.pattern(layer)].to(read.dtype)
    z = einsum(
        "batch head query key, batch key head d_head -> batch query head d_head", pattern, read
    )
    return einsum(
        "batch pos head d_head, head d_head d_model -> batch pos head d_model",
        z + constant,
        circuit.right,
    )


def error(model: Transformer, tokens: Int[Tensor, "batch pos"]) -> float:
    """How far what the last layer's heads write by their OV circuits is from what they write, relative."""
    layer = model.config.n_layers - 1
    needed = ("resid_pre", "ln1_normalized", "pattern", "head_out")
    kept = [site for site in model.sites if site.layer == layer and site.kind in needed]
    run = model.run(tokens, keep=kept, logits_at=-1)
    expected = run.cache[sites.head_out(layer)]
    return float((writes(model, run, layer) - expected).norm() / expected.norm())


def _read_through(
    norm: Norm, W: Float[Tensor, "head d_model d_head"]
) -> Float[Tensor, "head d_model d_head"]:
    if norm.kind == "none":
        return W
    W = W * norm.w.detach()[:, None]
    return W - W.mean(-2, keepdim=True) if norm.kind == "layernorm" else W


def _single(W: Tensor) -> Tensor:
    """The weights in single precision at least, which decompositions of matrices ask for."""
    return W.float() if W.element_size() < 4 else W


def triangular(left: Float[Tensor, "head d_model d_head"]) -> Float[Tensor, "head d_head d_head"]:
    """R of left = QR: ‖left · x‖ = ‖R · x‖."""
    return torch.linalg.qr(left, mode="r").R


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Tokens as the stream has them, `embedded` and normalized without the norm's weight, and what
    the logits read of the stream, the final norm's weight and the vocabulary's mean taken in."""

    embedded: Float[Tensor, "d_vocab d_model"]
    unembedded: Float[Tensor, "d_vocab d_model"]


Start = Literal["W_E", "after the first MLP"]


@torch.no_grad()
def vocabulary(model: Transformer, start: Start) -> Vocabulary:
    """The model's tokens as it embeds them, or with the first layer's MLP added to them as if each
    stood alone and attention wrote nothing.

    Raises  NotApplicable for a model without MLPs, if that is asked for, or one that writes other
            tokens than it reads.
    """
    config = model.config
    if config.d_vocab != config.d_vocab_out:
        raise NotApplicable(f"{model.name} writes other tokens than it reads, so no head can copy")
    if start != "W_E" and not config.d_mlp:
        raise NotApplicable(f"{model.name} has no MLPs")
    block, parts = model.block(0), []
    for rows in model.embed.W_E.detach().split(_ROWS):
        after = rows if start == "W_E" else rows + block.mlp(block.ln2(rows[None]))[0]
        parts.append(_normalized(block.ln1, after))
    embedded = torch.cat(parts)
    W_U = model.unembed.matrix.detach().T
    if config.norm != "none":
        W_U = W_U * model.ln_final.w
    if config.norm == "layernorm":
        W_U = W_U - W_U.mean(-1, keepdim=True)
    # A shift of all logits is none: softmax does not see it.
    return Vocabulary(_single(embedded), _single(W_U - W_U.mean(0)))


def _normalized(norm: Norm, rows: Tensor) -> Tensor:
    if norm.kind == "none":
        return rows
    if norm.kind == "layernorm":
        rows = rows - rows.mean(-1, keepdim=True)
    return rows / (rows.square().mean(-1, keepdim=True) + norm.eps).sqrt()


@torch.no_grad()
def eigenvalue_score(
    circuit: Factors, middle: Float[Tensor, "d_model d_model"]
) -> Float[Tensor, " head"]:
    """Σ λ / Σ |λ| over the eigenvalues of `tokens in · left · right · tokens out`, `middle` = tokens outᵀ ·
    tokens in: 1 where every direction comes out as itself, −1 where each comes out as its opposite."""
    small = circuit.right @ middle @ circuit.left
    values = torch.linalg.eigvals(small)
    return values.real.sum(-1) / values.abs().sum(-1).clamp(min=1e-30)


@torch.no_grad()
def copying_middle(tokens: Vocabulary, order: Int[Tensor, " d_vocab"] | None = None) -> Tensor:
    """Σ over tokens of unembedded ⊗ embedded; with an `order` each is paired with another, as a control."""
    embedded = tokens.embedded if order is None else tokens.embedded[order]
    return tokens.unembedded.T @ embedded


@torch.no_grad()
def copying_accuracy(
    circuit: Factors, tokens: Vocabulary, sample: Int[Tensor, " label"]
) -> Float[Tensor, " head"]:
    """For every head the share of the sampled tokens that raise themselves above all others of the
    sample when the head reads them. Chance is one over their number."""
    read = tokens.embedded[sample] @ circuit.left
    logits = read @ (circuit.right @ tokens.unembedded[sample].T)
    own = torch.arange(len(sample), device=logits.device)
    return (logits.argmax(-1) == own).to(logits.dtype).mean(-1)


STARTS: dict[str, Start] = {"embedding": "W_E", "first_mlp": "after the first MLP"}
Scores = Float[np.ndarray, " head"]


def copying(model: Transformer, sample: int, seed: int = 0) -> tuple[dict[str, Scores], Scores]:
    """`copying_NAME` and `accuracy_NAME` of all heads for tokens as embedded and, if there are MLPs, after
    the first one; and the copying scores of all heads with tokens as embedded paired at random.

    Raises  NotApplicable for a model that writes other tokens than it reads.
    """
    order = torch.randperm(model.config.d_vocab, generator=torch.Generator().manual_seed(seed))
    values = [output_value(model, layer) for layer in range(model.config.n_layers)]
    found, control = dict[str, Scores](), np.zeros(0)
    for name, start in STARTS.items():
        if name != "embedding" and not model.config.d_mlp:
            continue
        tokens = vocabulary(model, start)
        middle = copying_middle(tokens)
        found[f"copying_{name}"] = _each(values, eigenvalue_score, middle)
        found[f"accuracy_{name}"] = _each(values, copying_accuracy, tokens, order[:sample])
        if name == "embedding":
            shuffled = copying_middle(tokens, order)
            control = _each(values, eigenvalue_score, shuffled)
    return found, control


def matching(model: Transformer, offsets: Sequence[int]) -> dict[str, Scores]:
    """`matching_Δ` of all heads at every distance; one distance where there is no rotation.

    Raises  NotApplicable for a model with q/k norm.

    >>> list(matching(model, [0]))
    ['matching_0']
    """
    offsets = offsets if model.config.positions == "rotary" else offsets[:1]
    each = {
        offset: [query_key(model, layer, offset) for layer in range(model.config.n_layers)]
        for offset in offsets
    }
    embedded = vocabulary(model, "W_E").embedded
    # With a QK circuit: whether tokens attend to themselves.
    middle = embedded.T @ embedded
    return {
        f"matching_{offset}": _each(values, eigenvalue_score, middle)
        for offset, values in each.items()
    }


def _each(values: Iterable[Factors], score: Callable[..., Tensor], *given: Any) -> Scores:
    return torch.cat([score(circuit, *given) for circuit in values]).double().cpu().numpy()
