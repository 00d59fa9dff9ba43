"""`interp run NAME…`."""

import os
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from interp.cli import words
from interp.errors import UsageError
from interp.study.registry import Study, discover, shown
from interp.visible import one_line, relative

DEFAULT_MODEL = "smollm2-135m"
DEFAULT_OUT = Path("reports")
# Names of studies and their own settings come mixed; which is which only the studies know.
CONTEXT = {"ignore_unknown_options": True, "allow_extra_args": True}


# What stands before a prompt, and number formats.
Bos = Literal["auto", "yes", "no"]
Dtype = Literal["float32", "float64", "bfloat16", "float16"]
Model = Annotated[str, words.name("--model", "Short name, hub id or folder; see `interp models`.")]
Device = Annotated[str, words.name("--device", "cpu, cuda, cuda:1 or mps.")]
Format = Annotated[Dtype, typer.Option(help="Number format of weights and activations.")]
Revision = Annotated[str | None, words.name("--revision", "Commit, branch or tag of a hub id.")]
Out = Annotated[Path, words.place("--out", "Where reports go.")]
Begin = Annotated[
    Bos, typer.Option(help="BOS before every prompt: auto is as in training, so far as files say.")
]
Seed = Annotated[int, words.whole("--seed", 0, 2**32 - 1, "Decides every random choice.")]


def run(
    context: typer.Context,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME…", help="Studies, or all.")
    ] = None,
    model: Model = DEFAULT_MODEL,
    task: Annotated[
        str | None,
        words.name(
            "--task",
            "Task, a task with another of its corruptions (ioi-flip, ioi-swap, ioi-flip_swap), or a "
            "file of prompts; else the study's own.",
        ),
    ] = None,
    n: Annotated[
        int | None, words.whole("--n", 1, 10_000, "Prompts of the task; 16 if not said.")
    ] = None,
    seed: Seed = 0,
    device: Device = "cpu",
    dtype: Format = "float32",
    revision: Revision = None,
    out: Out = DEFAULT_OUT,
    force: Annotated[bool, typer.Option("--force", help="Run what did not change too.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would run and why; write nothing.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Print the traceback of a failure.")
    ] = False,
    memory: Annotated[
        str | None, typer.Option(help="Most that sweeps take above the model, such as 2G or 500M.")
    ] = None,
    bos: Begin = "auto",
    ungated: Annotated[
        bool, typer.Option("--ungated", help="Run on tasks that the model fails too, and say so.")
    ] = False,
    help_wanted: Annotated[
        bool, typer.Option("--help", help="Show this, or with a NAME the study's own settings.")
    ] = False,
) -> None:
    """Run studies and write their reports.

    What did not change since it last ran is skipped, and the program says why it runs or skips.

    A study's own settings follow its name: interp run head_decomposition --prompt "Hello there".
    """
    if help_wanted and not names:
        print(context.get_help())
        return
    registry = discover()
    chosen, given = words.split([*(names or []), *context.args], registry)
    if not chosen:
        raise UsageError("which study? interp run NAME, or interp run all; see interp list")
    studies = registry.pick(chosen)
    if not studies:
        raise UsageError(f"{shown(registry.folder)} holds no study of the default suite")
    if help_wanted:
        for study in studies:
            _explain(study)
        return
    words.check_used(given, studies)
    settings = {
        study.name: {name: _relative(value) for name, value in words.values(study, given).items()}
        for study in studies
    }
    if "all" in chosen:
        for file in registry.broken:
            broken = f"left out: {shown(file.path)} is broken: {file.error}"
            print(one_line(broken), file=sys.stderr)
    from interp.runs import suite
    from interp.runs.order import Request

    request = Request(
        _relative(model),
        _relative(task),
        n,
        seed,
        device,
        dtype,
        revision,
        out,
        force,
        dry_run,
        debug,
        words.n_bytes(memory),
        bos,
        ungated,
    )
    raise typer.Exit(suite.run(registry, studies, settings, request, whole="all" in chosen))


def _relative(value: Any) -> Any:
    """What was said; a file or folder is named from the working folder, so that it has one name."""
    if isinstance(value, list):
        return [_relative(each) for each in value]
    is_place = isinstance(value, str) and os.path.isabs(value) and os.path.lexists(value)
    return relative(value) if is_place else value


def _explain(study: Study) -> None:
    print(f"{study.name}: {one_line(study.question)}\n\n{study.method}\n\nExpects  {study.expects}")
    print(f"Task     {study.task or 'none'}\n")
    print("Settings" if study.settings else "No settings of its own.")
    for setting in study.settings:
        print(
            f"  {setting.option:<18} {one_line(setting.describes)} "
            f"(default {one_line(repr(setting.default))})"
        )
