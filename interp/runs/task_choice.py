"""Which task each study runs on: the one asked for, or else its usual one, where the model can do it."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from interp import tasks
from interp.errors import UsageError
from interp.runs.folders import file_mark, folder_name, named_apart
from interp.tasks import Task
from interp.visible import one_line

if TYPE_CHECKING:
    from interp.runs.order import Order, Request
    from interp.study.registry import Study
    from interp.tasks import Gate
    from interp.transformer import Transformer


@dataclass(slots=True)
class TaskChoice:
    """Every study's tasks by the study's name, or why it has none, and why it is not its usual one; and
    what the gates said so far, by the task's."""

    tasks: dict[str, list[Task]] = field(default_factory=dict)
    instead: dict[str, str] = field(default_factory=dict)
    without: dict[str, str] = field(default_factory=dict)
    gates: dict[str, Gate] = field(default_factory=dict)

    def why_not(self, order: Order) -> str:
        """Why this run has nothing to run on; empty where it has."""
        if order.study.task is not None and order.task is None:
            return self.without.get(order.study.name, "")
        if order.task is None or not order.study.gated or order.ungated:
            return ""
        return self.gate(order.task, order.model).refused or ""

    def left(self, study: Study, task: Task | None) -> str:
        """Why this task, which nobody asked for, is not the study's usual one; empty where it is."""
        first = self.tasks.get(study.name, [None])[0]
        return self.instead.get(study.name, "") if task is first else ""

    def refusal(self, study: Study, task: Task | None, model: Any) -> str:
        """Why the gate refuses this study's task; empty where it lets it through, is not asked, or has
        no prompts to judge."""
        if task is None or not study.gated or not task.n:
            return ""
        return self.gate(task, model).refused or ""

    def gate(self, task: Task, model: Any) -> Gate:
        """What the gate says of this task, asked once."""
        if task.name not in self.gates:
            self.gates[task.name] = tasks.gate(model, task)
        return self.gates[task.name]


def choose(
    studies: Sequence[Study], model: Transformer, request: Request, whole: bool = False
) -> TaskChoice:
    """Builds each task once. A usual task is left for the first one that the model can do if the
    tokenizer lacks its words, or if a study needs a model that can do it and this one cannot. Where
    it can do none, it stays, or else the first one that the tokenizer has words for takes its place.
    In the `whole` suite a study's second task comes on top, where the model can do it, and a study
    for which no task can be built is left without. For an ungated request the model can do whatever
    its tokenizer has words for.

    Raises  UsageError for a task that was asked for and cannot be built, or, but for the `whole`
            suite, where none can be.
    """
    found = TaskChoice()
    for usual in dict.fromkeys(study.task for study in studies if study.task):
        those = [study for study in studies if study.task == usual]
        if request.task is not None:
            task = _build(request.task, model, request)
        else:
            gated = not request.ungated and any(study.gated for study in those)
            try:
                task, why = _within_reach(usual, gated, model, request, found)
            except UsageError as error:
                if not whole or request.n is not None:
                    raise
                found.without |= {study.name: str(error) for study in those}
                continue
            found.instead |= {study.name: why for study in those if why}
        found.tasks |= {study.name: [task] for study in those}
    if whole and request.task is None:
        for second in dict.fromkeys(study.also for study in studies if study.also):
            with_it = [study for study in studies if study.also == second]
            those = [study for study in with_it if study.name in found.tasks]
            _add(second, those, model, request, found)
    return found


def _add(
    second: str, those: Sequence[Study], model: Transformer, request: Request, choice: TaskChoice
) -> None:
    """Puts this task after the others of each study that does not have it, if the model can do it."""
    try:
        task = _build(second, model, request)
    except UsageError as error:
        print(f"{second}: {one_line(error)}; left out", flush=True)
        return
    if not request.ungated and (reason := choice.gate(task, model).refused):
        print(f"{second}: {reason}; left out", flush=True)
        return
    for study in those:
        if task.name not in {known.name for known in choice.tasks[study.name]}:
            choice.tasks[study.name].append(task)


def _within_reach(
    usual: str, gated: bool, model: Transformer, request: Request, choice: TaskChoice
) -> tuple[Task, str]:
    """The usual task or another in its place, and why it is another."""
    built: Task | UsageError
    try:
        built = _build(usual, model, request)
        reason = choice.gate(built, model).refused if gated else ""
    except UsageError as error:
        built, reason = error, str(error)
    if not reason:
        return cast("Task", built), ""
    others = []
    for name in tasks.names():
        # Of another one's words the vocabulary may lack some.
        with contextlib.suppress(UsageError):
            others += [_build(name, model, request)] if name != usual else []
    able = next((each for each in others if not choice.gate(each, model).refused), None)
    if able is None and not isinstance(built, UsageError):
        return built, ""
    if able is None and not others:
        raise cast("UsageError", built)
    found, can = (able, "do") if able else (others[0], "read")
    why = f"{usual} is left for {found.name}, which it can {can}"
    print(f"{usual}: {reason}\n{why}", flush=True)
    return found, f"{usual}, the usual task, is left for {found.name}: {reason}"


def _build(name: str, model: Transformer, request: Request) -> Task:
    task = tasks.build(
        name,
        model.tokenizer,
        n=request.n,
        seed=request.seed,
        bos=model.bos_choice,
        n_ctx=model.config.n_ctx,
    )
    mark = file_mark(name, request.out)
    if not mark:
        return task
    found = named_apart(task, mark, request.out / folder_name(model.name))
    if found.name != task.name:
        print(
            f"{task.name}: another file's reports have this name, those of this one: {found.name}"
        )
    if task.dropped:
        print(
            f"{found.name}: {task.dropped} of {len(task.prompts)} prompts dropped: {task.why_dropped}",
            flush=True,
        )
    return found
