"""`interp list`, `interp models`, `interp tasks`: what there is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from interp.cli import words
from interp.cli.commands.run import Begin, Bos, Device, Dtype, Format, Revision, Seed
from interp.errors import UsageError
from interp.study.registry import discover, shown
from interp.visible import one_line

if TYPE_CHECKING:
    from interp.tasks import Gate, Task
    from interp.transformer import Transformer


def list_studies() -> None:
    """List the studies, their tasks and settings."""
    registry = discover()
    for study in registry.studies.values():
        suite = "" if study.default else "   (not in `run all`)"
        print(f"{study.name}{suite}\n    {one_line(study.question)}")
        options = [one_line(f"{each.option} {each.default!r}", 120) for each in study.settings]
        task = one_line(study.task or "none", 120)
        print("   ".join([f"    task {task}", *options]))
    for file in registry.broken:
        print(
            f"{one_line(file.name)}   BROKEN\n    {one_line(shown(file.path))}: {one_line(file.error)}"
        )
    if not registry.studies and not registry.broken:
        print(f"{shown(registry.folder)} holds no studies; begin one with `interp new NAME`")


def models() -> None:
    """List the models that can be loaded."""
    from interp.weights import zoo

    width = max(map(len, zoo.SHORT_NAMES))
    for name, entry in zoo.SHORT_NAMES.items():
        print(f"{name:<{width}}  {entry.description}")
    print("\nAlso: any Hugging Face id or local folder of GPT-2, GPT-NeoX/Pythia, Llama/Mistral/")
    print("SmolLM, Qwen2 or Qwen3, and checkpoints of TransformerLens's HookedTransformer.")


def tasks(
    model: Annotated[str | None, typer.Option(help="Try each task on this model.")] = None,
    n: Annotated[int, words.whole("--n", 1, 10_000, "Prompts a task.")] = 16,
    seed: Seed = 0,
    device: Device = "cpu",
    dtype: Format = Dtype.float32,
    revision: Revision = None,
    bos: Begin = Bos.auto,
    columns: Annotated[
        bool, typer.Option("--format", help="Show the columns of a file of your own prompts.")
    ] = False,
) -> None:
    """List the tasks, how a model does on them, or what a task of your own looks like."""
    from interp.tasks import names

    if columns:
        _tell_columns()
        return
    if model is None:
        width = max(map(len, names()))
        for name, question in names().items():
            print(f"{name:<{width}}  {question}")
        return
    from interp.runs import suite

    _try(suite.load(model, dtype.value, device, revision, bos.value), n, seed)


def _tell_columns() -> None:
    from interp.cli.commands.new import PROMPTS
    from interp.tasks import from_file

    first = PROMPTS.read_text(encoding="utf-8").split("\n")[:5]
    print(
        f"{(from_file.__doc__ or '').strip()}\n\nAn example, of which `interp new-task NAME` writes"
    )
    print("more to NAME.csv:\n\n" + "\n".join(first))
    print("\nRun it with: interp run task_check --task NAME.csv")


def _try(model: Transformer, n: int, seed: int) -> None:
    from interp import tasks as catalogue

    width = max(map(len, catalogue.names()))
    print(f"{'task':<{width}}  accuracy   clean  corrupted  kept   (mean logit differences)")
    for name in catalogue.names():
        try:
            task = catalogue.build(name, model.tokenizer, n=n, seed=seed, bos=model.bos_choice)
        except UsageError as error:
            print(f"{name:<{width}}  cannot be built: {one_line(error)}")
            continue
        gate = catalogue.gate(model, task)
        print(f"{name:<{width}}  {_figures(gate, task)}")


def _figures(gate: Gate, task: Task) -> str:
    if gate.accuracy is None or gate.clean is None or gate.corrupted is None:
        return f"refused: {gate.refused}"
    figures = (
        f"{gate.accuracy.value:>8.0%}  {gate.clean.value:>6.2f}  {gate.corrupted.value:>9.2f}  "
        f"{task.n / len(task.prompts):>4.0%}"
    )
    return f"{figures}   refused: {gate.refused}" if gate.refused else figures
