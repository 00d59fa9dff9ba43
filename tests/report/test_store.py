"""A run's folder holds all of it: what is loaded is what was saved, down to the page's bytes."""

import csv
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import synthetic
from safetensors.numpy import load_file

from interp.errors import InterpError
from interp.report import Check, NotRun, Report, Section, Table, frames, render, store


def saved(folder, result):
    folder.mkdir()
    store.save(folder, result)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return saved(tmp_path_factory.mktemp("runs") / "run", synthetic.result())


def files(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_saving_what_was_loaded_gives_the_same_bytes(folder, tmp_path):
    again = saved(tmp_path / "again", store.load(folder))
    assert files(again) == files(folder)


def test_a_page_rendered_from_the_folder_alone_has_the_same_bytes(folder):
    assert render.page(store.load(folder)).encode() == (folder / "report.html").read_bytes()


def test_a_page_rendered_before_and_after_storing_is_the_same(folder):
    assert render.page(synthetic.result()).encode() == (folder / "report.html").read_bytes()


def test_result_json_has_the_fields_that_others_read(folder):
    data = json.loads((folder / "result.json").read_text())
    assert list(data) == [
        "schema_version", "experiment", "question", "expectation", "method", "model", "task",
        "settings", "seed", "versions", "status", "verdict", "answer", "headline", "checks",
        "not_run", "tables", "seconds", "peak_memory_mb", "started", "command", "key", "ungated",
        "error",
        "warnings", "limits", "page",
    ]  # fmt: skip
    assert data["model"]["weights_sha256"] == "3f8a" * 16
    assert data["task"] == {"name": "ioi", "n": 16, "dropped": 2}
    assert data["tables"] == {"heads": "tables/heads.csv", "prompts": "tables/prompts.csv"}
    assert all((folder / path).is_file() for path in data["tables"].values())
    assert data["checks"][0] == {
        "name": "the parts sum to the residual stream", "value": 3.1e-7, "tolerance": 1e-5,
        "passed": True, "control": False, "note": "",
    }  # fmt: skip
    assert data["headline"][0]["high"] == 3.6
    assert data["error"] is None


def test_every_array_is_stored_as_it_was_given(folder):
    arrays = load_file(folder / "arrays.safetensors")
    assert np.array_equal(arrays["sections.0.blocks.0.heatmaps.1.values"], synthetic.effects(2))
    samples = arrays["sections.4.blocks.0.samples"]
    assert samples.dtype == np.float32
    assert np.array_equal(samples, synthetic.samples(11))
    assert len(arrays) == 15


def test_integer_columns_have_no_decimals_and_may_be_empty(tmp_path):
    frame = pd.DataFrame(
        {
            "layer": pd.Series([3, None, 11]),
            "count": pd.Series([1, None, 2], dtype="Int64"),
            "effect": [0.1, None, -2.0],
        }
    )
    report = Report("a", "inconclusive", [Section("s", [Table("heads", frame)])])
    folder = saved(tmp_path / "run", synthetic.result(report=report))
    with (folder / "tables/heads.csv").open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [
            ["layer", "count", "effect"], ["3", "1", "0.1"], ["", "", ""], ["11", "2", "-2.0"],
        ]  # fmt: skip


HOSTILE_CELLS = ["", " ", "a,b", 'say "hi"', "two\nlines", "cr\rhere", "\r\n", "\x00", "=1+1",
                 "\u2028", "\u202e", "#", "NaN",
                 "None", "1.0", "💥", "ت", "\t", "'", "\\n"]  # fmt: skip


def test_text_survives_a_csv_file_unchanged():
    frame = frames.tidy(pd.DataFrame({"token": HOSTILE_CELLS, "n": range(len(HOSTILE_CELLS))}), "t")
    again = frames.from_csv(frames.to_csv(frame), frames.kinds(frame), "t")
    pd.testing.assert_frame_equal(again, frame)


def test_no_text_of_a_csv_file_begins_a_formula_and_numbers_stay_numbers():
    evil = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "'=1", " the", "-"]
    frame = frames.tidy(pd.DataFrame({"=token": evil, "x": [-1.5] * 8, "n": [-2] * 8}), "t")
    rows = list(csv.reader(frames.to_csv(frame).splitlines()))
    assert rows[0] == ["'=token", "x", "n"]
    assert [row[0] for row in rows[1:]] == [f"'{text}" if text != " the" else text for text in evil]
    assert {tuple(row[1:]) for row in rows[1:]} == {("-1.5", "-2")}
    again = frames.from_csv(frames.to_csv(frame), frames.kinds(frame), "t")
    pd.testing.assert_frame_equal(again, frame)


