"""What a study says of itself beforehand, and the decorator with which it does."""

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar, cast, get_type_hints

from interp.errors import UsageError
from interp.study import settings as declared

Function = TypeVar("Function", bound=Callable[..., Any])
_MARK = "__experiment__"
# Kinds of models; all but the first are named by a setting that is called like the kind.
KINDS = ("transformer", "classifier")


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """What `@study` takes.

    `expects` is the sentence that the report's verdict is bound to. `task` is the task it runs on
    when none is named, or None if it needs none; `also` is a second one that `interp run all` asks it
    about, where the model can do it. `default` puts it into the suite that
    `interp run all` runs. `gated` asks that the model can do the task. `sweeps` says that the work
    is in sweeps, so that a dry run plans them and tells what they cost. `cost` is how many seconds it
    takes on SmolLM2-135M, roughly: the suite begins with the cheap ones. `model` is the kind of the
    model it runs on: the `transformer` that --model names, or the `classifier` that its own setting of
    that name does. `applies` returns the reason why the study has nothing to say about a model, or
    None.
    """

    expects: str
    task: str | None
    also: str | None = None
    default: bool = True
    gated: bool = True
    sweeps: bool = False
    # Where a study does not say: after those of the project that read, before those that sweep.
    cost: int = 30
    model: str = KINDS[0]
    applies: Callable[[Any], str | None] | None = None


def declare(given: Mapping[str, Any]) -> Declaration:
    """The declaration that these arguments of `@study` make.

    Raises  UsageError for one that is unknown, missing, or of another type.
    """
    known = [each.name for each in fields(Declaration)]
    if set(given) - set(known):
        raise UsageError(f"@study takes {', '.join(f'{name}=' for name in known)}, by name")
    for name in ("expects", "task"):
        if name not in given:
            raise UsageError(f"@study needs {name}=, written as a literal")
    types = get_type_hints(Declaration)
    for name in set(given) - {"applies"}:
        if not isinstance(given[name], types[name]):
            kind = inspect.formatannotation(types[name])
            raise UsageError(f"@study needs {name}= to be {kind}, got {given[name]!r}")
    found = Declaration(**given)
    if found.model not in KINDS:
        raise UsageError(f"model= of @study must be one of {', '.join(KINDS)}")
    return found


def study(**given: Any) -> Callable[[Function], Function]:
    """Marks `function(model, task, *, settings…) -> Report` as the study of its file; `Declaration` says
    what it takes.

    The file is read without being imported, so all but `applies` are written as literals, and every
    setting has an annotation and a literal default. Whoever calls the function, settings are held
    against what they may be (see `interp.study.ranges`) before it begins.

    Raises  UsageError for a declaration or a signature that no command line could be read from.
    """
    declaration = declare(given)

    def mark(function: Function) -> Function:
        signature = inspect.signature(function)
        settings = declared.of(signature, function.__name__)

        @functools.wraps(function)
        def checked(model: Any, task: Any, **values: Any) -> Any:
            given = signature.bind(model, task, **values)
            given.apply_defaults()
            fitted, notes = declared.fitted(settings, given.kwargs, model, task)
            return _noted(function(model, task, **fitted), notes)

        setattr(checked, _MARK, declaration)
        return cast("Function", checked)

    return mark


# What it was called, and is called in files that users have.
experiment = study


def _noted(report: Any, notes: list[str]) -> Any:
    from interp.report.blocks import Report

    if not notes or not isinstance(report, Report):
        return report
    return replace(report, limits=[*report.limits, *notes])


def declaration_of(function: Any) -> Declaration | None:
    """What `@study` noted on this object, or None if it is no study."""
    found = getattr(function, _MARK, None)
    return found if isinstance(found, Declaration) else None


def why_not(function: Any, model: Any) -> str:
    """Why this study has nothing to say about the model; empty where it has."""
    declared = declaration_of(function)
    return (declared and declared.applies and declared.applies(model)) or ""
