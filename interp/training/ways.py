"""Ways to a model of a language that few models serve: one's own, a fine-tuned one, and both together.

Method  A small model trained from nothing with the language's own tokenizer; a given one fine-tuned with the
        tokenizer that it has; and that one with the language's own tokenizer, its embeddings begun anew and
        its layers kept. All take as many steps of as many tokens.
Units   Bits per UTF-8 byte of held-out text.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from interp.training.data import of_texts
from interp.training.languages import Text, bits_per_byte, fit
from interp.training.loop import Recipe, optimizer, train
from interp.training.presets import fresh
from interp.transformer import Transformer
from interp.weights import load

GIVEN, BASE = "as it is", "base as it is"
OWN, TUNED, GRAFTED = "own model", "fine-tuned", "own tokenizer on base"
# Embeddings that begin anew take the higher rate.
RATES = {OWN: 2e-3, TUNED: 1e-3, GRAFTED: 2e-3}
N_CTX, BATCH = 128, 8
# Told after every step of one way to a model, of how many: what shows how far the work is.
Tick = Callable[[str, int], Callable[[], None]]


@dataclass(frozen=True, eq=False)
class Compared:
    """`bits` of every held-out block under each model; `curve` has model, step, passes (through the text) and
    bits_per_byte; `trained` has model, weights, vocabulary and passes."""

    bits: dict[str, Float[np.ndarray, " example"]]
    curve: pd.DataFrame
    trained: pd.DataFrame


def starts(base: Transformer, tokenizer: Any, seed: int) -> dict[str, Transformer]:
    """The models that training begins with, of the shape of `base`."""
    config = replace(base.config, d_vocab=len(tokenizer), d_vocab_out=len(tokenizer))
    new, grafted = (fresh(config, seed, tokenizer=lambda: tokenizer) for _ in range(2))
    layers = {
        name: each
        for name, each in base.state_dict().items()
        if not name.startswith(("embed.", "unembed."))
    }
    grafted.load_state_dict({**grafted.state_dict(), **layers})
    return {OWN: new, TUNED: base, GRAFTED: grafted}


def learning(
    model: Transformer,
    text: Text,
    rate: float,
    when: Collection[int],
    seed: int,
    tick: Callable[[], None] = lambda: None,
) -> Iterator[tuple[int, Float[np.ndarray, " example"]]]:
    """Trains the model on the text; the step and the bits a byte of every held-out block, before the first
    step and at each of `when`."""
    recipe = Recipe(steps=max(when), batch=BATCH, rate=rate, warmup=20, seed=seed)
    data = of_texts(["\n".join(text.learnt)], model.tokenizer, n_ctx=N_CTX, seed=seed)
    yield 0, bits_per_byte(model, text.blocks, N_CTX)
    for step in train(model, data.source.batch, recipe, optimizer(model, recipe)):
        tick()
        if step.number in when:
            yield step.number, bits_per_byte(model, text.blocks, N_CTX)


def compare(
    given: Transformer,
    base: str,
    tokenizer: Any,
    text: Text,
    when: Collection[int],
    seed: int,
    tick: Tick = lambda way, steps: lambda: None,
) -> Compared:
    """The given model and the one called `base` as they are, and the three ways from there."""
    tuned, last = load(base), max(when)
    bits = {
        name: bits_per_byte(each, text.blocks, N_CTX)
        for name, each in ((GIVEN, given), (BASE, tuned))
    }
    curve, trained = [], []
    n_bytes = len("\n".join(text.learnt).encode())
    for way, model in starts(tuned, tokenizer, seed).items():
        a_step = BATCH * N_CTX / fit(model.tokenizer, text.learnt).tokens_per_byte / n_bytes
        for step, found in learning(model, text, RATES[way], when, seed, tick(way, last)):
            bits[way] = found
            curve.append([way, step, step * a_step, float(found.mean())])
        n_weights = sum(each.numel() for each in model.parameters())
        trained.append([way, n_weights, len(model.tokenizer), last * a_step])
    return Compared(
        bits,
        pd.DataFrame(curve, columns=["model", "step", "passes", "bits_per_byte"]),
        pd.DataFrame(trained, columns=["model", "weights", "vocabulary", "passes"]),
    )


def ahead(curve: pd.DataFrame, one: str, other: str) -> int | None:
    """The first step from which on one way needs fewer bits a byte than the other to the end; None where it
    does not at the end."""
    by_way = curve.pivot(index="step", columns="model", values="bits_per_byte")
    behind = np.flatnonzero(~(by_way[one] < by_way[other]).to_numpy())
    first = 0 if not len(behind) else int(behind[-1]) + 1
    return int(by_way.index[first]) if first < len(by_way) else None
