"""What the index says about one run."""

from dataclasses import dataclass
from urllib.parse import quote

from interp.report.heatmaps import Range, picture
from interp.report.numbers import Number, short, span
from interp.report.pictures import Heatmap, Maps
from interp.report.result import Result

LARGEST_THUMBNAIL = 64 * 128


@dataclass(frozen=True)
class Row:
    """One run as text; `order` sorts by model, task and experiment, comparisons last."""

    experiment: str
    question: str
    answer: str
    headline: str
    interval: str
    headline_label: str
    verdict: str
    judged: bool
    status: str
    error: str
    model: str
    task: str
    date: str
    seconds: str
    memory: str
    checks: str
    checks_pass: bool
    thumbnail: str
    thumbnail_title: str
    href: str

    @property
    def order(self) -> tuple[str, str, bool, str, str]:
        return (self.model, self.task, not self.judged, self.experiment, self.href)


def row(result: Result) -> Row:
    """The index's row of one run."""
    report = result.report
    first = report.headlines[0] if report and report.headlines else None
    checks = report.checks if report else ()
    passed = sum(bool(check.passed) for check in checks)
    heatmap = _first_map(result)
    # Small and without numbers: weak cells are lifted so that the map's structure is seen.
    scale = Range.of(heatmap.values, heatmap.scale) if heatmap else None
    return Row(
        experiment=result.experiment,
        question=result.question,
        answer=result.answer,
        headline=_value(first.value, first.unit) if first else "",
        interval=(
            span(first.low, first.high)
            if first and first.low is not None and first.high is not None
            else ""
        ),
        headline_label=first.label if first else "",
        verdict=result.verdict,
        judged=result.judged,
        status=result.status,
        error=f"{result.error.type}: {result.error.message}" if result.error else "",
        model=result.model.name,
        task=result.task_name,
        date=result.started[:16].replace("T", " "),
        seconds=f"{result.seconds:.1f}" if result.seconds else "",
        memory=f"{result.peak_memory_mb:,.0f}" if result.peak_memory_mb else "",
        checks=f"{passed}/{len(checks)}" if checks else "",
        checks_pass=passed == len(checks),
        thumbnail=picture(heatmap.values, scale, power=0.6) if heatmap and scale else "",
        thumbnail_title=heatmap.title if heatmap else "",
        href=_href(result),
    )


def _value(value: Number | str, unit: str) -> str:
    text = value if isinstance(value, str) else short(value)
    return f"{text} {unit}".strip()


def _first_map(result: Result) -> Heatmap | None:
    sections = result.report.sections if result.report else ()
    for section in sections:
        for block in section.blocks:
            heatmap = block.heatmaps[0] if isinstance(block, Maps) else block
            if isinstance(heatmap, Heatmap) and heatmap.values.size <= LARGEST_THUMBNAIL:
                return heatmap
    return None


def _href(result: Result) -> str:
    if result.folder is not None:
        parts = result.folder.parts[-3:]
    else:
        parts = (result.model.name, result.task_name, result.experiment)
    return "/".join(quote(part, safe="", errors="surrogatepass") for part in parts) + "/report.html"
