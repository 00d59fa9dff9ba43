"""What a suite needs and a model lacks is not run, with the reason; nothing of it is an error."""

import json
from pathlib import Path

import pytest

from interp.cli.main import main

ONE = ["--layers", "1", "--heads", "1", "--steps", "2", "--batch", "2"]
SHORT = ["--preset", "gpt2", "--width", "8", "--context", "8", "--vocabulary", "8"]
FEW_WORDS = ["--preset", "attn-only", "--width", "16", "--context", "64", "--vocabulary", "27"]
PLAIN = ["--preset", "gpt2", "--width", "16", "--context", "64", "--vocabulary", "40"]


def suite(folder, monkeypatch, capsys, shape, *more):
    """Every run of the default suite on a model of one layer and one head, by study."""
    monkeypatch.chdir(folder)
    assert main(["train", "small", "--repeats", *ONE, *shape]) == 0
    code = main(["run", "all", "--model", "small", *more])
    out, complaint = capsys.readouterr()
    assert (code, complaint) == (0, ""), out
    return {
        stored["experiment"]: stored
        for stored in (json.loads(path.read_text()) for path in folder.rglob("result.json"))
    }


def test_a_context_too_short_and_words_too_few_leave_nothing_to_run(tmp_path, monkeypatch, capsys):
    runs = suite(tmp_path, monkeypatch, capsys, SHORT)
    assert {run["verdict"] for run in runs.values()} == {"not run"}
    assert "the prompt has 58 tokens" in runs["anatomy"]["answer"]
    assert "too few to repeat any" in runs["induction_heads"]["answer"]
    assert "at least 5 names" in runs["head_ablation"]["answer"]
    index = Path("reports/index.html").read_text()
    assert all(f"<code>{name}</code>" in index for name in runs)


def test_where_no_task_has_words_the_others_run(tmp_path, monkeypatch, capsys):
    runs = suite(tmp_path, monkeypatch, capsys, FEW_WORDS)
    ran = {name for name, run in runs.items() if run["verdict"] != "not run"}
    assert ran == {"anatomy", "head_decomposition", "head_circuits", "induction_heads"}
    limits = runs["induction_heads"]["limits"]
    assert "length is 50: there are 26 random tokens that fit twice, and all are taken." in limits


@pytest.mark.slow
def test_one_layer_with_one_head_has_no_control_and_no_check_fails(tmp_path, monkeypatch, capsys):
    runs = suite(tmp_path, monkeypatch, capsys, PLAIN, "--ungated")
    assert len(runs) == 14
    assert [run["experiment"] for run in runs.values() if run["error"]] == []
    failed = {
        (name, check["name"])
        for name, run in runs.items()
        for check in run["checks"]
        if not check["passed"]
    }
    assert failed == set()
    assert runs["head_ablation"]["ungated"]
    assert any("same layers" in each["name"] for each in runs["head_ablation"]["not_run"])
