"""A run as the parts of its page, in the order in which they are read."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from interp.report import frames, markup
from interp.report.blocks import Block, Report, Table
from interp.report.charts import island as chart_island
from interp.report.circuitsvis import MOST_BYTES, AttentionView
from interp.report.curve import CurveView
from interp.report.diagrams import Distribution, Flow, Graph
from interp.report.distribution import MOST_BYTES as MOST_SAMPLE_BYTES
from interp.report.distribution import DistributionView, SamplesView
from interp.report.flow import FlowView
from interp.report.graph import GraphView
from interp.report.heatmaps import MapView, StripView
from interp.report.pictures import Attention, Chart, Curve, Heatmap, Maps, TokenStrip
from interp.report.result import Result
from interp.report.tables import TableView

# Table values a page may hold before further tables show their first rows only.
MOST_TABLE_VALUES = 12_000


@dataclass(frozen=True)
class Item:
    """One block, ready for its template: `kind` names the macro, `id` is unique in the page."""

    kind: str
    id: str
    block: Any
    view: Any


@dataclass(frozen=True)
class MapsView:
    """Maps beside each other, and the prompts behind their cells where these are known."""

    maps: list[MapView]
    samples: SamplesView | None


@dataclass(frozen=True)
class Part:
    """One heading of the evidence."""

    id: str
    title: str
    intro: str
    items: list[Item]


@dataclass(frozen=True)
class Download:
    """A file beside the page."""

    path: str
    what: str


class Document:
    """Everything that the page's template shows."""

    def __init__(self, result: Result) -> None:
        report = result.report or Report(answer="", verdict="not run", sections=())
        self.report = report
        self._ids = 0
        self._attention_bytes = MOST_BYTES
        self._table_values = MOST_TABLE_VALUES
        self._sample_bytes = MOST_SAMPLE_BYTES
        self._kinds: set[str] = set()
        self.by_head = False
        self.figure = self._item(report.figure) if report.figure is not None else None
        self.inputs = self._items(report.inputs)
        self.parts = [
            Part(f"evidence-{i}", section.title, section.intro, self._items(section.blocks))
            for i, section in enumerate(report.sections, start=1)
        ]
        self.controls = self._items(report.controls)
        self.method = markup.labelled(result.method)
        self.paragraph = methods_paragraph(result)
        self.facts = facts(result)
        self.downloads = downloads(report)
        self.warnings = warnings(result)

    def uses(self, *kinds: str) -> bool:
        return bool(self._kinds & set(kinds))

    @property
    def contents(self) -> list[tuple[str, str]]:
        """(id, title) of every heading that the page has."""
        report = self.report
        entries = [("summary", "Summary")]
        entries += [("inputs", "Inputs")] if self.inputs else []
        entries += [(part.id, part.title) for part in self.parts]
        entries += [("controls", "Controls")] if self.controls else []
        entries += [("checks", "Checks")] if report.checks or report.not_run else []
        entries += [("method", "Method")]
        entries += [("limits", "Limits")] if report.limits else []
        return [*entries, ("provenance", "Provenance"), ("downloads", "Downloads")]

    @property
    def failed_checks(self) -> int:
        return sum(not check.passed for check in self.report.checks)

    def _items(self, blocks: Sequence[Block]) -> list[Item]:
        return [self._item(block) for block in blocks]

    def _item(self, block: Block) -> Item:
        self._ids += 1
        name = f"b{self._ids}"
        if isinstance(block, Heatmap):
            block = Maps([block])
        kind = type(block).__name__
        view: Any = None
        if isinstance(block, Maps):
            samples = SamplesView.of(block.heatmaps, self._sample_bytes)
            self._sample_bytes -= samples.size if samples else 0
            view = MapsView([MapView.of(heatmap) for heatmap in block.heatmaps], samples)
            if samples:
                self._kinds.add("Samples")
            self.by_head |= any(heatmap.by_head for heatmap in block.heatmaps)
        elif isinstance(block, TokenStrip):
            view = StripView.of(block)
        elif isinstance(block, Attention):
            view = AttentionView.of(block, self._attention_bytes)
            if view is None:
                kind = "AttentionTooLong"
            else:
                self._attention_bytes = max(0, self._attention_bytes - view.size)
                self.by_head = True
        elif isinstance(block, Chart):
            view = chart_island(block)
        elif isinstance(block, Curve):
            view = CurveView.of(block)
        elif isinstance(block, Distribution):
            view = DistributionView.of(block)
            self.by_head |= any(row.head for row in view.rows)
        elif isinstance(block, Flow):
            view = FlowView.of(block)
            self.by_head |= any(part.head for step in view.steps for part in step.parts)
        elif isinstance(block, Graph):
            view = GraphView.of(block)
            self.by_head |= any(box.head for box in view.boxes)
        elif isinstance(block, Table):
            view = TableView.of(block, self._table_values)
            self._table_values -= len(view.rows) * len(view.numeric)
            self.by_head |= any(row.head for row in view.rows)
        self._kinds.add(kind)
        return Item(kind, name, block, view)


