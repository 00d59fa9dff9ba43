"""The command line as a person uses it, with studies of its own and a tiny random model."""

import json
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

MODEL = ("--model", "tiny-gpt2")


def result(*parts):
    with open("/".join(("reports/tiny-gpt2", *parts, "result.json"))) as file:
        return json.load(file)


def test_a_run_leaves_its_report_its_data_and_an_index(place, interp):
    code, out, err = interp("run", "works", *MODEL)
    assert (code, err) == (0, ""), err
    assert "works: runs: not run before" in out
    folder = place / "reports" / "tiny-gpt2" / "none" / "works"
    files = {path.name for path in folder.iterdir()}
    assert files == {"report.html", "result.json", "tables", "arrays.safetensors", "key.json"}
    stored = result("none", "works")
    assert (stored["status"], stored["verdict"], stored["seed"]) == ("ok", "supported", 0)
    assert stored["settings"] == {"prompt": "Mary and John", "count": 2}
    assert stored["command"] == "interp run works --model tiny-gpt2 --seed 0"
    assert stored["model"]["name"] == "tiny-gpt2"
    assert stored["peak_memory_mb"] > 0
    assert stored["versions"]["torch"]
    assert (place / "reports" / "index.html").is_file()
    assert not list((place / "reports").rglob(".*"))


def test_what_did_not_change_is_skipped_and_says_since_when(interp):
    interp("run", "works", *MODEL)
    started = result("none", "works")["started"]
    code, out, _ = interp("run", "works", *MODEL)
    assert code == 0
    assert f"works: skipped: nothing changed since {started}" in out


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--seed", "1"], "seed changed (0 → 1)"),
        (["--dtype", "float64"], "dtype changed (float32 → float64)"),
        (["--force"], "forced"),
    ],
)
def test_what_changed_runs_again_and_says_why(interp, words, reason):
    interp("run", "works", *MODEL)
    assert f"works: runs: {reason}" in interp("run", "works", *MODEL, *words)[1]


def test_a_changed_study_runs_again(place, interp):
    interp("run", "works", *MODEL)
    with open("experiments/works.py", "a") as file:
        file.write("\n# changed\n")
    assert "runs: code changed (experiments/works.py)" in interp("run", "works", *MODEL)[1]


def test_other_settings_get_a_folder_of_their_own_that_a_changed_study_replaces(
    place, interp, write_study
):
    words = ("run", "works", *MODEL, "--count", "3")
    interp("run", "works", *MODEL)
    interp(*words)
    (folder,) = (place / "reports/tiny-gpt2/none").glob("works--*")
    stored = result("none", folder.name)
    assert folder.name == f"works--{stored['key'][:8]}"
    assert stored["command"].endswith("--count=3")
    assert "skipped" in interp(*words)[1]
    write_study("works", "count += 0")
    assert "runs: code changed" in interp(*words)[1]
    (replaced,) = (place / "reports/tiny-gpt2/none").glob("works--*")
    assert replaced != folder
    assert result("none", "works")["settings"]["count"] == 2


def test_the_stored_command_repeats_the_run(interp):
    prompt = "John's 'store' --and a $HOME \"quote\""
    interp("run", "works", *MODEL, "--prompt", prompt, "--count=1", "--seed", "5")
    (path,) = Path("reports").rglob("result.json")
    words = shlex.split(json.loads(path.read_text())["command"])
    assert words[0] == "interp"
    assert "skipped: nothing changed" in interp(*words[1:])[1]


def test_the_same_seed_gives_the_same_bytes(place, interp):
    for out in ("first", "second"):
        interp("run", "works", *MODEL, "--out", out)
    first, second = (place / out / "tiny-gpt2/none/works" for out in ("first", "second"))
    assert (
        json.loads((first / "result.json").read_text())["page"]
        == (json.loads((second / "result.json").read_text())["page"])
    )
    assert (first / "tables/heads.csv").read_bytes() == (second / "tables/heads.csv").read_bytes()


def test_a_failed_run_has_a_report_with_error_step_and_command(place, interp):
    code, _, err = interp("run", "fails", *MODEL)
    assert code == 1
    assert err == "error: fails failed while layers 2 of 3: AssertionError: two <b> many\n"
    stored = result("none", "fails")
    assert stored["status"] == "failed"
    assert stored["error"]["type"] == "AssertionError"
    assert stored["error"]["step"] == "layers 2 of 3"
    assert stored["error"]["resume"] == stored["command"]
    assert "Traceback" in json.dumps(stored["error"])
    page = (place / "reports/tiny-gpt2/none/fails/report.html").read_text()
    assert "two &lt;b&gt; many" in page
    assert "runs: the last run failed" in interp("run", "fails", *MODEL)[1]


def test_a_traceback_is_printed_only_for_who_debugs(interp):
    assert "Traceback" not in "".join(interp("run", "fails", *MODEL)[1:])
    assert "Traceback" in interp("run", "fails", *MODEL, "--debug")[2]


@pytest.mark.parametrize(
    ("name", "message"),
    [("exits", "SystemExit"), ("silent", "must return an interp.report.Report, it returned None")],
)
def test_a_study_that_returns_no_report_has_failed(interp, name, message):
    code, _, err = interp("run", name, *MODEL)
    assert code == 1
    assert message in err
    assert result("none", name)["status"] == "failed"


