"""The decorator that makes a function a study."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar, cast

from interp.study import ranges

if TYPE_CHECKING:
    from interp.report.blocks import Report

Function = TypeVar("Function", bound="Callable[..., Report]")
_MARK = "__experiment__"
# Where a study does not say: after those of the project that read, before those that sweep.
USUAL_COST = 30


@dataclass(frozen=True, slots=True)
class Declaration:
    """What a study says of itself beforehand."""

    expects: str
    task: str | None
    also: str | None
    default: bool
    gated: bool
    sweeps: bool
    cost: int
    model: str
    applies: Callable[[Any], str | None] | None


def study(
    *,
    expects: str,
    task: str | None,
    also: str | None = None,
    default: bool = True,
    gated: bool = True,
    sweeps: bool = False,
    cost: int = USUAL_COST,
    model: str = "transformer",
    applies: Callable[[Any], str | None] | None = None,
) -> Callable[[Function], Function]:
    """Marks `function(model, task, *, settings…) -> Report` as the study of its file.

    `expects` is the sentence that the report's verdict is bound to. `task` is the task it runs on
    when none is named, or None if it needs none; `also` is a second one that `interp run all` asks it
    about, where the model can do it. `default` puts it into the suite that
    `interp run all` runs. `gated` asks that the model can do the task. `sweeps` says that the work
    is in sweeps, so that a dry run plans them and tells what they cost. `cost` is how many seconds it
    takes on SmolLM2-135M, roughly: the suite begins with the cheap ones. `model` is the kind of the
    model it runs on: the `transformer` that --model names, or the `classifier` that its own setting of
    that name does. `applies` returns the reason why the experiment has nothing to say about a model, or
    None.

    The file is read without being imported, so all but `applies` are written as literals, and every
    setting has an annotation and a literal default. Whoever calls the function, numbers are held
    against their ranges (see `interp.study.ranges`) before it begins.
    """

    def mark(function: Function) -> Function:
        ranged, signature = ranges.of(function), inspect.signature(function)

        @functools.wraps(function)
        def checked(model: Any, task: Any, **settings: Any) -> Any:
            given = signature.bind(model, task, **settings)
            given.apply_defaults()
            values, notes = ranges.fitted(ranged, given.kwargs, model, task)
            return _noted(function(model, task, **values), notes)

        declared = Declaration(expects, task, also, default, gated, sweeps, cost, model, applies)
        setattr(checked, _MARK, declared)
        return cast("Function", checked)

    return mark


# What it was called, and is called in files that users have.
experiment = study


def _noted(report: Any, notes: list[str]) -> Any:
    from interp.report.blocks import Report

    if not notes or not isinstance(report, Report):
        return report
    return replace(report, limits=[*report.limits, *notes])


def declaration(function: Any) -> Declaration | None:
    """What `@study` noted on this object, or None if it is no study."""
    found = getattr(function, _MARK, None)
    return found if isinstance(found, Declaration) else None
