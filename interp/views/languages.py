"""Ways to a model of a language beside each other, as the sentences, charts and tables of a report."""

from collections.abc import Mapping, Sequence

import pandas as pd

from interp import stats
from interp.report import Chart, Headline, Series, Table
from interp.stats import Estimate
from interp.training import ways
from interp.training.languages import LANGUAGES
from interp.training.ways import BASE, GIVEN, OWN, TUNED, Compared
from interp.views import estimates, pictures

Languages = Mapping[str, Compared]
# A language, and two ways to a model of it.
Apart = Mapping[tuple[str, str, str], Estimate]


def apart(found: Languages, between: Sequence[tuple[str, str]], seed: int = 0) -> Apart:
    """How many bits a byte more the first way needs than the second, block by block."""
    return {
        (name, first, second): stats.mean(one.bits[first] - one.bits[second], seed=seed)
        for name, one in found.items()
        for first, second in between
    }


def headlines(found: Apart, between: tuple[str, str], label: str) -> list[Headline]:
    """One difference between two ways, for each language."""
    return [
        estimates.headline(f"{name}, {label}", each, "bits/byte", note="blocks of ten lines")
        for (name, *ways_), each in found.items()
        if tuple(ways_) == between
    ]


def costs(
    found: Languages, differ: Apart, steps: int, base: str, seed: int = 0
) -> list[Chart | Table]:
    """How every way learns; language, model and bits_per_byte; language, first, second and difference, both
    with intervals over blocks; and language, model, weights, vocabulary and passes of what was trained."""
    bits = {
        (name, way): stats.mean(values, seed=seed)
        for name, one in found.items()
        for way, values in one.bits.items()
    }
    rates = ", ".join(f"{rate} ({way})" for way, rate in ways.RATES.items())
    note = (
        f"{steps} steps of {ways.BATCH} × {ways.N_CTX} tokens each, at rates of {rates}; base: {base}. "
        "Uniform bytes would cost 8."
    )
    frame = estimates.frame(bits, ("language", "model"), "bits_per_byte")
    apart = estimates.frame(differ, ("language", "first", "second"), "difference")
    below = "Below 0: the first needs fewer bits."
    trained = _stacked({name: one.trained for name, one in found.items()})
    return [
        *learning(found),
        Table("bits", frame, title="Bits a byte", note=note),
        Table("differences", apart, title="Block by block", note=below),
        Table("sizes", trained, title="What was trained"),
    ]


def curves(found: Languages) -> Table:
    """language, model, step, passes and bits_per_byte: every measurement."""
    return Table("curves", _stacked({name: one.curve for name, one in found.items()}))


def learning(found: Languages) -> list[Chart]:
    """For each language the bits a byte of every way by passes through the text, beside the given model."""
    shown = []
    for name, one in found.items():
        ends = [0.0, float(one.curve["passes"].max())]
        given = Series(GIVEN, ends, [float(one.bits[GIVEN].mean())] * 2)
        title = f"{_title(name)}, while they learn"
        axes, words = ("passes", "bits_per_byte"), ("passes through the text", "bits per byte")
        shown.append(pictures.grouped(title, one.curve, "model", axes, words, [given]))
    return shown


def sentence(name: str, one: Compared) -> str:
    """Which way needs the fewest bits, and from which step on one's own model beats a fine-tuned one."""
    means = {way: float(values.mean()) for way, values in one.bits.items() if way != BASE}
    best = min(means, key=means.__getitem__)
    others = ", ".join(f"{way} {value:.2f}" for way, value in means.items() if way != best)
    first = ways.ahead(one.curve, OWN, TUNED)
    never = f"in none of the {one.curve['step'].max()} steps"
    return (
        f"{_title(name)}: {best} needs the fewest bits a byte ({means[best]:.2f}; {others}); a model of its "
        f"own needs fewer than a fine-tuned one {never if first is None else f'from step {first} on'}."
    )


def _title(name: str) -> str:
    return name.capitalize() if name in LANGUAGES else name


def _stacked(frames: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    return pd.concat(frames, names=["language"]).reset_index(level="language")
