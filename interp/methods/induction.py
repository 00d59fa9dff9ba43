"""Which heads look where an induction head, a previous-token head or a sink would look?

Method  On random tokens, repeated after the task's BOS, a head's score is its mean attention, over the
        queries that count, on the key (or keys) that such a head would attend to. A perfect head scores 1;
        one that spreads its attention evenly over what it may see scores `chance`.
Units   Attention in shares of 1.
Source  Olsson et al. 2022, In-context Learning and Induction Heads, arXiv:2209.11895 (prefix matching
        and copying: see `repeats` and `copying`).
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from fancy_einsum import einsum
from jaxtyping import Float, Int
from torch import Tensor

from interp import sites, stats
from interp.components import Head
from interp.errors import UsageError

# Studies that users have import `longest` and `repetition` from here.
from interp.methods.repetition import Repetition, longest, runs  # noqa: F401
from interp.methods.repetition import draw as repetition  # noqa: F401
from interp.stats import Estimate
from interp.transformer import Run, Transformer

# (queries, keys): attention from each query to each key of the same column counts.
Stripe = tuple[Int[Tensor, " step"], Int[Tensor, "component step"]]


@dataclass(frozen=True, slots=True)
class Scores:
    """Each score `[layer head example]`, an example being a sequence, and what a head that looks
    evenly at all that it may see would score, `[layer]`."""

    values: dict[str, Float[Tensor, "layer head example"]]
    chance: dict[str, Float[Tensor, " layer"]]

    def __or__(self, other: "Scores") -> "Scores":
        """These scores and those of the other."""
        return Scores(self.values | other.values, self.chance | other.chance)

    def of(self, name: str, head: Head) -> Float[np.ndarray, " example"]:
        """One head's score of this name on every sequence."""
        return self.values[name][head.layer, head.index].double().cpu().numpy()

    def estimates(self, seed: int = 0) -> dict[str, Estimate]:
        """Every score of every head `[layer head]`, with its interval over sequences."""
        return {
            name: stats.mean(each.double().cpu().numpy(), seed=seed)
            for name, each in self.values.items()
        }

    def means(self) -> dict[str, Float[np.ndarray, "layer head"]]:
        """Every score of every head, mean over sequences."""
        return {name: each.double().mean(-1).cpu().numpy() for name, each in self.values.items()}

    def frame(self) -> pd.DataFrame:
        """layer, head, and every score, mean over sequences: one row a head."""
        means = self.means()
        layer, head = np.indices(next(iter(means.values())).shape)
        columns = {name: each.ravel() for name, each in means.items()}
        return pd.DataFrame({"layer": layer.ravel(), "head": head.ravel()} | columns)

    def ranked(self, name: str, below: int | None = None) -> list[Head]:
        """The heads, of the layers before `below`, by this score, the highest first."""
        found = self.values[name][:below].double().mean(-1).flatten()
        rows = found.argsort(descending=True, stable=True).tolist()
        return [Head(*divmod(row, self.values[name].shape[1])) for row in rows]


def stripes(of: Repetition) -> dict[str, Stripe]:
    """Where each kind of head looks: induction and duplicate-token heads from the second copy on,
    the others from everywhere but the first position, which sees only itself."""
    n_pos = of.tokens.shape[1]
    later = torch.arange(1, n_pos)
    second = torch.arange(of.begin + of.length, of.begin + 2 * of.length)
    return {
        "induction": (second, (second - of.length + 1)[None]),
        "previous_token": (later, (later - 1)[None]),
        "duplicate_token": (second, (second - of.length)[None]),
        "first_token": (later, torch.zeros_like(later)[None]),
        "current_token": (later, later[None]),
    }


def repeats(of: Repetition) -> Stripe:
    """Prefix matching: from every token of a later copy to all that came after its earlier occurrences."""
    query = torch.arange(of.begin + of.length, of.begin + of.copies * of.length)
    copy = (query - of.begin) // of.length
    back = torch.arange(1, of.copies)[:, None]
    key = query - back * of.length + 1
    return query, torch.where(back <= copy, key, -1)


