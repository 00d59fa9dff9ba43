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

from typing import Annotated

import numpy as np
import pandas as pd

from interp import stats
from interp.report import Report, Section, Table
from interp.study import Count, Range, Steps, meter, progress, study
from interp.tokenizers import bpe
from interp.training import languages as shipped
from interp.training import ways
from interp.training.ways import GIVEN, GRAFTED, OWN, TUNED
from interp.views import estimates, rules
from interp.views import languages as shown

ALL = ["swahili", "zulu", "wolof", "ewe", "latvian", "estonian", "basque", "manx"]
TRAINED = ["swahili", "ewe"]
BETWEEN = ((OWN, GIVEN), (TUNED, GIVEN), (OWN, TUNED), (GRAFTED, OWN))


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
    fits = pd.DataFrame(
        {"language": name, **shipped.beside(model.tokenizer, own[name], texts[name].held_out)}
        for name in progress(texts, "languages")
    )
    times = (fits.tokens_per_word / fits.own_tokens_per_word).to_numpy()
    more = stats.mean(times, seed=seed)
    fewer = "supported" if (times > 1).all() else "not supported"
    # Spaced evenly by their logarithm.
    when = {round(step) for step in np.geomspace(min(10, steps), steps, measured)} | {steps}

    def compared(name):
        def tick(way, total):
            return meter(f"{name}, {way}, steps", total).advance

        return ways.compare(model, base, own[name], texts[name], when, seed, tick)

    found = {name: compared(name) for name in trained}
    apart = shown.apart(found, BETWEEN, seed)
    gained = [each for (_, _, from_), each in apart.items() if from_ == GIVEN]
    costs = shown.costs(found, apart, steps, base, seed)
    return Report(
        answer=f"{model.name}'s tokenizer needs {float(more.value):.1f} times the tokens that a language's "
        f"own does. {' '.join(shown.sentence(name, one) for name, one in found.items())}",
        verdict=rules.together([rules.below(0.0, *gained), fewer]),
        headlines=[
            estimates.headline("tokens, of its own", more, "times", note="mean over languages"),
            *shown.headlines(apart, (OWN, TUNED), "own less fine-tuned"),
        ],
        sections=[
            Section("What a byte of held-out text costs", costs),
            Section("How the tokenizers cut each language", [Table("tokenizers", fits)]),
            Section("Every measurement", [shown.curves(found)]),
        ],
        controls=[rule(gained)],
    )


def rule(gained):
    longest = rules.longest(*gained)
    return rules.rule(
        f"training gains nothing over {GIVEN}. Supported: every language's own tokenizer needs fewer tokens, "
        "and every interval of a difference lies below zero; not supported: one tokenizer needs no fewer, or "
        "an interval lies above zero.",
        f"blocks of ten held-out lines of these texts ({min(each.n for each in gained)} or more a language); "
        "one training a way, whose chance choices are not repeated.",
        f"the longest interval is {longest:.2g} bits a byte, so a difference of that size is told from zero.",
    )
