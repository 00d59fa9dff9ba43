"""`interp train FOLDER`: from a text, or from nothing at all, to a model of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from interp.cli import words
from interp.cli.commands.run import Device, Seed
from interp.errors import UsageError
from interp.runs import provenance

if TYPE_CHECKING:
    from collections.abc import Iterator

    from interp.training.loop import Recipe, Step
    from interp.training.session import Scored


Preset = Literal["gpt2", "llama", "attn-only"]
Norm = Literal["layernorm", "rmsnorm", "none"]
Positions = Literal["learned", "rotary", "none"]
Precision = Annotated[
    Literal["auto", "float32", "bfloat16"],
    typer.Option(help="Of matrix products; auto: bfloat16 where it is faster."),
]
Text = Annotated[
    Path | None,
    typer.Option(help="File, folder or .gz of UTF-8 text; documents may end in <|endoftext|>."),
]
Steps = Annotated[int, words.whole("--steps", 1, 10**9, "Steps of the optimizer.")]
Batch = Annotated[int, words.whole("--batch", 1, 2**20, "Examples a step.")]
Rate = Annotated[float, words.real("--rate", 1e-12, 1e3, "Highest learning rate.")]
Warmup = Annotated[int, words.whole("--warmup", 0, 10**9, "Steps until it is reached.")]


def train(
    folder: Annotated[
        Path, words.argument("FOLDER", "Where the model goes; its name from then on.", Path)
    ],
    text: Text = None,
    repeats: Annotated[
        bool, typer.Option("--repeats", help="Learn from random tokens, repeated; needs no text.")
    ] = False,
    preset: Annotated[Preset, typer.Option(help="Shape to begin from.")] = "gpt2",
    layers: Annotated[int, words.whole("--layers", 1, 10_000, "Layers.")] = 4,
    heads: Annotated[int, words.whole("--heads", 1, 10_000, "Heads a layer.")] = 4,
    width: Annotated[int, words.whole("--width", 1, 2**20, "d_model.")] = 128,
    mlp: Annotated[int | None, words.whole("--mlp", 0, 2**22, "d_mlp; 0 for none.")] = None,
    norm: Annotated[Norm | None, typer.Option(help="Instead of the preset's.")] = None,
    positions: Annotated[Positions | None, typer.Option(help="Instead of the preset's.")] = None,
    tied: Annotated[
        bool | None, typer.Option("--tied/--untied", help="Whether W_U is W_E transposed.")
    ] = None,
    vocabulary: Annotated[
        int | None,
        words.whole(
            "--vocabulary", 3, 2**22, "Tokens of the tokenizer; 4096 for a text, 65 for --repeats."
        ),
    ] = None,
    context: Annotated[
        int, words.whole("--context", 2, 2**20, "Tokens the model reads at once.")
    ] = 256,
    repeated: Annotated[
        float,
        words.real("--repeated", 0.0, 1.0, "Share of the examples in which the text repeats."),
    ] = 0.0,
    steps: Steps = 2000,
    batch: Batch = 8,
    rate: Rate = 1e-3,
    warmup: Warmup = 100,
    decay: Annotated[float, words.real("--decay", 0.0, 1.0, "Weight decay.")] = 0.1,
    clip: Annotated[float, words.real("--clip", 1e-12, 1e12, "Longest gradient.")] = 1.0,
    precision: Precision = "auto",
    seed: Seed = 0,
    device: Device = "cpu",
) -> None:
    """Train a model, from tokenizer to weights.

    The same command goes on where it was interrupted, with exactly the numbers that it would have
    had. The model that comes out is loaded by the folder's name: interp run all --model FOLDER.
    """
    if (text is None) == (not repeats):
        raise UsageError("say what to learn from: --text PATH or --repeats")
    from interp.training.loop import Recipe

    recipe = Recipe(
        steps=steps,
        batch=batch,
        rate=rate,
        warmup=warmup,
        decay=decay,
        clip=clip,
        seed=seed,
        precision=precise(precision, device),
    )
    vocabulary = vocabulary or (65 if text is None else 4096)
    reading: dict[str, Any] = {"vocabulary": vocabulary, "n_ctx": context}
    if text is not None:
        reading["repeated"] = repeated
    size = {"layers": layers, "heads": heads, "width": width}
    given = {
        "d_mlp": mlp,
        "norm": norm,
        "positions": positions,
        "tied": tied,
    }
    _run(folder, text, reading, recipe, device, preset, size | given)


def _run(
    folder: Path,
    text: Path | None,
    reading: dict[str, Any],
    recipe: Recipe,
    device: str,
    preset: str,
    shape_of: dict[str, Any],
) -> None:
    from interp.study.progress import watching
    from interp.training import data as sources
    from interp.training import session
    from interp.training.presets import check_room, fresh, shape
    from interp.transformer import Origin
    from interp.weights.loading import device_of

    session.check(folder)
    on, n_ctx = device_of(device), reading["n_ctx"]
    config = shape(preset, d_vocab=reading["vocabulary"], n_ctx=n_ctx, **shape_of)
    check_room(config, recipe.batch, on.type)
    with watching("train") as watch:
        watch.step("reading and tokenizing")
        if text is None:
            data = sources.from_repeats(**reading, seed=recipe.seed)
        else:
            data = sources.from_text(text, session.place(folder), **reading, seed=recipe.seed)
        notes = session.agree(folder, recipe, {"shape": config.to_dict(), "data": data.identity})
        model = fresh(config, recipe.seed, Origin(str(folder), preset, "")).to(on)
        n_weights = sum(it.numel() for it in model.parameters())
        tokens = "" if data.n_tokens is None else f" of {data.n_tokens:,}"
        print(
            f"{model}: {n_weights:,} weights, {recipe.steps} steps of {recipe.batch} × {n_ctx} "
            f"tokens{tokens}, {recipe.precision}",
            flush=True,
        )
        show(session.resume(folder, model, data, recipe, notes), recipe, watch)
    per_byte = session.results(folder).get("held_out_bits_per_byte")
    print(f"bits per byte of held-out text: {per_byte:.4f}\n" if per_byte else "", end="")
    print(
        f"written: {folder}\nrun it: {provenance.command(['run', 'all', '--model', str(folder)])}"
    )


def show(events: Iterator[Step | Scored], recipe: Recipe, watch: Any) -> None:
    """Prints the rows of the loss curve, and keeps the watch telling the last step."""
    from interp.training.session import Scored

    print(f"{'step':>8} {'tokens':>12} {'loss':>8} {'held out':>9} {'tokens/s':>9}", flush=True)
    for event in events:
        if isinstance(event, Scored):
            loss = "" if event.loss is None else f"{event.loss:.4f}"
            speed = "" if event.tokens_per_second is None else f"{event.tokens_per_second:,.0f}"
            print(
                f"{event.step:>8} {event.tokens:>12,} {loss:>8} {event.held_out:>9.4f} {speed:>9}",
                flush=True,
            )
            continue
        if watch.total is None:
            watch.step("", recipe.steps)
        watch.step_name = (
            f"loss {event.loss:.3f}, {event.tokens / event.seconds:,.0f} tokens/s, step"
        )
        watch.done = event.number


def precise(asked: str, device: str) -> Any:
    """bfloat16 on a GPU, and on a CPU that multiplies it: on others it is many times slower."""
    if asked != "auto":
        return asked
    import torch

    fast = torch.cpu._is_avx512_bf16_supported() if device == "cpu" else device.startswith("cuda")
    return "bfloat16" if fast else "float32"
