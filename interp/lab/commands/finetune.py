"""`interp finetune MODEL FOLDER`: a model that is there already, trained on a text of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from interp.errors import UsageError
from interp.lab.commands.run import Device, Revision, Seed
from interp.lab.commands.train import Batch, Precision, Steps, Warmup, precise, show


def finetune(
    model: Annotated[str, typer.Argument(help="Short name, hub id or folder to start from.")],
    folder: Annotated[Path, typer.Argument(help="Where the new model goes.")],
    text: Annotated[Path, typer.Option(help="File, folder or .gz of UTF-8 text.")],
    freeze: Annotated[
        list[str] | None,
        typer.Option(help="Weights that stay: beginnings of names, such as embed or blocks.0."),
    ] = None,
    context: Annotated[
        int | None, typer.Option(min=2, help="Tokens read at once; the model's own if not said.")
    ] = None,
    steps: Steps = 200,
    batch: Batch = 4,
    rate: Annotated[float, typer.Option(help="Highest learning rate.")] = 1e-4,
    warmup: Warmup = 20,
    precision: Annotated[
        Precision, typer.Option(help="Of matrix products; auto: bfloat16 where it is faster.")
    ] = Precision.auto,
    seed: Seed = 0,
    device: Device = "cpu",
    revision: Revision = None,
) -> None:
    """Go on training a model on a text of your own.

    It keeps its tokenizer. As with train, the same command goes on where it was interrupted.
    """
    from interp.lab import suite
    from interp.lab.progress import watching
    from interp.training import data as sources
    from interp.training import session
    from interp.training.corpus import documents
    from interp.training.freezing import freeze as frozen
    from interp.training.recipe import Recipe

    session.check(folder)
    recipe = Recipe(
        steps=steps,
        batch=batch,
        rate=rate,
        warmup=warmup,
        seed=seed,
        precision=precise(precision, device),
    )
    texts = documents(text)
    loaded = suite.load(model, "float32", device, revision)
    n_ctx = min(context or loaded.config.n_ctx, loaded.config.n_ctx)
    if context and context > loaded.config.n_ctx:
        raise UsageError(f"{model} reads at most {loaded.config.n_ctx} tokens, got {context}")
    trained = frozen(loaded, freeze or [])
    with watching("finetune") as watch:
        watch.step("tokenizing")
        data = sources.of_texts(texts, loaded.tokenizer, n_ctx=n_ctx, seed=seed)
        begun = {"weights": loaded.origin.weights_sha256, "frozen": sorted(freeze or [])}
        notes = session.agree(folder, recipe, {"begun": begun, "data": data.identity})
        notes = (f"Fine-tuned from {loaded.name}.", *loaded.origin.notes, *notes)
        print(
            f"{loaded}: {trained:,} weights are trained on {data.n_tokens:,} tokens, {steps} steps "
            f"of {batch} × {n_ctx}, {recipe.precision}",
            flush=True,
        )
        show(session.carry_on(folder, loaded, data, recipe, notes), recipe, watch)
    print(f"written: {folder}\nrun it: interp run all --model {folder}")
