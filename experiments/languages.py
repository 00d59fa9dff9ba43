"""For a language that few models serve, is it worth training one's own, or fine-tuning what is there?

Method  About a thousand lines each of eight languages ship with the project; every tenth block of ten
        lines is held out. For every language the model's tokenizer is held against a byte-level BPE learnt
        from its lines alone. For the languages in `trained` four models are compared on the held-out
        blocks: the given one as it is; a small one trained from nothing with the language's own tokenizer;
        `base` fine-tuned with its English tokenizer; and `base` with the language's own tokenizer, its
        embeddings begun anew and its layers kept. All three are trained for the same number of steps of as
        many tokens and measured on the way. Bits per UTF-8 byte do not depend on how a tokenizer cuts the
        text. `among` and `trained` also take files of one's own, 200 lines of text or more.
Units   Tokens per word and per byte; share of tokens that are not whole characters; bits per byte, mean
        over held-out blocks, with intervals over blocks; differences are block by block.
Source  christos-c/bible-corpus at 44e5fca, CC0 1.0.
Limits  One kind of text, a few thousand tokens of it, one seed; a large model may have read these verses
        before. What counts as a word is what stands between spaces. The English tokenizer yields more
        tokens, so that as many tokens are less text: the charts count passes through it. Intervals know of
        no other training run.
"""

from dataclasses import replace
from typing import Annotated

import numpy as np
import pandas as pd

import interp
from interp import stats
from interp.report import Chart, Headline, Report, Section, Series, Table
from interp.study import Count, Range, Steps, meter, progress, study
from interp.training import bpe
from interp.training import languages as shipped
from interp.training.data import of_texts
from interp.training.initial import fresh
from interp.training.loop import optimizer, train
from interp.training.recipe import Recipe
from interp.views import figures, rules

ALL = ["swahili", "zulu", "wolof", "ewe", "latvian", "estonian", "basque", "manx"]
TRAINED = ["swahili", "ewe"]
N_CTX, BATCH = 128, 8
GIVEN, BASE = "as it is", "base as it is"
OWN, TUNED, GRAFTED = "own model", "fine-tuned", "own tokenizer on base"
# Embeddings that begin anew take the higher rate.
RATES = {OWN: 2e-3, TUNED: 1e-3, GRAFTED: 2e-3}
BETWEEN = (
    (OWN, GIVEN),
    (TUNED, GIVEN),
    (OWN, TUNED),
    (GRAFTED, OWN),
)


@study(
    expects="In every language the given tokenizer needs more tokens a word than the language's own, and "
    "in every language that is trained both a model of its own and a fine-tuned one need fewer bits a "
    "byte than the given model as it is.",
    task=None,
    cost=400,
    default=False,
)
def languages(
    model,
    task,
    *,
    seed: int = 0,
    among: list[str] = ALL,
    trained: list[str] = TRAINED,
    base: str = "books-gpt2",
    vocabulary: Annotated[int, Range(257, 1_000_000)] = 1024,
    steps: Steps = 150,
    measured: Count = 6,
) -> Report:
    texts = {name: shipped.text(name) for name in dict.fromkeys([*among, *trained])}
    own = {
        name: bpe.learn(texts[name].learnt, vocabulary) for name in progress(texts, "tokenizers")
    }
    fits = _fits(model.tokenizer, own, texts)
    needs, curves, sizes = {}, [], []
    for name in trained:
        needs[name], curve, size = _compared(
            model, base, own[name], texts[name], name, _when(steps, measured), seed
        )
        curves.append(curve)
        sizes.append(size)
    differences = _differences(needs, seed)
    more = stats.mean((fits.tokens_per_word / fits.own_tokens_per_word).to_numpy(), seed=seed)
    curve = pd.concat(curves, ignore_index=True)
    return Report(
        answer=f"{model.name}'s tokenizer needs {float(more.value):.1f} times the tokens that a language's "
        f"own does. {' '.join(_said(name, needs[name], curve) for name in trained)}",
        verdict=_verdict(fits, differences),
        headlines=[
            figures.headline("tokens, of its own", more, "times", note="mean over languages"),
            *(_headline(row) for row in differences.itertuples() if row.first == OWN and row.second == TUNED),
        ],
        sections=[
            Section(
                "What a byte of held-out text costs",
                [
                    *(_chart(name, curve, needs[name]) for name in trained),
                    Table("bits", _bits(needs, seed), title="Bits a byte",
                          note=f"{steps} steps of {BATCH} × {N_CTX} tokens each, at rates of "
                          f"{', '.join(f'{rate} ({which})' for which, rate in RATES.items())}; base: {base}. "
                          "Uniform bytes would cost 8."),
                    Table("differences", differences, title="Block by block",
                          note="Below 0: the first needs fewer bits."),
                    Table("sizes", pd.concat(sizes, ignore_index=True), title="What was trained"),
                ],
            ),
            Section("How the tokenizers cut each language", [Table("tokenizers", fits)]),
            Section("Every measurement", [Table("curves", curve)]),
        ],
        controls=[_rule(differences)],
    )  # fmt: skip


