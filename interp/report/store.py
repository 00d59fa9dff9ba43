"""Runs on disk: a Result to its folder and back, without loss.

A folder holds `result.json` (the interface for others), `tables/*.csv`, `arrays.safetensors`,
`documents/*.json` where a study has some, and `report.html`, which is made from the others alone.
"""

import json
import os
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from safetensors.numpy import load as arrays_of
from safetensors.numpy import save_file

from interp import ordinary
from interp.errors import InterpError, UsageError
from interp.report import frames, render
from interp.report.blocks import Report
from interp.report.codec import Arrays, Tables, decode, encode
from interp.report.require import checked
from interp.report.result import SCHEMA_VERSION, Failure, ModelFacts, Result, TaskFacts
from interp.visible import one_line

PAGE_PARTS = ("inputs", "sections", "controls")
# Bytes of a result or a table, and of all arrays: more is too much for a page.
MOST_TEXT, MOST_ARRAYS = 256 * ordinary.MB, 1024 * ordinary.MB


def save(folder: Path, result: Result) -> None:
    """Writes a run into `folder`, which exists and is empty."""
    arrays: Arrays = {}
    tables: Tables = {}
    data = to_json(result, arrays, tables)
    (folder / "tables").mkdir()
    for name, frame in tables.items():
        (folder / data["tables"][name]).write_bytes(frames.to_csv(frame).encode())
    if result.report and result.report.documents:
        (folder / "documents").mkdir()
        for name, text in result.report.documents.items():
            (folder / data["documents"][name]).write_text(text, encoding="utf-8", newline="\n")
    whole = {name: values.copy(order="C") for name, values in arrays.items()}
    save_file(whole, folder / "arrays.safetensors")
    text = json.dumps(data, indent=1, ensure_ascii=True, allow_nan=False)
    (folder / "result.json").write_text(text + "\n", encoding="utf-8")
    (folder / "report.html").write_text(render.page(load(folder)), encoding="utf-8", newline="\n")


def load(folder: Path) -> Result:
    """The run that lies in `folder`.

    Raises: InterpError, naming the file, where something is missing, damaged or newer.
    """
    path = folder / "result.json"
    if not os.path.lexists(path):
        raise InterpError(f"{path} does not exist; run the experiment again")
    try:
        data = json.loads(ordinary.data(path, MOST_TEXT), parse_constant=_refused)
    except (UsageError, ValueError, RecursionError, MemoryError) as error:
        raise InterpError(
            f"{path} cannot be read ({one_line(error, 200)}); run the experiment again"
        ) from error
    version = data.get("schema_version") if isinstance(data, dict) else None
    if version != SCHEMA_VERSION or isinstance(version, bool):
        raise InterpError(
            f"{path} expected schema_version {SCHEMA_VERSION}, got {version!r:.40}; "
            f"run the experiment again"
        )
    try:
        return _from_json(data, folder)
    # Whatever a stranger's file makes go wrong is the file's fault.
    except Exception as error:
        raise InterpError(
            f"{path} is damaged ({type(error).__name__}: {one_line(error, 200)}); "
            "run the experiment again"
        ) from error


def _refused(word: str) -> None:
    raise ValueError(f"{word} is no number")


