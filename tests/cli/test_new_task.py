"""A file of prompts to begin with: it is written once, and it is a task as it stands."""

import csv
from pathlib import Path

import pytest

import interp as package
from interp import tasks
from interp.tasks import from_file


def test_the_new_file_is_fit_for_the_models_that_ship_and_confirms_on_templates_of_both_halves(
    place, interp
):
    code, out, err = interp("new-task", "mine")
    assert (code, err) == (0, "")
    assert "interp run task_check --task mine.csv" in out
    model = package.load("books-gpt2")
    task = tasks.build("mine.csv", model.tokenizer)
    assert (task.n, task.dropped) == (40, 0)
    by_half = {
        half: {p.template for p in task.kept if p.half == half}
        for half in ("discovery", "held_out")
    }
    assert min(map(len, by_half.values())) >= 8
    assert not set.intersection(*by_half.values())
    assert all("name" in prompt.positions for prompt in task.kept)
    assert tasks.gate(model, task).refused is None


@pytest.mark.parametrize(
    "name", ["../mine", "a/b", "", ".hidden", "a b", "-x", "é", "x" * 65, "a\x1b"]
)
def test_what_is_no_plain_name_is_refused(place, interp, name):
    before = sorted(place.rglob("*"))
    code, _, err = interp("new-task", "--", name)
    assert (code, err.count("\n")) == (2, 1)
    assert "cannot be a prompt file's name" in err
    assert sorted(place.rglob("*")) == before


def test_nothing_is_written_over(place, interp):
    for name in ("mine", "mine.csv"):
        Path("mine.csv").write_text("mine")
        code, _, err = interp("new-task", name)
        assert (code, Path("mine.csv").read_text()) == (2, "mine")
        assert "mine.csv exists" in err


def test_the_format_is_told_with_an_example_that_the_readme_has_too(place, interp):
    code, out, _ = interp("tasks", "--format")
    assert code == 0
    for column in (*from_file.REQUIRED, *from_file.OPTIONAL, "pos_NAME"):
        assert f"\n{column} " in out
    example = out.partition("clean,corrupted,")[2].splitlines()
    readme = (Path(package.__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    assert all(line in readme for line in example[:3])
    (row,) = csv.reader([example[1]])
    assert row[2:] == [" she", " he", "coach", "Amy"]
