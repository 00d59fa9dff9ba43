"""For a language that few models serve, is it worth training one's own, or fine-tuning what is there?

Method  About a thousand lines each of eight languages ship with the project; blocks of ten lines are held
        out, every tenth. For every language the model's tokenizer is held against a byte-level BPE learnt
        from its lines alone. For the languages in `trained` three models are compared on the held-out
        lines: the given one as it is, a small one trained from nothing with the language's own tokenizer,
        and `base` fine-tuned with its English tokenizer, both for the same number of steps of as many
        tokens. Bits per UTF-8 byte do not depend on how a tokenizer cuts the text.
Units   Tokens per word and per byte; share of tokens that are not whole characters; bits per byte.
Source  christos-c/bible-corpus at 44e5fca, CC0 1.0.
Limits  One kind of text, a few thousand tokens of it, one seed; a large model may have read these verses
        before. What counts as a word is what stands between spaces. The smaller tokenizer yields more
        tokens, so that the same number of tokens is less text.
"""

import pandas as pd

import interp
from interp import stats
from interp.lab import experiment, figures, meter, progress
from interp.report import Headline, Report, Section, Table
from interp.training import bpe
from interp.training import languages as shipped
from interp.training.data import of_texts
from interp.training.initial import fresh
from interp.training.loop import optimizer, train
from interp.training.presets import shape
from interp.training.recipe import Recipe

ALL = ["swahili", "zulu", "wolof", "ewe", "latvian", "estonian", "basque", "manx"]
TRAINED = ["swahili", "ewe"]
N_CTX, BATCH = 128, 8


@experiment(
    expects="In every language the given tokenizer needs more tokens a word than the language's own, and "
    "in every language that is trained both a model of its own and a fine-tuned one need fewer bits a "
    "byte than the given model as it is.",
    task=None,
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
    vocabulary: int = 1024,
    steps: int = 150,
) -> Report:
    texts = {name: shipped.text(name) for name in dict.fromkeys([*among, *trained])}
    own = {
        name: bpe.learn(texts[name].learnt, vocabulary) for name in progress(texts, "tokenizers")
    }
    fits = _fits(model.tokenizer, own, texts)
    bits = pd.DataFrame(
        [_bits(model, base, own[name], texts[name], name, steps, seed) for name in trained]
    )
    more = stats.mean((fits.tokens_per_word / fits.own_tokens_per_word).to_numpy(), seed=seed)
    needed = bits[["as_it_is", "own_model", "fine_tuned"]]
    best = needed.idxmin(axis=1).str.replace("_", " ")
    holds = [
        bool((fits.tokens_per_word > fits.own_tokens_per_word).all()),
        bool((bits.own_model < bits.as_it_is).all()),
        bool((bits.fine_tuned < bits.as_it_is).all()),
    ]
    said = ", ".join(
        f"{row.language}: {choice} ({min(row.as_it_is, row.own_model, row.fine_tuned):.2f})"
        for row, choice in zip(bits.itertuples(), best, strict=True)
    )
    return Report(
        answer=f"{model.name}'s tokenizer needs {float(more.value):.1f} times the tokens that a language's "
        f"own does; after {steps} steps the fewest bits a byte are needed by: {said}.",
        verdict="supported" if all(holds) else "not supported",
        headlines=[
            figures.headline("tokens, of its own", more, "times", note="mean over languages"),
            *(
                Headline(f"{row.language}, own model", row.own_model, "bits/byte",
                         note=f"as it is {row.as_it_is:.2f}, fine-tuned {row.fine_tuned:.2f}")
                for row in bits.itertuples()
            ),
        ],
        sections=[
            Section("How the tokenizers cut each language", [Table("tokenizers", fits)]),
            Section(
                "What a byte of held-out text costs",
                [Table("bits", bits, note=f"{steps} steps of {BATCH} × {N_CTX} tokens each; "
                       f"fine-tuned from {base}. Uniform bytes would cost 8.")],
            ),
        ],
    )  # fmt: skip


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


def _bits(model, base: str, tokenizer, text, name: str, steps: int, seed: int) -> dict:
    tuned = interp.load(base)
    config = tuned.config
    new = fresh(
        shape("gpt2", layers=config.n_layers, heads=config.n_heads, width=config.d_model,
              d_vocab=len(tokenizer), n_ctx=N_CTX),
        seed,
        tokenizer=lambda: tokenizer,
    )  # fmt: skip
    before = shipped.bits_per_byte(tuned, text.held_out, N_CTX)
    for each, rate in ((new, 2e-3), (tuned, 1e-3)):
        _train(
            each,
            text.learnt,
            Recipe(steps=steps, batch=BATCH, rate=rate, warmup=20, seed=seed),
            name,
        )
    return {
        "language": name,
        "as_it_is": shipped.bits_per_byte(model, text.held_out, N_CTX),
        "own_model": shipped.bits_per_byte(new, text.held_out, N_CTX),
        "base_as_it_is": before,
        "fine_tuned": shipped.bits_per_byte(tuned, text.held_out, N_CTX),
    }


def _train(model, lines, recipe: Recipe, name: str) -> None:
    data = of_texts(["\n".join(lines)], model.tokenizer, n_ctx=N_CTX, seed=recipe.seed)
    watch = meter(f"{name}, steps", recipe.steps)
    for _ in train(model, data.source.batch, recipe, optimizer(model, recipe)):
        watch.advance()