def test_a_lone_empty_cell_is_still_a_row():
    frame = frames.tidy(pd.DataFrame({"token": ["", "x", ""]}), "t")
    assert len(frames.from_csv(frames.to_csv(frame), frames.kinds(frame), "t")) == 3


def test_floats_survive_exactly_and_truth_values_stay_truth_values():
    rng = np.random.default_rng(0)
    frame = frames.tidy(
        pd.DataFrame({"x": np.r_[rng.normal(0, 1e-9, 50), np.nan, np.inf], "ok": [True] * 52}), "t"
    )
    pd.testing.assert_frame_equal(
        frames.from_csv(frames.to_csv(frame), frames.kinds(frame), "t"), frame
    )


def test_pandas_reads_the_csv_files_as_they_are(folder):
    frame = pd.read_csv(folder / "tables/heads.csv")
    expected = synthetic.head_table(synthetic.effects(2)).reset_index(drop=True)
    pd.testing.assert_frame_equal(frame, expected, check_dtype=False)


@pytest.mark.parametrize(
    "result",
    [
        synthetic.failed(),
        synthetic.failed(report=synthetic.report()),
        synthetic.result(status="partial"),
        synthetic.result(task=None, settings={}),
        synthetic.result(report=Report("It does not apply: the model has no MLP.", "not run", [])),
        synthetic.result(
            report=Report(
                "a", "not supported", [], checks=[Check("c", float("nan"), 1.0)],
                not_run=[NotRun("n", "no reference offline")],
                files={"empty": pd.DataFrame({"layer": []})},
            )
        ),
    ],
    ids=["failed", "failed late", "partial", "no task", "not run", "nothing but checks"],
)  # fmt: skip
def test_every_state_of_a_run_survives_the_disk(result, tmp_path):
    folder = saved(tmp_path / "run", result)
    again = store.load(folder)
    assert render.page(again) == render.page(result)
    assert (again.status, again.verdict, again.error) == (
        result.status,
        result.verdict,
        result.error,
    )


def damaged(folder, tmp_path, name, content):
    copy = saved(tmp_path / "copy", store.load(folder))
    path = copy / name
    path.unlink() if content is None else path.write_bytes(content)
    return copy


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("result.json", None),
        ("result.json", b"{"),
        ("result.json", b"\xff\xfe"),
        ("result.json", b"[]"),
        ("result.json", b'{"schema_version": 1}'),
        ("result.json", b'{"schema_version": 99}'),
        ("arrays.safetensors", None),
        ("arrays.safetensors", b"\x00" * 20),
        ("tables/heads.csv", None),
        ("tables/heads.csv", b"layer,head\n1,2\n"),
        ("tables/prompts.csv", b"clean,kept\nx\n"),
    ],
)
def test_a_damaged_folder_is_one_sentence_that_names_the_file(folder, tmp_path, name, content):
    copy = damaged(folder, tmp_path, name, content)
    with pytest.raises(InterpError) as caught:
        store.load(copy)
    assert str(copy) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_table_cannot_name_a_path_outside_the_folder(folder, tmp_path):
    text = (folder / "result.json").read_text().replace('"heads"', '"../../heads"')
    copy = damaged(folder, tmp_path, "result.json", text.encode())
    with pytest.raises(InterpError, match="lower-case"):
        store.load(copy)


def test_a_result_fails_if_and_only_if_it_has_an_error():
    with pytest.raises(InterpError, match="go together"):
        synthetic.result(status="failed")
    with pytest.raises(InterpError, match="go together"):
        synthetic.result(error=synthetic.failed().error)
    with pytest.raises(InterpError, match="no report"):
        replace(synthetic.result(), report=None)


def test_documents_are_files_beside_the_page_and_come_back(tmp_path, folder):
    result = store.load(folder)
    report = replace(result.report, documents={"circuit": '{"edges": []}'})
    there = saved(tmp_path / "with", replace(result, report=report))
    assert (there / "documents" / "circuit.json").read_text() == '{"edges": []}'
    data = json.loads((there / "result.json").read_text())
    assert data["documents"] == {"circuit": "documents/circuit.json"}
    assert store.load(there).report.documents == report.documents
    assert "documents/circuit.json" in (there / "report.html").read_text()
    with pytest.raises(InterpError, match="a table's name expected"):
        replace(report, documents={"../up": "{}"})
