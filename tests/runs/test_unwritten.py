"""A run that cannot be written where it belongs is kept where it can be, and said where."""

import json
import os
import re
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from interp.report import store

MODEL = ("--model", "tiny-gpt2")
ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def elsewhere(tmp_path_factory, monkeypatch):
    """The system's folder for temporary files."""
    place = tmp_path_factory.mktemp("elsewhere")
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    return place


def failing(monkeypatch, below, number):
    """From now on nothing can be saved below this folder."""
    usual = store.save

    def save(folder, result):
        if folder.absolute().is_relative_to(below):
            raise OSError(number, os.strerror(number))
        usual(folder, result)

    monkeypatch.setattr(store, "save", save)


def test_a_full_disk_keeps_the_run_elsewhere(place, interp, elsewhere, monkeypatch):
    failing(monkeypatch, place, 28)
    code, out, err = interp("run", "works", *MODEL)
    assert code == 1
    assert "works: supported: norm" in out
    assert err.startswith(
        "error: works ran, but reports/tiny-gpt2/none/works cannot be written: No space left on device; "
        f"the whole run is kept in {elsewhere}/interp-"
    )
    (kept,) = re.findall(r"is kept in (\S+); make room and move it there\n", err)
    assert store.load(Path(kept)).verdict == "supported"
    assert (Path(kept) / "key.json").is_file()
    assert not (place / "reports/tiny-gpt2/none/works").exists()
    assert not list((place / "reports").rglob(".*"))


def test_a_run_that_no_folder_takes_is_said_to_be_lost(place, interp, elsewhere, monkeypatch):
    failing(monkeypatch, Path("/"), 28)
    code, _, err = interp("run", "works", *MODEL)
    assert code == 1
    assert err.endswith("and it is lost; make room and repeat the command\n")
    assert list(elsewhere.iterdir()) == []


def test_reports_that_are_removed_during_a_run_are_made_again(place, interp, write_study):
    remove = "import shutil; shutil.rmtree('reports', ignore_errors=True)"
    write_study("works", remove)
    assert interp("run", "works", *MODEL)[0] == 0
    assert (place / "reports/tiny-gpt2/none/works/report.html").is_file()


def test_a_report_that_cannot_be_kept_is_a_failed_run(place, interp, write_study):
    write_study("works", "count = 2; prompt = 'x'; task = float('nan')")
    source = (place / "experiments/works.py").read_text()
    broken = source.replace(
        'checks=[Check("norm", norm, 1e9)]', 'headlines=[Headline("x", float("inf"))]'
    )
    broken = broken.replace("import Check,", "import Check, Headline,")
    (place / "experiments/works.py").write_text(broken)
    code, _, err = interp("run", "works", *MODEL)
    assert code == 1
    assert "Traceback" not in err
    stored = json.loads((place / "reports/tiny-gpt2/none/works/result.json").read_text())
    assert stored["status"] == "failed"


def test_a_file_where_a_run_goes_is_refused_before_it_is_computed(place, interp):
    (place / "reports/tiny-gpt2/none").mkdir(parents=True)
    (place / "reports/tiny-gpt2/none/works").write_text("mine")
    code, out, err = interp("run", "works", *MODEL)
    assert code == 2
    assert err == (
        "error: the run's folder must be a folder, and "
        f"{place}/reports/tiny-gpt2/none/works is a file\n"
    )
    assert "runs" not in out
    assert (place / "reports/tiny-gpt2/none/works").read_text() == "mine"


def test_a_failed_page_has_a_bounded_traceback_without_absolute_paths(place, interp, write_study):
    write_study("works", "(lambda f: f(f))(lambda f: f(f))")
    assert interp("run", "works", *MODEL)[0] == 1
    folder = place / "reports/tiny-gpt2/none/works"
    for name in ("report.html", "result.json"):
        text = (folder / name).read_text()
        assert "RecursionError" in text
        assert str(place) not in text
        assert str(ROOT) not in text
        assert os.path.expanduser("~/") not in text
    assert len(json.loads((folder / "result.json").read_text())["error"]["message"]) < 20_000
    write_study("works", "raise ValueError('x' * 10**7)")
    assert interp("run", "works", *MODEL)[0] == 1
    assert len((folder / "result.json").read_text()) < 50_000


def test_a_file_too_large_for_the_disk_is_a_sentence_and_no_traceback(place, write_study):
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    done = subprocess.run(
        [sys.executable, "-m", "interp", "run", "works", *MODEL],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        preexec_fn=limit,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "works: supported: norm" in done.stdout
    assert "File too large; no other folder takes it either" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list((place / "reports").rglob(".interp-*"))
