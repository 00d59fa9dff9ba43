"""Strings that try to become something else than text, and a run that has one in every place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import synthetic

from interp.report import (
    Attention,
    Chart,
    Check,
    Curve,
    Distribution,
    Edge,
    Flow,
    Formula,
    Graph,
    Headline,
    Heatmap,
    Maps,
    Node,
    NotRun,
    Report,
    Section,
    Series,
    Table,
    Text,
    TokenStrip,
)
from interp.report.result import Failure, ModelFacts, Result, TaskFacts

PAYLOADS = [
    "</script><script>window.hacked=1</script>",
    "</SCRIPT ><img src=x onerror=window.hacked=1>",
    "<s>",
    "</s>",
    "<img src=x onerror=window.hacked=1>",
    "<svg onload=window.hacked=1>",
    "<iframe srcdoc='<script>parent.hacked=1</script>'></iframe>",
    "<a href=javascript:window.hacked=1>x</a>",
    "javascript:window.hacked=1",
    "data:text/html,<script>window.hacked=1</script>",
    '"><script>window.hacked=1</script>',
    "'><script>window.hacked=1</script>",
    '" onmouseover="window.hacked=1',
    "' autofocus onfocus='window.hacked=1",
    "<!--",
    "-->",
    "<!-- <script>",
    "]]>",
    "<![CDATA[<b>",
    "</style><script>window.hacked=1</script>",
    "</title><script>window.hacked=1</script>",
    "</textarea><script>window.hacked=1</script>",
    "</table></section></main><h1>gone</h1>",
    "<base href=//example.invalid/>",
    "<meta http-equiv=refresh content=0>",
    "<form action=//example.invalid><button>go</button></form>",
    "<style>*{display:none}</style>",
    "{{ 7 * 7 }}",
    "{% include 'page.html' %}",
    "${7*7}",
    "&lt;b&gt;",
    "&#60;script&#62;",
    "\u2028window.hacked=1\u2029",
    "\u202egnp.exe\u202c",
    "\u2066\u2067isolates\u2069",
    "\u200f\u200eright",
    "zero\u200bwidth\ufeff",
    "\x00\x07\x1b[31mred",
    "\ud83d lone",
    "line\nbreak\tand tab\r",
    "</li></ol>",
    "\\u003cscript\\u003e",
    "<ScRiPt/x>window.hacked=1</ScRiPt>",
    "مرحبا بالعالم",
    "👩‍👩‍👧 é ̈",
    "�Ġ▁",
]


def report(text: str, column: str) -> Report:
    """A report in which every string that an author, a model or a task can give is `text`."""
    weights = np.tril(np.full((1, 3, 3), 0.25))
    strings = pd.DataFrame({column: [column, column], "layer": [0, 1], "head": [1, 0]})
    blocks: list[Any] = [
        Text(text),
        Formula(text, note=text),
        Maps(
            [
                Heatmap(text, np.eye(3), "layer", "head", [text] * 3, [text] * 3, text, note=text),
                Heatmap(text, np.eye(3), text, text, unit=text, scale="sequential"),
            ],
            text,
            text,
        ),
        Heatmap(text, np.ones((60, 90)), text, text, note=text),
        TokenStrip([text] * 3, [1.0, -1.0, 0.0], text, text, note=text),
        TokenStrip([text] * 3, marks=[text] * 3),
        Heatmap(text, np.eye(2), text, text, [text] * 2, [text] * 2, samples=np.eye(2)[..., None]),
        Distribution(text, [text], [[1.0, 2.0]], text, groups=[text] * 2, examples=[text] * 2),
        Flow(text, [text], [text], [[1.0]], [(0, text, 1.0)], text, text, text),
        Graph(text, [Node(text, 0, text), Node("b", 1)], [Edge(text, "b", 1.0, text)], text, text),
        Graph(
            text,
            [Node(text, 0, text, text, text, text), Node("b", 1), Node("L1H0", 2, lane="")],
            [
                Edge(text, "b", 1.0, text, stable=False),
                Edge(text, "L1H0", 0.5, text[:2], more=True),
            ],
            text,
            text,
            [text, ""],
        ),
        Curve(
            text,
            [Series(text, [1, 99], [1, 2], [0, 1], [2, 3])],
            text,
            text,
            [(text, 1)],
            [(text, 9)],
            text,
        ),
        Attention(text, [[text] * 3], [weights], [(0, 1)], text),
        Chart(text, "line", [Series(text, [1, 2], [1, 2], [0, 1], [2, 3])], text, text, text),
        Chart(text, "bar", [Series(text, [text, "b"], [1, 2])], text, text, text),
        Table("strings", strings, text, text, first_rows=1),
    ]
    return Report(
        answer=text,
        verdict="inconclusive",
        headlines=[Headline(text, 1.0, text, note=text), Headline(text, text)],
        warnings=[text],
        inputs=[TokenStrip([text, text])],
        sections=[Section(text, blocks, text)],
        controls=[Text(text)],
        checks=[Check(text, 0.0, 1.0, note=text), Check(text, 0.0, 1.0, control=True)],
        not_run=[NotRun(text, text)],
        limits=[text],
        figure=Curve(text, [Series(text, [1, 2], [1, 2])], text, text),
    )


def result(text: str, **changes: Any) -> Result:
    """A run in which every string is `text`; what goes to UTF-8 files has no lone surrogate."""
    column = text.replace("\ud83d", "?")
    facts: dict[str, Any] = {
        "experiment": text,
        "question": text,
        "model": ModelFacts(text, text, text, text, text, text, [text]),
        "task": TaskFacts(text, 3),
        "expectation": text,
        "method": text,
        "settings": {text: text, "list": [text]},
        "versions": {text: text},
        "started": "2026-11-23T21:04:11Z",
        "command": text,
        "key": text,
        "report": report(text, column),
    }
    return synthetic.result(**{**facts, **changes})


def failed(text: str) -> Result:
    return result(text, status="failed", error=Failure(text, text, text, text))
