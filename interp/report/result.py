"""A Result: what one run of one experiment found, and everything that says how it was made."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from interp.report.blocks import Report, Verdict
from interp.report.numbers import Number
from interp.report.require import one_of, require

SCHEMA_VERSION = 1

Status = Literal["ok", "partial", "failed"]
STATUSES = ("ok", "partial", "failed")


@dataclass(frozen=True)
class ModelFacts:
    """Which model ran, in which number format and where; notes say what was done to its weights."""

    name: str
    family: str
    weights_sha256: str
    dtype: str = "float32"
    device: str = "cpu"
    revision: str | None = None
    notes: Sequence[str] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "notes", tuple(str(note) for note in self.notes))


@dataclass(frozen=True)
class TaskFacts:
    """Which prompts ran: `n` kept, `dropped` unfit."""

    name: str
    n: int
    dropped: int = 0


@dataclass(frozen=True)
class Failure:
    """Why a run stopped, at which step, and the command that goes on from there."""

    type: str
    message: str
    step: str = ""
    resume: str = ""


@dataclass(frozen=True)
class Result:
    """One run. `report` is None only where the run failed before there was one. `ungated` if the model
    failed the task's gate and the study ran all the same."""

    experiment: str
    question: str
    model: ModelFacts
    status: Status
    report: Report | None = None
    task: TaskFacts | None = None
    expectation: str = ""
    method: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    versions: Mapping[str, str] = field(default_factory=dict)
    seconds: Number = 0.0
    peak_memory_mb: Number = 0.0
    started: str = ""
    command: str = ""
    key: str = ""
    ungated: bool = False
    error: Failure | None = None
    folder: Path | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        one_of(self.status, STATUSES, "Result status")
        require(
            (self.status == "failed") == (self.error is not None),
            f"Result of {self.experiment!r}: status failed and an error go together; got status "
            f"{self.status!r} and error {self.error!r}",
        )
        require(
            self.report is not None or self.status == "failed",
            f"Result of {self.experiment!r} has no report but status {self.status!r}",
        )
        object.__setattr__(self, "settings", dict(self.settings))
        object.__setattr__(self, "versions", dict(self.versions))

    @property
    def verdict(self) -> Verdict:
        return self.report.verdict if self.report else "not run"

    @property
    def judged(self) -> bool:
        """Whether a verdict means anything: a comparison expects nothing and claims nothing."""
        return bool(self.expectation) or self.verdict != "not run" or not self.answer

    @property
    def answer(self) -> str:
        return self.report.answer if self.report else ""

    @property
    def task_name(self) -> str:
        return self.task.name if self.task else "none"