def _when(steps: int, count: int) -> list[int]:
    """So many steps, spaced evenly by their logarithm, the last among them."""
    return sorted({round(step) for step in np.geomspace(min(10, steps), steps, count)} | {steps})


def _fits(tokenizer, own, texts) -> pd.DataFrame:
    rows = []
    for name in progress(texts, "languages"):
        theirs, its = (shipped.fit(each, texts[name].held_out) for each in (tokenizer, own[name]))
        rows.append(
            {
                "language": name,
                "tokens_per_word": theirs.tokens_per_word,
                "own_tokens_per_word": its.tokens_per_word,
                "tokens_per_byte": theirs.tokens_per_byte,
                "own_tokens_per_byte": its.tokens_per_byte,
                "broken": theirs.broken,
                "own_broken": its.broken,
            }
        )
    return pd.DataFrame(rows)


def _title(name: str) -> str:
    return name.capitalize() if name in ALL else name


def _compared(model, base: str, tokenizer, text, name: str, when: list[int], seed: int):
    """Bits per byte of every held-out block under each model, its training curve, and what was trained."""
    tuned = interp.load(base)
    config = replace(tuned.config, d_vocab=len(tokenizer), d_vocab_out=len(tokenizer))
    new, grafted = (fresh(config, seed, tokenizer=lambda: tokenizer) for _ in range(2))
    layers = {
        key: value
        for key, value in tuned.state_dict().items()
        if not key.startswith(("embed.", "unembed."))
    }
    grafted.load_state_dict({**grafted.state_dict(), **layers})
    needs = {
        which: shipped.bits_per_byte(each, text.blocks, N_CTX)
        for which, each in ((GIVEN, model), (BASE, tuned))
    }
    rows, sizes = [], []
    n_bytes = len("\n".join(text.learnt).encode())
    for which, each in ((OWN, new), (TUNED, tuned), (GRAFTED, grafted)):
        per_byte = shipped.fit(each.tokenizer, text.learnt).tokens_per_byte
        pass_of = BATCH * N_CTX / per_byte / n_bytes
        for step, found in _learning(each, text, RATES[which], when, f"{name}, {which}", seed):
            rows.append([name, which, step, step * pass_of, float(found.mean())])
            needs[which] = found
        n_weights = sum(it.numel() for it in each.parameters())
        sizes.append([name, which, n_weights, len(each.tokenizer), when[-1] * pass_of])
    curve = pd.DataFrame(rows, columns=["language", "model", "step", "passes", "bits_per_byte"])
    trained = pd.DataFrame(sizes, columns=["language", "model", "weights", "vocabulary", "passes"])
    return needs, curve, trained


