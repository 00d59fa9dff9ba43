"""Two files of one name never share a folder of reports, whatever is run when."""

import json
import shutil
from pathlib import Path

import pytest

from interp.runs.key import stored

TINY = ("--model", "tiny-gpt2")
HEADER = "clean,corrupted,answer,wrong\n"
ROWS = (
    "When Mary and John went,When Anna and John went, Mary, John\n",
    "Then Tom and Mary came,Then Tom and Anna came, Mary, Tom\n",
)


@pytest.fixture
def asks(place, write_study):
    write_study("asks", "assert task.n", 'task="ioi", gated=False')
    write_study("other", "assert task.n", 'task="ioi", gated=False')


@pytest.fixture
def run(asks, interp):
    """Runs a study on a file and returns what it said."""

    def of(task, *more, study="asks"):
        code, out, err = interp("run", study, *TINY, "--task", task, *more)
        assert (code, err) == (0, "")
        return out

    return of


def write(path, row=0):
    Path(path).parent.mkdir(exist_ok=True)
    Path(path).write_text(HEADER + ROWS[row], encoding="utf-8")
    return path


def folders():
    return sorted(each.name for each in Path("reports/tiny-gpt2").iterdir())


def clean(folder, study="asks"):
    return (Path("reports/tiny-gpt2", folder, study, "tables/prompts.csv")).read_text()


def test_the_first_keeps_the_name_and_the_second_gets_one_of_its_own(run):
    run(write("a/mine.csv"))
    assert folders() == ["mine.csv"]
    assert "another file's reports have this name" in run(write("b/mine.csv", 1))
    first, second = folders()
    assert second == "mine.csv"
    assert first.startswith("mine-")
    assert first.endswith(".csv")
    assert "When Mary" in clean("mine.csv")
    assert "Then Tom" in clean(first)
    stored_result = json.loads(Path("reports/tiny-gpt2", first, "asks/result.json").read_text())
    assert stored_result["task"]["name"] == first
    assert "--task b/mine.csv" in stored_result["command"]
    for task in ("a/mine.csv", "b/mine.csv", Path("b/mine.csv").absolute()):
        assert "skipped" in run(task)
    run("b/mine.csv", study="other")
    assert folders() == [first, "mine.csv"]
    assert "Then Tom" in clean(first, "other")


def test_a_file_that_is_changed_keeps_its_folder_and_its_second_study_does_too(run):
    run(write("a/mine.csv"))
    assert "prompts changed" in run(write("a/mine.csv", 1))
    run("a/mine.csv", study="other")
    assert folders() == ["mine.csv"]


def test_the_second_keeps_its_name_when_the_first_is_gone(run):
    run(write("a/mine.csv"))
    run(write("b/mine.csv", 1))
    shutil.rmtree("reports/tiny-gpt2/mine.csv")
    assert "skipped" in run("b/mine.csv")


def test_a_copy_and_a_link_are_the_same_prompts_until_they_change(run):
    run(write("a/mine.csv"))
    run("a/mine.csv", study="other")
    Path("linked").symlink_to("a")
    assert "skipped" in run("linked/mine.csv")
    assert "skipped" in run(write("b/mine.csv"))
    run("b/mine.csv", "--force")
    run(write("b/mine.csv", 1))
    assert len(folders()) == 2
    assert "When Mary" in clean("mine.csv", "other")


def test_names_that_differ_in_case_alone_are_kept_apart(run):
    run(write("a/mine.csv"))
    run(write("a/MINE.csv", 1))
    assert len({name.casefold() for name in folders()}) == 2


def test_names_of_the_same_plain_characters_are_kept_apart(run):
    run(write("my own.csv"))
    run(write("my+own.csv", 1))
    assert len(folders()) == 2


def test_no_path_is_kept_in_a_run(run, place):
    run(write("a/mine.csv").replace("a/", f"{place}/a/"))
    key = Path("reports/tiny-gpt2/mine.csv/asks/key.json")
    assert str(place) not in key.read_text()
    assert stored(key.parent).file


def test_a_file_whose_name_was_taken_while_it_ran_leaves_the_other_alone(run, write_study):
    write("a/mine.csv")
    write("b/mine.csv", 1)
    body = (
        "from interp.cli.main import main; "
        "task.prompts[0].clean.startswith('When') and "
        "main(['run', 'asks', '--model', 'tiny-gpt2', '--task', 'b/mine.csv'])"
    )
    write_study("asks", body, 'task="ioi", gated=False')
    out = run("a/mine.csv")
    first, second = folders()
    assert second == "mine.csv"
    assert "Then Tom" in clean(second)
    assert "When Mary" in clean(first)
    assert f"{first}/asks/report.html" in out
    result = json.loads(Path("reports/tiny-gpt2", first, "asks/result.json").read_text())
    assert result["task"]["name"] == first


def test_what_is_dropped_is_said_and_a_dry_run_says_that_nothing_is_left(run):
    long = "Mary and " * 200
    rows = ROWS[0] + f"{long}John,{long}Anna, Mary, John\n"
    Path("mine.csv").write_text(HEADER + rows, encoding="utf-8")
    said = "1 of 2 prompts dropped: longer than the 160 tokens that the model reads (1): line 3"
    assert f"mine.csv: {said}" in run("mine.csv")
    result = json.loads(Path("reports/tiny-gpt2/mine.csv/asks/result.json").read_text())
    assert result["task"] == {"name": "mine.csv", "n": 1, "dropped": 1}
    Path("none.csv").write_text(HEADER + ROWS[0].replace(" Mary, John\n", "Mary,John\n") * 9)
    out = run("none.csv", "--dry-run")
    assert "9 of 9 prompts dropped: answer" in out
    assert "with the space before it, it is" in out
    assert "(9): line 2, line 3, line 4, 6 more" in out
    assert "asks: none of the 9 prompts of none.csv is fit" in out


@pytest.mark.parametrize(
    "name", ["\x1b[31mred.csv", f"{'long' * 60}.csv", "=1+1.csv", "é\u202e.csv"]
)
def test_a_name_that_no_terminal_should_see_is_shown_escaped(run, name):
    out = run(write(f"a/{name}"))
    assert "\x1b" not in out
    assert "\u202e" not in out