def to_json(result: Result, arrays: Arrays, tables: Tables) -> dict[str, Any]:
    """`result.json` as data; fills `arrays` and `tables` with what lies beside it."""
    report = result.report or Report(answer="", verdict="not run", sections=())
    page = {part: encode(getattr(report, part), part, arrays, tables) for part in PAGE_PARTS}
    tables.update(report.files)
    if report.figure is not None:
        page["figure"] = encode(report.figure, "figure", arrays, tables)
    page["files"] = {name: frames.kinds(frame) for name, frame in report.files.items()}

    def listed(name: str) -> list[dict[str, Any]]:
        items = encode(getattr(report, name), name, arrays, tables)
        return [{key: value for key, value in item.items() if key != "block"} for item in items]

    return {
        "schema_version": SCHEMA_VERSION,
        "experiment": result.experiment,
        "question": result.question,
        "expectation": result.expectation,
        "method": result.method,
        "model": asdict(result.model),
        "task": asdict(result.task) if result.task else None,
        "settings": result.settings,
        "seed": result.seed,
        "versions": result.versions,
        "status": result.status,
        "verdict": report.verdict,
        "answer": report.answer,
        "headline": listed("headlines"),
        "checks": listed("checks"),
        "not_run": listed("not_run"),
        "tables": {name: f"tables/{name}.csv" for name in tables},
        **_documents(report),
        "seconds": result.seconds,
        "peak_memory_mb": result.peak_memory_mb,
        "started": result.started,
        "command": result.command,
        "key": result.key,
        "ungated": result.ungated,
        "error": asdict(result.error) if result.error else None,
        "warnings": report.warnings,
        "limits": report.limits,
        "page": page if result.report else None,
    }


def _from_json(data: dict[str, Any], folder: Path) -> Result:
    beside = {"model", "task", "error", "report", "folder"}
    plain = {each.name for each in fields(Result)} - beside
    # Runs of before there was the option have no such key.
    data = {"ungated": False, **data}
    found = {name: data[name] for name in plain} | {
        "model": ModelFacts(**checked(ModelFacts, data["model"])),
        "task": _optional(TaskFacts, data["task"]),
        "error": _optional(Failure, data["error"]),
        "report": None if data["page"] is None else _report(data, folder),
    }
    return Result(**checked(Result, found), folder=folder)


def _optional(kind: type[Any], data: Any) -> Any:
    return None if data is None else kind(**checked(kind, data))


def _report(data: dict[str, Any], folder: Path) -> Report:
    page = data["page"]
    arrays = arrays_of(ordinary.data(folder / "arrays.safetensors", MOST_ARRAYS))
    kinds = {**_table_kinds(page), **page["files"]}
    tables = {name: _read_table(folder, name, columns) for name, columns in kinds.items()}

    def items(name: str, block: str) -> Any:
        return decode([{"block": block, **item} for item in data[name]], arrays, tables)

    plain = {name: data[name] for name in ("answer", "verdict", "warnings", "limits")}
    found = plain | {
        "headlines": items("headline", "Headline"),
        "checks": items("checks", "Check"),
        "not_run": items("not_run", "NotRun"),
        "files": {name: tables[name] for name in page["files"]},
        "documents": {
            name: ordinary.text(folder / _document(name), MOST_TEXT)
            for name in data.get("documents", ())
        },
        **{part: decode(page[part], arrays, tables) for part in PAGE_PARTS},
        # Runs of before there was one, and most others, have none.
        "figure": decode(page.get("figure"), arrays, tables),
    }
    return Report(**checked(Report, found))


def _documents(report: Report) -> dict[str, dict[str, str]]:
    """Where the documents of a report lie; nothing where it has none."""
    found = {name: _document(name) for name in report.documents}
    return {"documents": found} if found else {}


def _document(name: str) -> str:
    return f"documents/{frames.checked_name(name)}.json"


def _table_kinds(data: Any) -> dict[str, dict[str, str]]:
    """Every table that a page's data names, with its columns' types."""
    if isinstance(data, dict) and data.get("block") == "Table":
        return {data["name"]: data["columns"]}
    items = data.values() if isinstance(data, dict) else data if isinstance(data, list) else ()
    return {name: kinds for item in items for name, kinds in _table_kinds(item).items()}


def _read_table(folder: Path, name: str, kinds: dict[str, str]) -> frames.Frame:
    path = folder / "tables" / f"{frames.checked_name(name)}.csv"
    return frames.from_csv(ordinary.data(path, MOST_TEXT).decode("utf-8"), kinds, str(path))
