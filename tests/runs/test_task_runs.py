"""Studies with a task: prompts are kept as they ran; what the model cannot do is not asked."""

import csv
import json
from pathlib import Path

import pytest

from interp.tasks import names

COLUMNS = [
    *("clean", "corrupted", "answer", "wrong", "clean_tokens", "corrupted_tokens"),
    *("answer_token", "wrong_token", "template", "order", "kept", "reason", "cluster"),
    *("item", "half", "pos_IO", "pos_S1", "pos_S2", "pos_S1+1"),
]
TINY = ("--model", "tiny-gpt2")


def folder(task, study="asks"):
    return Path("reports", "tiny-gpt2", task, study)


def result(task, study="asks"):
    return json.loads((folder(task, study) / "result.json").read_text())


def prompts(task):
    with (folder(task) / "tables" / "prompts.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def asks(place, write_study):
    write_study("asks", "assert task.n", 'task="ioi", gated=False')


@pytest.fixture
def gated(place, write_study):
    write_study("gated", "raise AssertionError('called')", 'task="ioi"')


def test_the_prompts_lie_beside_the_report_exactly_as_they_ran(asks, interp):
    assert interp("run", "asks", *TINY, "--n", "8")[0] == 0
    rows = prompts("ioi")
    assert list(rows[0]) == COLUMNS
    assert len(rows) == 8
    assert result("ioi")["task"] == {
        "name": "ioi",
        "n": sum(row["kept"] == "True" for row in rows),
        "dropped": sum(row["kept"] == "False" for row in rows),
    }
    assert result("ioi")["tables"]["prompts"] == "tables/prompts.csv"
    for row in rows:
        assert all(token.isdigit() for token in row["clean_tokens"].split())
        assert row["answer_token"].isdigit()


def test_sixteen_prompts_are_the_default_and_the_command_says_so(asks, interp):
    interp("run", "asks", *TINY)
    assert len(prompts("ioi")) == 16
    assert "--task ioi --n 16 --seed 0" in result("ioi")["command"]


def test_another_number_of_prompts_is_another_run(asks, interp):
    interp("run", "asks", *TINY, "--n", "8")
    assert "prompts changed" in interp("run", "asks", *TINY, "--n", "9")[1]
    assert "skipped" in interp("run", "asks", *TINY, "--n", "9")[1]


def test_a_model_that_cannot_do_the_usual_task_is_asked_one_that_it_can(place, write_study, interp):
    write_study("gated", "pass", 'task="ioi"')
    code, out, _ = interp("run", "gated", "--model", "books-gpt2")
    assert code == 0
    assert "ioi is left for gendered_pronoun, which it can do" in out
    stored = json.loads(
        Path("reports", "books-gpt2", "gendered_pronoun", "gated", "result.json").read_text()
    )
    assert stored["verdict"] == "supported"
    assert "ioi, the usual task, is left for gendered_pronoun: " in stored["warnings"][0]
    # A task that is named is that task.
    assert interp("run", "gated", "--model", "books-gpt2", "--task", "ioi")[0] == 0
    stored = json.loads(Path("reports", "books-gpt2", "ioi", "gated", "result.json").read_text())
    assert stored["verdict"] == "not run"


def test_a_task_that_the_model_cannot_do_is_not_run_and_says_why(gated, interp):
    code, out, err = interp("run", "gated", "works", *TINY)
    assert (code, err) == (0, "")
    stored = result("ioi", "gated")
    assert (stored["status"], stored["verdict"]) == ("ok", "not run")
    assert "tiny-gpt2" in stored["answer"]
    assert stored["task"]["name"] == "ioi"
    assert "works: supported" in out


def test_a_study_without_a_task_runs_beside_one_that_has_another(asks, interp):
    code, _, _ = interp("run", "asks", "works", *TINY, "--task", "induction", "--n", "4")
    assert code == 0
    assert folder("induction").is_dir()
    assert folder("none", "works").is_dir()


def test_a_file_of_prompts_is_a_task_and_all_of_it_runs(asks, interp):
    row = "When Mary and John went,When Anna and John went, Mary, John\n"
    Path("my own.csv").write_text("clean,corrupted,answer,wrong\n" + row * 3, encoding="utf-8")
    code, _, err = interp("run", "asks", *TINY, "--task", "my own.csv")
    assert code == 0, err
    (made,) = Path("reports/tiny-gpt2").iterdir()
    assert " " not in made.name
    stored = json.loads((made / "asks" / "result.json").read_text())
    assert stored["task"]["name"] == "my own.csv"
    assert stored["task"]["n"] + stored["task"]["dropped"] == 3


def test_every_task_says_what_a_model_gets(interp):
    code, out, _ = interp("tasks", *TINY, "--n", "4")
    assert code == 0
    lines = {line.split()[0]: line for line in out.splitlines()}
    assert set(names()) < set(lines)
    assert all("%" in lines[name] or "cannot be built" in lines[name] for name in names())


def test_the_suite_asks_about_the_second_task_where_the_model_can_do_it(place, write_study, interp):
    write_study("asks", "pass", 'task="gendered_pronoun", also="subject_verb"')
    books = ("--model", "books-gpt2")
    code, out, _ = interp("run", "all", *books, "--dry-run")
    assert code == 0
    assert "subject_verb: books-gpt2 prefers" in out
    assert "left out" in out
    assert out.count("asks: would run") == 1
    write_study("asks", "pass", "task=None, also=None")
    write_study("other", "pass", 'task="ioi", gated=False, also="gendered_pronoun"')
    assert interp("run", "all", *books)[0] == 0
    tasks = sorted(each.parent.parent.name for each in Path("reports").rglob("other/result.json"))
    assert tasks == ["gendered_pronoun", "ioi"]
    # Named by itself, or with a task, a study runs once.
    for words in (["other"], ["all", "--task", "ioi"]):
        assert interp("run", *words, *books, "--dry-run")[1].count("other: would") == 1


def test_a_dry_run_tells_the_costs_of_alike_sweeps_together_and_of_all(place, write_study, interp):
    body = (
        "from interp.methods.ablate import ablate; from interp.components import heads; "
        "ablate(model, task, heads(model)); ablate(model, task, heads(model)[:2])"
    )
    write_study("sweeps", body, 'task="ioi", gated=False, sweeps=True')
    write_study("gated", body, 'task="ioi", sweeps=True')
    code, out, err = interp("run", "sweeps", "works", *TINY, "--dry-run")
    assert (code, err) == (0, "")
    lines = [line for line in out.splitlines() if line.startswith("sweeps: ")]
    n_lengths = len({len(row["clean_tokens"].split()) for row in _ioi_rows()})
    assert n_lengths > 1
    assert [line.split()[1] for line in lines] == ["would", "36", "6", "in"]
    assert f"{n_lengths} sweeps" in lines[1]
    assert f"in all {2 * n_lengths} sweeps" in lines[3]
    assert f"everything: {2 * n_lengths} sweeps" in out
    assert "would not run: tiny-gpt2 prefers" in interp("run", "gated", *TINY, "--dry-run")[1]


def _ioi_rows():
    import interp as package
    from interp import tasks

    frame = tasks.build("ioi", package.load("tiny-gpt2").tokenizer).frame()
    return frame[frame.kept].to_dict("records")
