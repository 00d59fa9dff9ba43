"""Whatever stands in experiments/ or reports/ is listed as broken, with one reason, and stops nothing."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from interp.errors import InterpError
from interp.report import store
from interp.runs import site

sys.path.insert(0, str(Path(__file__).parent.parent / "fuzzing"))
import stored_runs
import study_files

MODEL = ("--model", "tiny-gpt2")


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    """A small run that uses several kinds of blocks."""
    import numpy as np
    import pandas as pd

    from interp.report import Check, Headline, Heatmap, Report, Section, Table, Text, TokenStrip
    from interp.report.result import ModelFacts, Result, TaskFacts
    from interp.runs.key import Key

    maps = Heatmap("heads", np.eye(3), "layer", "head", unit="nats")
    table = Table("heads", pd.DataFrame({"layer": [0, 1], "token": ["=a", "b"], "x": [0.5, -1]}))
    report = Report(
        "Yes.", "supported",
        [Section("All", [maps, table, Text("so"), TokenStrip(["a", "b"], [0.0, 1.0])])],
        headlines=[Headline("x", 1.0, low=0.5, high=2.0, n=3)],
        checks=[Check("adds up", 1e-9, 1e-5)], warnings=["few"], limits=["one"],
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("runs") / "heads"
    folder.mkdir()
    model, task = ModelFacts("m", "gpt2", "00"), TaskFacts("t", 3)
    store.save(folder, Result("heads", "Is it?", model, "ok", report, task, settings={"top": 3}))
    Key({"seed": 0}, {}).save(folder)
    return folder


def test_no_change_of_a_stored_run_hides_the_others_or_ends_the_index(pristine, tmp_path):
    good, run = tmp_path / "m" / "t" / "good", tmp_path / "m" / "t" / "bad"
    shutil.copytree(pristine, good)
    broken: dict[str, str] = {}
    for name, change in stored_runs.changes(pristine, seed=0, n=60):
        shutil.copytree(pristine, run)
        change(run)
        try:
            site.redraw(run)
        except InterpError as error:
            broken[name] = str(error)
        page = site.write_index(tmp_path, None).read_text()
        assert "m/t/good/report.html" in page, name
        shutil.rmtree(run)
    assert 20 < len(broken) < 60
    assert max(map(len, broken.values())) < 600


def test_a_wrong_field_is_named_with_what_was_expected(pristine, tmp_path):
    shutil.copytree(pristine, tmp_path / "run")
    path = tmp_path / "run" / "result.json"
    path.write_text(path.read_text().replace('"seconds": 0.0', '"seconds": "long"'))
    with pytest.raises(InterpError, match="seconds of Result expected .*float.*, got 'long'"):
        store.load(tmp_path / "run")


def test_a_broken_run_is_listed_and_run_again_and_the_page_names_no_absolute_path(place, interp):
    interp("run", "works", *MODEL)
    folder = place / "reports/tiny-gpt2/none"
    shutil.copytree(folder / "works", folder / "pipe")
    (folder / "pipe" / "result.json").unlink()
    os.mkfifo(folder / "pipe" / "result.json")
    (folder / "works" / "report.html").write_bytes(b"\xff")
    assert interp("index", "--out", place / "reports")[0] == 0
    page = (place / "reports/index.html").read_text()
    assert "it is a pipe" in page
    assert str(place) not in page
    code, out, err = interp("run", "works", *MODEL)
    assert (code, err) == (0, "")
    assert "page drawn again" in out
    code, _, err = interp("compare", folder / "works", folder / "pipe")
    assert code == 1
    assert "it is a pipe" in err


def test_a_folder_that_cannot_be_looked_into_is_listed(place, interp, monkeypatch):
    interp("run", "works", *MODEL)
    closed, usual = str(place / "reports" / "closed"), os.listdir
    os.mkdir(closed)

    def listed(path="."):
        if os.path.abspath(path) == closed:
            raise PermissionError(13, "Permission denied", closed)
        return usual(path)

    # The tests run as root, whom no folder is closed to.
    monkeypatch.setattr(os, "listdir", listed)
    assert interp("index")[0] == 0
    page = (place / "reports/index.html").read_text()
    assert "Permission denied" in page
    assert "works/report.html" in page


def test_no_file_among_the_studies_ends_the_list(place, interp):
    path = place / "experiments" / "bad.py"
    broken, made = 0, [*study_files.kinds(), *study_files.changes(seed=0, n=60)]
    for name, make in made:
        make(path)
        code, out, err = interp("list")
        assert (code, err) == (0, ""), name
        assert "\nworks\n" in out, name
        assert "bad" in out, name
        assert max(map(len, out.splitlines())) < 1000, name
        broken += "BROKEN" in out
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    assert broken > len(made) / 2


def test_a_broken_study_stops_no_run_no_index_and_no_doctor(place, interp):
    source = (place / "experiments/works.py").read_text()
    (place / "experiments/bad.py").write_text(source.replace("count: int", 'count: "(("'))
    assert interp("run", "works", *MODEL)[0] == 0
    assert interp("index")[0] == 0
    assert "bad.py" in (place / "reports/index.html").read_text()
    code, out, _ = interp("doctor")
    assert code == 0
    assert "bad.py" in out


@pytest.mark.parametrize(
    "body", ["raise SystemExit(3)", "raise BaseException('odd')", "os.chdir('/')"]
)
def test_a_study_may_end_in_any_way_and_its_report_stays_here(place, interp, write_study, body):
    write_study("works", f"import os; {body}")
    code, _, err = interp("run", "works", *MODEL)
    assert code == (body != "os.chdir('/')")
    assert "Traceback" not in err
    assert (place / "reports/tiny-gpt2/none/works/report.html").is_file()
