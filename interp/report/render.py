"""Results to HTML: one self-contained page a run, and the index over all runs.

The same result gives the same bytes: nothing here reads a clock, a model or a setting. A
content-security policy lets exactly the page's own scripts run.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
from markupsafe import Markup

from interp.report import charts, circuitsvis, markup, numbers
from interp.report.catalogue import Row, row
from interp.report.document import Document
from interp.report.result import Result
from interp.visible import one_line, reveal


@cache
def digest(text: str) -> str:
    """The source expression that allows a script with this text."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode()


@dataclass(frozen=True)
class Scripts:
    """`head` runs before the page is painted, `body` after it is read; `libraries` lie in it as
    inert text until `body` puts one into a script element, which the policy then knows by hash."""

    head: str
    body: str
    libraries: Mapping[str, str]

    @property
    def policy(self) -> str:
        """Nothing is loaded from anywhere; only these scripts run. Pictures are data URIs."""
        sources = " ".join(
            f"'{digest(text)}'" for text in (self.head, self.body, *self.libraries.values())
        )
        return (
            f"default-src 'none'; script-src {sources}; style-src 'unsafe-inline'; "
            f"img-src data:; base-uri 'none'; form-action 'none'"
        )

    def text(self, name: str) -> Markup:
        """A script's text as it stands between its tags."""
        return inert({"head": self.head, "body": self.body, **self.libraries}[name])


@cache
def inert(text: str) -> Markup:
    """`text` as it is, for between script tags.

    Raises: ValueError where it would end its element or be read as other text than was hashed.
    """
    if "</script" in text.lower() or "<!--" in text or "\r" in text:
        raise ValueError("a script holds text that would end or change its element")
    return Markup(text)


def island(data: Any) -> Markup:
    """`data` as JSON that cannot end its script element or be read as HTML; NaN is refused."""
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


HERE = Path(__file__).parent
# Where the page's own scripts are looked for; the first runs before anything is painted.
THEME = "theme.js"
COMMON = ("state.js", "contents.js", "copy.js")
FIRST_COMMANDS = ("make reports", "interp list", "interp run anatomy --model smollm2-135m")


class Coming(NamedTuple):
    """An experiment that is about to run."""

    experiment: str
    question: str


class Missing(NamedTuple):
    """An experiment that has not been run yet, and the command that runs it."""

    experiment: str
    question: str
    command: str


class Broken(NamedTuple):
    """A file that could not be read, and why."""

    file: str
    error: str


@cache
def asset(name: str) -> str:
    return (HERE / "assets" / name).read_text(encoding="utf-8")


def _seen(value: Any) -> Any:
    return value if not isinstance(value, str) or hasattr(value, "__html__") else reveal(value)


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_seen,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        prose=markup.prose,
        inline=markup.inline,
        island=island,
        short=numbers.short,
        span=lambda ends: numbers.span(*ends),
        exact=numbers.exact,
    )
    environment.globals.update(chart_rows=charts.rows, chart_interval=charts.has_interval)
    return environment


def page(result: Result) -> str:
    """The report of one run as a single HTML document that needs nothing else to be read."""
    document = Document(result)
    names = [*COMMON]
    names += ["maps.js"] if document.uses("Maps", "TokenStrip") else []
    names += ["samples.js"] if document.uses("Samples") else []
    names += ["diagrams.js"] if document.uses("Distribution", "Flow") else []
    names += ["graph.js"] if document.uses("Graph") else []
    names += ["tables.js"] if document.uses("Table") else []
    names += ["attention.js"] if document.uses("Attention") else []
    names += ["charts.js"] if document.uses("Chart") else []
    libraries = {}
    if document.uses("Attention"):
        libraries["circuitsvis"] = circuitsvis.script()
    if document.uses("Chart"):
        libraries["plotly"] = charts.script()
    scripts = Scripts(
        head=asset(THEME), body="\n".join(asset(name) for name in names), libraries=libraries
    )
    return (
        _environment()
        .get_template("page.html")
        .render(document=document, result=result, scripts=scripts, style=asset("report.css"))
    )


def index(
    runs: Sequence[Result],
    missing: Sequence[tuple[str, str, str]] = (),
    broken: Sequence[tuple[str, str]] = (),
    coming: Sequence[tuple[str, str]] = (),
) -> str:
    """The page over all runs, to lie in `reports/`; each run is linked as
    `<model>/<task>/<experiment>`, the last three parts of the folder that it was loaded from. A run
    that cannot be drawn is listed as broken."""
    found, undrawn = _rows(runs)
    rows = sorted(found, key=lambda entry: entry.order)
    groups: dict[tuple[str, str], list[Row]] = {}
    for entry in rows:
        groups.setdefault((entry.model, entry.task), []).append(entry)
    scripts = Scripts(
        head=asset(THEME),
        body="\n".join(asset(n) for n in ("state.js", "copy.js", "index.js")),
        libraries={},
    )
    return (
        _environment()
        .get_template("index.html")
        .render(
            groups=groups,
            rows=rows,
            missing=[Missing(*item) for item in missing],
            coming=[Coming(*item) for item in coming],
            broken=[*(Broken(*item) for item in broken), *undrawn],
            first_commands=FIRST_COMMANDS,
            scripts=scripts,
            style=asset("report.css"),
        )
    )


def _rows(runs: Sequence[Result]) -> tuple[list[Row], list[Broken]]:
    rows, broken = [], []
    for result in runs:
        try:
            rows.append(row(result))
        # One run that nobody foresaw must not hide the others.
        except Exception as error:
            place = result.folder.name if result.folder else result.experiment
            broken.append(Broken(place, f"{type(error).__name__}: {one_line(error, 200)}"))
    return rows, broken