def warnings(result: Result) -> list[str]:
    """What a reader must know before the numbers: the study's own warnings, then the run's."""
    own = list(result.report.warnings) if result.report else []
    if result.status == "partial":
        own.insert(0, "This run is partial: some of what it should have measured is missing.")
    return own


def facts(result: Result) -> list[tuple[str, list[tuple[str, str]]]]:
    """Where the numbers come from, grouped as (heading, [(name, value)])."""
    model, task = result.model, result.task
    of_model = {
        "Name": model.name,
        "Family": model.family,
        "Weights SHA-256": model.weights_sha256,
        "Revision": model.revision or "",
        "Number format": f"{model.dtype} on {model.device}",
    }
    of_run = {
        "Experiment": result.experiment,
        "Started": result.started,
        "Took": f"{result.seconds:.1f} s, peak {result.peak_memory_mb:,.0f} MB",
        "Seed": str(result.seed),
        "Key": result.key,
    }
    prompts = f"{task.n} kept, {task.dropped} dropped" if task else ""
    groups = {
        "Model": [*of_model.items(), *(("Note", note) for note in model.notes)],
        "Task": [("Name", task.name), ("Prompts", prompts)] if task else [],
        "Run": [*of_run.items()],
        "Settings": [(name, setting(value)) for name, value in result.settings.items()],
        "Versions": [*result.versions.items()],
    }
    shown = {title: [pair for pair in pairs if pair[1]] for title, pairs in groups.items() if pairs}
    return [*shown.items()]


def methods_paragraph(result: Result) -> str:
    """The run in words that can be pasted into a paper's methods section."""
    model = result.model
    sentences = [
        f"We ran the experiment {result.experiment} of interp"
        + (f" {result.versions['interp']}" if "interp" in result.versions else "")
        + f" on {model.name} ({model.family}"
        + (f", revision {model.revision}" if model.revision else "")
        + (f", weights SHA-256 {model.weights_sha256[:12]}" if model.weights_sha256 else "")
        + f") in {model.dtype} on {model.device}."
    ]
    sentences += [note.rstrip(".") + "." for note in model.notes]
    if result.task:
        dropped = f", {result.task.dropped} dropped" if result.task.dropped else ""
        sentences.append(f"Prompts: {result.task.n} of the task {result.task.name}{dropped}.")
    if result.settings:
        pairs = ", ".join(f"{name} = {setting(value)}" for name, value in result.settings.items())
        sentences.append(f"Settings: {pairs}; seed {result.seed}.")
    else:
        sentences.append(f"Seed {result.seed}.")
    return " ".join(sentences)


def setting(value: Any) -> str:
    """A setting as a reader would write it: lists without brackets and quotes."""
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def downloads(report: Report) -> list[Download]:
    """The files beside the page, with what is in them."""
    tables = {table.name: (table.title or table.name, table.frame) for table in report.tables}
    tables.update({name: (name, frame) for name, frame in report.files.items()})
    return [
        Download("result.json", "the whole result, as data"),
        Download("arrays.safetensors", "every map and pattern, as arrays"),
        *[
            Download(f"tables/{name}.csv", f"{title}: {_size(frame)}")
            for name, (title, frame) in tables.items()
        ],
        *[Download(f"documents/{name}.json", f"{name}, as data") for name in report.documents],
    ]


def _size(frame: frames.Frame) -> str:
    return f"{frame.shape[0]:,} rows × {frame.shape[1]} columns"
