"""One run that was asked for: what it depends on, where it goes, whether it has to run at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from interp.errors import InterpError
from interp.report import store
from interp.report.result import SCHEMA_VERSION
from interp.runs import provenance
from interp.runs.folders import anothers, file_mark, folder_name, named_apart, prompts_checksum
from interp.runs.key import Key, changes, checksum, file_checksum, libraries, package_code, stored
from interp.study.registry import Study

if TYPE_CHECKING:
    from interp.classifiers.classifier import Absent, Classifier
    from interp.tasks import Task
    from interp.tokenizers import Choice
    from interp.transformer import Transformer

    # What a study runs on: the transformer that --model names, or a classifier that it names itself.
    Subject: TypeAlias = Transformer | Classifier | Absent


@dataclass(frozen=True, slots=True)
class Request:
    """What the command line says about every run of a suite."""

    model: str
    task: str | None
    n: int | None
    seed: int
    device: str
    dtype: str
    revision: str | None
    out: Path
    force: bool
    dry_run: bool
    debug: bool
    memory: int | None = None
    bos: Choice = "auto"
    ungated: bool = False


@dataclass(frozen=True, slots=True)
class Order:
    """One study with its model, task and settings.

    `reason` says why it runs; where it is empty, nothing changed since `unchanged_since`. The run
    goes to `target` and takes the place of the one in `replaces`. `ungated` is why the gate refuses
    the task, where the study runs all the same, and `instead` why the task is not the study's usual one,
    where nobody asked for another.
    """

    study: Study
    model: Subject
    task: Task | None
    settings: Mapping[str, Any]
    request: Request
    key: Key
    target: Path
    replaces: Path | None
    reason: str
    unchanged_since: str = ""
    ungated: str = ""
    instead: str = ""

    @property
    def arguments(self) -> dict[str, Any]:
        """The keyword arguments of the study's function."""
        n = len(self.task.prompts) if self.task else self.request.n
        shared = {"seed": self.request.seed, "n": n}
        return {**self.settings, **{name: shared[name] for name in self.study.shared}}

    @property
    def command(self) -> str:
        """The command that repeats this run."""
        request = self.request
        words = ["run", self.study.name]
        if self.study.model == "transformer":
            words += ["--model", request.model]
        if self.task is not None:
            words += ["--task", request.task or self.task.name]
            words += ["--n", str(len(self.task.prompts))]
        words += ["--seed", str(request.seed)]
        usual = {"device": "cpu", "dtype": "float32", "revision": None}
        if self.study.model == "transformer":
            usual["bos"] = "auto"
        for name, value in usual.items():
            if (given := getattr(request, name)) != value:
                words += [f"--{name}", given]
        words += ["--ungated"] if self.ungated else []
        for setting in self.study.settings:
            if (chosen := self.settings[setting.name]) != setting.default:
                words += setting.arguments(chosen)
        return provenance.command(words)


def order(
    study: Study,
    model: Subject,
    task: Task | None,
    settings: Mapping[str, Any],
    request: Request,
    ungated: str = "",
    instead: str = "",
) -> Order:
    """What running this study now would mean; `ungated` and `instead` as in `Order`."""
    mark = file_mark(request.task, request.out) if task else ""
    parts = _parts(model, task, settings, request)
    # A run that the gate let through is the same with the option and without.
    parts |= {"ungated": True} if ungated else {}
    code = {**package_code(), f"experiments/{study.path.name}": file_checksum(study.path)}
    key = Key(parts, code, mark)
    usual = all(settings[each.name] == each.default for each in study.settings)
    place = (
        request.out / folder_name(model.origin.name) / folder_name(task.name if task else "none")
    )
    target = place / (study.name if usual else f"{study.name}--{key.digest[:8]}")
    last = target if usual else _last(place, study, settings)
    reason, since = ("forced", "") if request.force else _why(last, key)
    said = {"unchanged_since": since, "ungated": ungated, "instead": instead}
    return Order(study, model, task, settings, request, key, target, last, reason, **said)


def unless_taken(order: Order) -> Order:
    """The order; under a name of its own if the reports of another file of its name have come to lie
    where it was to go."""
    place, mark = order.target.parent.parent, order.key.file
    if order.task is None or not mark or not anothers(order.task, mark, place):
        return order
    task = named_apart(order.task, mark, place)
    key = replace(order.key, parts={**order.key.parts, "task": task.name})
    target = place / folder_name(task.name) / order.target.name
    return replace(order, task=task, key=key, target=target, replaces=None)


def _parts(
    model: Subject, task: Task | None, settings: Mapping[str, Any], request: Request
) -> dict[str, Any]:
    return {
        "weights": model.origin.weights_sha256,
        "config": checksum(repr(model.config).encode()),
        "task": task.name if task else None,
        "prompts": prompts_checksum(task),
        "settings": dict(settings),
        "files": _files(settings),
        "seed": request.seed,
        "dtype": request.dtype,
        "device": request.device,
        "bos": request.bos,
        "schema": SCHEMA_VERSION,
        "libraries": libraries(),
    }


def _files(settings: Mapping[str, Any]) -> dict[str, str]:
    """The checksums of files that settings name: what is in them counts, not what they are called."""
    named = {name: value for name, value in settings.items() if isinstance(value, str)}
    return {name: file_checksum(Path(value)) for name, value in named.items() if _is_file(value)}


def _is_file(value: str) -> bool:
    try:
        return Path(value).is_file()
    except (OSError, ValueError):  # a prompt is often no possible name
        return False


def _last(place: Path, study: Study, settings: Mapping[str, Any]) -> Path | None:
    """The run of this study with these settings, under whatever key it was made."""
    for folder in sorted(place.glob(f"{study.name}--*")):
        key = stored(folder)
        if key is not None and key.parts.get("settings") == settings:
            return folder
    return None


def _why(folder: Path | None, key: Key) -> tuple[str, str]:
    """Why the run has to be made; or nothing, and when it was made."""
    if folder is None or not (folder / "result.json").exists():
        return "not run before", ""
    try:
        result = store.load(folder)
    except InterpError:
        return "what is stored cannot be read", ""
    before = stored(folder)
    if before is None:
        return "what is stored has no key", ""
    if result.status != "ok":
        return f"the last run {'failed' if result.status == 'failed' else 'is partial'}", ""
    return changes(before, key), result.started