def _learning(model, text, rate: float, when: list[int], what: str, seed: int):
    """The step and the bits a byte of every held-out block, before the first step and at each of `when`."""
    recipe = Recipe(steps=when[-1], batch=BATCH, rate=rate, warmup=20, seed=seed)
    data = of_texts(["\n".join(text.learnt)], model.tokenizer, n_ctx=N_CTX, seed=seed)
    watch = meter(f"{what}, steps", recipe.steps)
    yield 0, shipped.bits_per_byte(model, text.blocks, N_CTX)
    for step in train(model, data.source.batch, recipe, optimizer(model, recipe)):
        watch.advance()
        if step.number in when:
            yield step.number, shipped.bits_per_byte(model, text.blocks, N_CTX)


def _bits(needs, seed: int) -> pd.DataFrame:
    rows = []
    for name, found in needs.items():
        for which in found:
            each = stats.mean(found[which], seed=seed)
            rows.append([name, which, *map(float, (each.value, each.low, each.high)), each.n])
    return pd.DataFrame(
        rows, columns=["language", "model", "bits_per_byte", "ci_low", "ci_high", "n"]
    )


def _differences(needs, seed: int) -> pd.DataFrame:
    rows = []
    for name, found in needs.items():
        for first, second in BETWEEN:
            each = stats.mean(found[first] - found[second], seed=seed)
            figures_ = map(float, (each.value, each.low, each.high))
            rows.append([name, first, second, *figures_, each.n])
    return pd.DataFrame(
        rows, columns=["language", "first", "second", "difference", "ci_low", "ci_high", "n"]
    )


def _headline(row) -> Headline:
    return Headline(
        f"{row.language}, own less fine-tuned", row.difference, "bits/byte", row.ci_low, row.ci_high,
        row.n, "blocks of ten lines",
    )  # fmt: skip


def _said(name: str, found, curve: pd.DataFrame) -> str:
    """Which way needs the fewest bits, and from which step on one's own model needs fewer than a
    fine-tuned one."""
    means = {which: float(values.mean()) for which, values in found.items() if which != BASE}
    best = min(means, key=means.__getitem__)
    others = ", ".join(f"{which} {value:.2f}" for which, value in means.items() if which != best)
    mine = curve[curve.language == name].pivot(
        index="step", columns="model", values="bits_per_byte"
    )
    ahead = mine.index[(mine[OWN] < mine[TUNED]).to_numpy()[::-1].cumprod()[::-1].astype(bool)]
    since = f"from step {ahead[0]} on" if len(ahead) else f"in none of the {mine.index[-1]} steps"
    return (
        f"{_title(name)}: {best} needs the fewest bits a byte ({means[best]:.2f}; {others}); a "
        f"model of its own needs fewer than a fine-tuned one {since}."
    )


def _verdict(fits: pd.DataFrame, differences: pd.DataFrame):
    gained = differences[differences.second == GIVEN]
    if (fits.tokens_per_word <= fits.own_tokens_per_word).any() or (gained.ci_low > 0).any():
        return "not supported"
    return "supported" if (gained.ci_high < 0).all() else "inconclusive"


def _rule(differences: pd.DataFrame):
    gained = differences[differences.second == GIVEN]
    longest = float((gained.ci_high - gained.ci_low).max())
    return rules.rule(
        f"training gains nothing over {GIVEN}. Supported: every language's own tokenizer needs fewer tokens, "
        "and every interval of a difference lies below zero; not supported: one tokenizer needs "
        "no fewer, or an "
        "interval lies above zero.",
        f"blocks of ten held-out lines of these texts ({int(gained.n.min())} or more a "
        "language); one training a "
        "way, whose chance choices are not repeated.",
        f"the longest interval is {longest:.2g} bits a byte, so a difference of that size is told from zero.",
    )


def _chart(name: str, curve: pd.DataFrame, found) -> Chart:
    mine = curve[curve.language == name]
    series = [
        Series(which, each.passes.to_numpy(), each.bits_per_byte.to_numpy())
        for which, each in mine.groupby("model", sort=False)
    ]
    ends = np.array([0, mine.passes.max()])
    series.append(Series(GIVEN, ends, np.full(2, found[GIVEN].mean())))
    title = f"{_title(name)}, while they learn"
    return Chart(title, "line", series, "passes through the text", "bits per byte")
