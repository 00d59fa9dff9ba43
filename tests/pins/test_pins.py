"""What the studies found is what they find: verdicts, answers, headlines and tables, as pinned."""

import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import pytest
from comparing import differences
from recording import HERE, stored

# The other pins are compared by `make pins`, and take as long again.
SLOW = ["books-gpt2"]


def check(name):
    """What `python tests/pins --check` says of this pin, and its exit code."""
    command = [sys.executable, str(HERE), "--check", name]
    done = subprocess.run(command, capture_output=True, text=True, cwd=HERE.parent.parent)
    assert done.returncode in (0, 1), done.stderr
    return done.returncode, done.stdout


def test_quick_studies_of_a_tiny_model_find_what_is_pinned():
    code, said = check("quick")
    assert code == 0, said


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", SLOW)
def test_the_default_suite_finds_what_is_pinned(name):
    code, said = check(name)
    assert code == 0, said


def test_together_they_are_small():
    assert sum(path.stat().st_size for path in Path(HERE).glob("*.xz")) < 1e6


@pytest.fixture(scope="module")
def pinned():
    return stored("quick")


RUN = "induction/head_ablation"


@pytest.mark.parametrize("cell", ["5", "x", ""])
def test_another_cell_is_named_with_what_was_expected(pinned, cell):
    found = deepcopy(pinned)
    column = found[RUN]["tables"]["heads"]["effect"]
    expected, column[1] = column[1], cell
    [line] = differences(pinned, found)
    assert line == (
        f"{RUN}, table heads, row 1 (layer 0, head 1, ablation zero), column effect: "
        f"expected {expected}, found {cell or 'nothing'}"
    )


def test_a_number_may_differ_by_less_than_one_in_ten_thousand(pinned):
    for times, differ in ((1 + 5e-5, 0), (1 + 2e-4, 1), (-1, 1)):
        found = deepcopy(pinned)
        column = found[RUN]["tables"]["heads"]["effect"]
        column[:] = [str(float(cell) * times) for cell in column]
        assert len(differences(pinned, found)) == differ


def test_near_zero_a_number_may_differ_by_a_millionth_of_its_column():
    def run(*cells):
        return {"study": {**EMPTY, "tables": {"t": {"effect": [str(cell) for cell in cells]}}}}

    assert not differences(run(2.0, 0.0), run(2.0, 1.5e-6))
    assert differences(run(2.0, 0.0), run(2.0, 3e-6))
    assert not differences(run(3e-14, 0.0), run(7e-13, 2e-13))
    assert differences(run(16), run(17))
    assert differences(run(20000), run(20001))


EMPTY = {
    **{"status": "ok", "verdict": "supported", "answer": "3 of 4: 0.25", "settings": {"top": 3}},
    **{"headline": [], "checks": {"sums": True}, "not_run": ["b"], "tables": {"t": {"n": ["1"]}}},
}
CHANGES = {
    "verdict: expected supported, found inconclusive": {"verdict": "inconclusive"},
    "answer, number: expected 3, found 2": {"answer": "2 of 4: 0.25"},
    "answer, number: expected 0.25, found 0.27": {"answer": "3 of 4: 0.27"},
    "answer, words from letter 0: expected 3 of 4: 0.25, found 3 in 4: 0.25": {
        "answer": "3 in 4: 0.25"
    },
    "setting top: expected 3, found 4": {"settings": {"top": 4}},
    "check passed sums: expected True, found False": {"checks": {"sums": False}},
    "not run: expected b, found []": {"not_run": []},
    "table t: expected it, found no table": {"tables": {}},
    "table t, column n: expected it, found m": {"tables": {"t": {"m": ["1"]}}},
    "table t, rows: expected 1, found 2": {"tables": {"t": {"n": ["1", "1"]}}},
}


@pytest.mark.parametrize("line", CHANGES)
def test_every_change_of_a_run_is_one_line(line):
    assert differences({"s": EMPTY}, {"s": {**EMPTY, **CHANGES[line]}}) == [f"s, {line}"]


def test_a_run_may_grow_and_may_not_vanish():
    grown = {**EMPTY, "settings": {"top": 3, "new": 1}, "tables": {"t": {"n": ["1"], "m": ["2"]}}}
    assert differences({"s": EMPTY}, {"s": grown, "other": EMPTY}) == []
    assert differences({"s": EMPTY}, {"s": {**EMPTY, "answer": "3 of 4: 0.26"}}) == []
    rounding = [{"s": {**EMPTY, "answer": f"up to {size}"}} for size in ("1e-14", "9e-15")]
    assert differences(*rounding) == []
    assert differences({"s": EMPTY}, {}) == ["s: expected a run, found none"]


@pytest.mark.parametrize("key", ["value", "low", "high", "n", "unit"])
def test_a_headline_is_pinned_with_its_interval(pinned, key):
    found = deepcopy(pinned)
    headline = found[RUN]["headline"][1]
    headline[key] = "nats" if key == "unit" else headline[key] + 1
    [line] = differences(pinned, found)
    assert line.startswith(f"{RUN}, headline {headline['label']}, {key}: expected ")