def test_a_study_that_cannot_be_imported_has_failed(place, interp):
    with open("experiments/works.py", "a") as file:
        file.write("\nraise OSError('while importing')\n")
    code, _, err = interp("run", "works", *MODEL)
    assert code == 1
    assert "failed while importing the study: OSError: while importing" in err


def test_a_study_that_does_not_apply_is_ok_and_not_run(interp):
    code, out, _ = interp("run", "elsewhere", "works", *MODEL)
    assert code == 0
    stored = result("none", "elsewhere")
    assert (stored["status"], stored["verdict"]) == ("ok", "not run")
    assert stored["answer"] == "there is nothing to see here"
    assert "works: supported" in out


def test_applies_is_asked_before_the_study_is_called(interp, write_study):
    write_study("works", declared="task=None, applies=lambda model: f'not for {model.family}'")
    assert interp("run", "works", *MODEL)[0] == 0
    assert result("none", "works")["answer"] == "not for gpt2"


def test_a_failure_stops_no_other_study_and_decides_the_exit_code(interp):
    code, out, err = interp("run", "refuses", "fails", "works", *MODEL)
    assert code == 1
    assert "error: refuses: count must be something else" in err
    assert "works: supported" in out


def test_a_dry_run_touches_nothing(place, interp):
    code, out, _ = interp("run", "works", "fails", *MODEL, "--dry-run")
    assert code == 0
    assert "works: would run: not run before" in out
    assert not (place / "reports").exists()


def test_all_runs_the_default_suite_and_names_what_is_broken(place, interp):
    (place / "experiments/bad.py").write_text("x = (")
    code, out, err = interp("run", "all", *MODEL)
    assert code == 0
    assert "works: supported" in out
    assert "elsewhere" not in out
    assert "left out: experiments/bad.py is broken: syntax error" in err
    assert "bad.py" in (place / "reports/index.html").read_text()


def test_an_interrupt_leaves_nothing_half_and_the_other_runs_whole(place, interp):
    code, _, err = interp("run", "works", "interrupted", *MODEL)
    assert code == 130
    assert err.startswith("error: interrupted")
    assert [path.name for path in (place / "reports/tiny-gpt2/none").iterdir()] == ["works"]
    assert (place / "reports/index.html").is_file()


def test_ctrl_c_in_the_middle_of_a_study_ends_it_cleanly(place, write_study):
    write_study("waits", "import time; print('now', flush=True); time.sleep(60)")
    child = subprocess.Popen(
        [sys.executable, "-m", "interp", "run", "waits", *MODEL],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell that starts the tests in the background has them ignore Ctrl-C, children included.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    while "now" not in child.stdout.readline():
        pass
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 130
    assert err.endswith("error: interrupted; the same command goes on from what is stored\n")
    assert "Traceback" not in err
    assert not (place / "reports").exists()


def test_pages_are_drawn_again_without_a_model(place, interp):
    interp("run", "works", *MODEL)
    page = place / "reports/tiny-gpt2/none/works/report.html"
    before = page.read_bytes()
    assert "report.html: unchanged" in interp("render")[1]
    page.write_text("old looks")
    (place / "reports/index.html").unlink()
    assert "report.html: drawn" in interp("render")[1]
    assert page.read_bytes() == before
    assert (place / "reports/index.html").is_file()


def test_a_skipped_run_gets_the_newest_looks(place, interp):
    interp("run", "works", *MODEL)
    page = place / "reports/tiny-gpt2/none/works/report.html"
    before = page.read_bytes()
    page.write_text("old looks")
    assert "page drawn again" in interp("run", "works", *MODEL)[1]
    assert page.read_bytes() == before


def test_a_damaged_run_is_listed_run_again_and_stops_nothing(place, interp):
    interp("run", "works", *MODEL)
    (place / "reports/tiny-gpt2/none/works/result.json").write_text("{")
    code, _, err = interp("render")
    assert code == 1
    assert err == "error: 1 of 1 runs could not be drawn\n"
    assert "cannot be read" in (place / "reports/index.html").read_text()
    assert "runs: what is stored cannot be read" in interp("run", "works", *MODEL)[1]


def test_list_shows_questions_settings_and_broken_files(place, interp):
    (place / "experiments/bad.py").write_text("import nowhere_to_be_found")
    code, out, _ = interp("list")
    assert code == 0
    assert "works\n    Does it work?" in out
    assert "--count 2" in out
    assert "bad   BROKEN\n    experiments/bad.py: no docstring" in out


def test_help_for_a_name_shows_its_method_and_settings(interp):
    code, out, _ = interp("run", "works", "--help")
    assert code == 0
    assert "Method  None." in out
    assert "--count" in out
    assert "--dry-run" not in out


def test_a_new_study_runs_as_it_is(place, interp):
    assert interp("new", "my_question")[0] == 0
    code, _, err = interp("run", "my_question", *MODEL, "--ungated", "--top", "3")
    assert (code, err) == (0, ""), err
    (folder,) = (place / "reports/tiny-gpt2/ioi").glob("my_question--*")
    assert len((folder / "tables/confirmed.csv").read_text().splitlines()) == 1 + 3


def test_doctor_finds_this_installation_whole(interp):
    code, out, _ = interp("doctor")
    assert "MISSING" not in out
    assert code == 0


def test_a_reader_who_leaves_is_no_error(place):
    done = subprocess.run(
        f"{sys.executable} -m interp list | true", shell=True, capture_output=True, text=True
    )
    assert done.stderr == ""
