"""`interp finetune MODEL FOLDER`: a model that is there already, trained on a text of one's own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from interp.cli import words
from interp.cli.commands.run import Device, Revision, Seed
from interp.cli.commands.train import Batch, Precision, Steps, Text, Warmup, precise, show
from interp.errors import UsageError
from interp.runs import provenance

if TYPE_CHECKING:
    from collections.abc import Callable

    from interp.training.data import Data
    from interp.transformer import Transformer

    # model, n_ctx, seed -> what is trained, and on what
    Reading = Callable[[Transformer, int, int], tuple[Transformer, Data]]


def finetune(
    model: Annotated[str, words.argument("MODEL", "Short name, hub id or folder to start from.")],
    folder: Annotated[Path, words.argument("FOLDER", "Where the new model goes.", Path)],
    text: Text = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            help="CSV, JSONL or JSON of labelled lines: text, label; or premise, hypothesis, label."
        ),
    ] = None,
    freeze: Annotated[
        list[str] | None,
        typer.Option(help="Weights that stay: beginnings of names, such as embed or blocks.0."),
    ] = None,
    context: Annotated[
        int | None,
        words.whole("--context", 2, 2**20, "Tokens read at once; the model's own if not said."),
    ] = None,
    steps: Steps = 200,
    batch: Batch = 4,
    rate: Annotated[float, words.real("--rate", 1e-12, 1e3, "Highest learning rate.")] = 1e-4,
    warmup: Warmup = 20,
    precision: Precision = "auto",
    seed: Seed = 0,
    device: Device = "cpu",
    revision: Revision = None,
) -> None:
    """Go on training a model on a text of your own, or on labelled lines with a new head.

    It keeps its tokenizer. As with train, the same command goes on where it was interrupted. With
    --labels the folder is also a sequence classifier of Hugging Face's: interp run pair_scoring
    --classifier FOLDER.
    """
    from interp.training import session

    session.check(folder)
    if text is not None and labels is None:
        read = _text(text)
    elif labels is not None and text is None:
        read = _labels(labels)
    else:
        raise UsageError("say what to learn from: --text PATH or --labels FILE")
    from interp.runs import suite
    from interp.study.progress import watching
    from interp.training.loop import Recipe
    from interp.training.loop import freeze as frozen
    from interp.training.presets import check_room

    recipe = Recipe(
        steps=steps,
        batch=batch,
        rate=rate,
        warmup=warmup,
        seed=seed,
        precision=precise(precision, device),
    )
    loaded = suite.load(model, "float32", device, revision)
    n_ctx = min(context or loaded.config.n_ctx, loaded.config.n_ctx)
    if context and context > loaded.config.n_ctx:
        raise UsageError(f"{model} reads at most {loaded.config.n_ctx} tokens, got {context}")
    check_room(replace(loaded.config, n_ctx=n_ctx), batch, loaded.device.type)
    with watching("finetune") as watch:
        watch.step("tokenizing")
        learner, data = read(loaded, n_ctx, seed)
        trained = frozen(learner, freeze or [])
        begun = {"weights": loaded.origin.weights_sha256, "frozen": sorted(freeze or [])}
        notes = session.agree(folder, recipe, {"begun": begun, "data": data.identity})
        notes = (f"Fine-tuned from {loaded.name}.", *loaded.origin.notes, *notes)
        print(
            f"{learner}: {trained:,} weights are trained on {data.n_tokens:,} tokens, {steps} steps "
            f"of {batch} × {data.source.n_ctx}, {recipe.precision}",
            flush=True,
        )
        show(session.resume(folder, learner, data, recipe, notes), recipe, watch)
    if labels is None:
        command = provenance.command(["run", "all", "--model", str(folder)])
        print(f"written: {folder}\nrun it: {command}")
        return
    import numpy as np

    from interp import stats

    found = session.results(folder)
    n, right = found["held_out_lines"], found["held_out_accuracy"]
    share = stats.share(np.arange(n) < round(right * n))
    print(
        f"right on {right:.1%} of {n} held-out lines [{share.low:.1%}, {share.high:.1%}]; the most "
        f"frequent label has {found['held_out_most_frequent']:.1%}\nwritten: {folder}"
    )
    if data.identity["pairs"]:
        command = provenance.command(["run", "pair_scoring", "--classifier", str(folder)])
        print(f"look inside: {command}")


def _text(path: Path) -> Reading:
    from interp.training import data
    from interp.training.corpus import documents

    texts = documents(path)
    return lambda model, n_ctx, seed: (
        model,
        data.of_texts(texts, model.tokenizer, n_ctx=n_ctx, seed=seed),
    )


def _labels(path: Path) -> Reading:
    from interp.training import data
    from interp.training.labelled import lines
    from interp.transformer.classifying import with_head
    from interp.weights.exporting import family

    found = lines(path)
    labels = tuple(sorted({line.label for line in found}))

    def reading(model: Transformer, n_ctx: int, seed: int) -> tuple[Transformer, Data]:
        # What Hugging Face's library cannot load is refused before it is trained.
        family(model.config)
        d_vocab = model.config.d_vocab
        read = data.of_lines(
            found, labels, model.tokenizer, n_ctx=n_ctx, d_vocab=d_vocab, seed=seed
        )
        return with_head(model, labels, seed), read

    return reading
