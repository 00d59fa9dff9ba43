"""Which folder a run lies in, and which folders hold runs."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as any_

from interp.errors import UsageError
from interp.runs.folders import check_out, folder_name, runs, survey


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("smollm2-135m", "smollm2-135m"),
        ("EleutherAI/pythia-70m", "EleutherAI--pythia-70m"),
    ],
)
def test_plain_names_and_hub_ids_stay_readable(name, folder):
    assert folder_name(name) == folder


@given(any_.text())
@pytest.mark.parametrize(
    "hostile", ["..", "../../etc", "/", "", ".hidden", "a\0b", "CON/..", "é" * 300]
)
def test_no_name_becomes_a_path(hostile, name):
    for each in (hostile, name):
        folder = folder_name(each)
        assert folder
        assert folder[0] != "."
        assert not set(folder) & set("/\\\0\n :")
        assert len(folder) <= 80


def test_names_that_differ_only_in_what_is_cut_get_folders_of_their_own():
    assert folder_name("/a/model") != folder_name("/b/model")


def test_runs_are_found_by_their_results_and_nothing_hidden_is_one(reports):
    for name in ("b", "a", ".a.1.new"):
        folder = reports / "model" / "none" / name
        folder.mkdir(parents=True)
        (folder / "result.json").write_text("{}")
    (reports / "bench").mkdir()
    (reports / "bench" / "result.json").write_text("{}")
    assert [folder.name for folder in runs(reports)] == ["a", "b"]


def test_a_result_of_any_kind_makes_a_run_and_links_lead_in_no_circle(reports):
    place = reports / "model" / "none"
    for name in ("folder", "pipe", "link"):
        (place / name).mkdir(parents=True)
    (place / "folder" / "result.json").mkdir()
    os.mkfifo(place / "pipe" / "result.json")
    (place / "link" / "result.json").symlink_to("nowhere")
    (reports / "again").symlink_to(reports)
    (place / "itself").symlink_to("itself")
    found, closed = survey(reports)
    assert [folder.name for folder in found] == ["folder", "link", "pipe"]
    assert closed == []


def test_a_file_is_no_reports_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"must be a folder, and .*file is a file"):
        check_out(tmp_path / "file" / "reports")
    check_out(tmp_path / "not" / "there" / "yet")
    (tmp_path / "index.html").mkdir()
    with pytest.raises(UsageError, match=r"index.html is a folder"):
        check_out(tmp_path)