def score(pattern: Float[Tensor, "*batch query key"], stripe: Stripe) -> Float[Tensor, "*batch"]:
    """Mean over the stripe's queries of the attention on their keys (−1: no key)."""
    query, keys = stripe
    found = torch.stack([pattern[..., query, key] * (key >= 0) for key in keys])
    return found.sum(0).mean(-1)


def chance(model: Transformer, of: Repetition, stripe: Stripe) -> Float[Tensor, " layer"]:
    """The score, in each layer, of a head that looks evenly at everything it may see."""
    real = torch.ones_like(of.tokens[:1], dtype=torch.bool)
    around = model.surroundings(real, model.embed.W_E)
    rows = []
    for layer in range(model.config.n_layers):
        visible = around.mask(layer)[0, 0].double()
        rows.append(score(visible / visible.sum(-1, keepdim=True), stripe))
    return torch.stack(rows)


@torch.no_grad()
def head_scores(model: Transformer, of: Repetition) -> Scores:
    """The five positional scores of every head.

    >>> from interp.methods import repetition
    >>> scores = head_scores(model, repetition.draw(model, length=8, copies=2, count=4, seed=0))
    >>> scores.frame().shape[0]
    12
    """
    wanted = stripes(of)
    values: dict[str, list[Tensor]] = {name: [] for name in wanted}
    for run in runs(model, of, ("pattern",), logits_at=-1):
        patterns = run.cache.stack("pattern")
        for name, stripe in wanted.items():
            values[name].append(score(patterns, stripe))
    by_name = {name: torch.cat(each, dim=1).movedim(1, -1) for name, each in values.items()}
    likely = {name: chance(model, of, stripe) for name, stripe in wanted.items()}
    return Scores(by_name, likely)


@torch.no_grad()
def prefix_matching_and_copying(model: Transformer, of: Repetition) -> Scores:
    """Olsson et al.'s two scores of every head, on tokens repeated several times."""
    stripe = repeats(of)
    matching, copied = [], []
    for run in runs(model, of, ("pattern", "v"), logits_at=-1):
        matching.append(score(run.cache.stack("pattern"), stripe))
        copied.append(copying(model, run, of))
    values = {
        "prefix_matching": torch.cat(matching, dim=1).movedim(1, -1),
        "copying": torch.cat(copied, dim=1).movedim(1, -1),
    }
    by_chance = torch.full((model.config.n_layers,), 1 / of.length, dtype=torch.float64)
    return Scores(values, {"prefix_matching": chance(model, of, stripe), "copying": by_chance})


def copying(model: Transformer, run: Run, of: Repetition) -> Float[Tensor, "layer batch head"]:
    """How much of what a head raises is the token that it reads: from each token of the first copy,
    through the head's values and W_O, to the logits of all tokens of the sequence; of what they are
    raised above the mean over the vocabulary, the share that is the token's own, averaged over tokens.
    1: nothing else of the sequence is raised.

    Source  Olsson et al. 2022, arXiv:2209.11895, appendix (copying score).
    """
    config = model.config
    if config.d_vocab_out != config.d_vocab:
        raise UsageError(f"{model.name} writes other tokens than it reads, so no head can copy")
    first = slice(of.begin, of.begin + of.length)
    matrix = model.unembed.matrix
    columns = matrix[:, run.tokens[:, first]].movedim(0, -1) - matrix.mean(-1)
    if config.norm != "none":
        # Its scale is the same for all tokens, so it changes no share; nor does its bias.
        columns = columns * model.ln_final.w
    if config.norm == "layernorm":
        columns = columns - columns.mean(-1, keepdim=True)
    layers = []
    for layer in range(config.n_layers):
        v = run.cache[sites.v(layer)][:, first].repeat_interleave(config.group, dim=2)
        W_O = model.block(layer).attn.W_O
        read = einsum(
            "head d_head d_model, batch label d_model -> batch head d_head label", W_O, columns
        )
        raised = einsum(
            "batch pos head d_head, batch head d_head label -> batch head pos label", v, read
        )
        # In float16 the sum of small shares is 0.
        raised = raised.clamp(min=0).to(torch.promote_types(raised.dtype, torch.float32))
        own = raised.diagonal(dim1=-2, dim2=-1)
        layers.append((own / raised.sum(-1).clamp(min=1e-30)).mean(-1))
    return torch.stack(layers)
