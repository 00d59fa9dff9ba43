"""A suite begins with what is cheap, shows what there is so far, and runs what the gate refuses only
where it is asked to."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

TINY = ("--model", "tiny-gpt2")
GATED = "task='ioi', gated=True, default=False"
PATH = "__import__('pathlib').Path"
SEEN = f"{PATH}('seen-{{name}}').write_text(str({PATH}('reports/index.html').exists()))"
KEPT = f"{PATH}('between').write_text({PATH}('reports/index.html').read_text())"


def stored(*parts):
    return json.loads(Path("reports", "tiny-gpt2", *parts, "result.json").read_text())


def test_what_the_gate_refuses_runs_ungated_and_says_so(interp, write_study):
    write_study("asked", declared=GATED)
    assert interp("run", "asked", *TINY)[0] == 0
    refused = stored("ioi", "asked")
    assert (refused["verdict"], refused["ungated"]) == ("not run", False)
    code, out, _ = interp("run", "asked", *TINY, "--ungated")
    assert code == 0
    assert "asked: runs: ungated changed" in out
    result = stored("ioi", "asked")
    assert (result["verdict"], result["ungated"]) == ("supported", True)
    assert "--ungated" in result["command"]
    assert result["key"] != refused["key"]
    [warning] = result["warnings"]
    assert warning.startswith("Run with --ungated: tiny-gpt2 prefers the right answer on")
    page = Path("reports/tiny-gpt2/ioi/asked/report.html").read_text()
    masthead = page[: page.index("</header>")]
    assert 'class="warning"' in masthead
    assert "Run with <code>--ungated" in masthead or "Run with --ungated" in masthead
    assert "skipped" in interp("run", "asked", *TINY, "--ungated")[1]


def test_ungated_where_nothing_asks_a_gate_is_refused(interp):
    code, _, err = interp("run", "works", *TINY, "--ungated")
    assert code == 2
    assert "--ungated has no meaning here: works asks no gate" in err


def test_a_task_without_a_fit_prompt_does_not_run_ungated_either(interp, write_study, tmp_path):
    write_study("asked", declared=GATED)
    Path("prompts.csv").write_text(
        "clean,corrupted,answer,wrong\n"
        + "Mary and John, Mary and Mary, Johnx Johny, Maryx Maryy\n" * 3
    )
    code, out, err = interp("run", "asked", *TINY, "--task", "prompts.csv", "--ungated")
    assert code in (0, 2), (out, err)
    assert "supported" not in out


@pytest.fixture
def suite(place, write_study):
    """Three studies of the default suite, which note in which order they run and whether there was an
    index by then."""
    Path("experiments/works.py").unlink()
    for name, cost in (("slow", 100), ("middle", ""), ("quick", 1)):
        declared = f"task=None, cost={cost}" if cost else "task=None"
        write_study(name, SEEN.format(name=name), declared)
    return place


def test_the_cheap_studies_run_first_and_the_index_is_current_after_each(suite, interp):
    code, out, _ = interp("run", "all", *TINY)
    assert code == 0
    seen = {name: Path(f"seen-{name}").read_text() for name in ("quick", "middle", "slow")}
    assert seen == {"quick": "False", "middle": "True", "slow": "True"}
    assert re.findall(r"(\d of \d), (\w+): runs", out) == [
        ("1 of 3", "quick"),
        ("2 of 3", "middle"),
        ("3 of 3", "slow"),
    ]
    assert "Still to come" not in Path("reports/index.html").read_text()


def test_the_index_in_between_lists_what_is_still_to_come_and_what_failed(
    suite, interp, write_study
):
    write_study("quick", "assert False, 'bad'", "task=None, cost=1")
    write_study("middle", KEPT, "task=None")
    code, _, err = interp("run", "all", *TINY)
    assert (code, "quick failed" in err) == (1, True)
    assert stored("none", "slow")["status"] == "ok"
    between = Path("between").read_text()
    coming = between[between.index('id="coming"') :]
    assert re.findall(r"<code>(\w+)</code> runs", coming) == ["middle", "slow"]
    assert "quick" in between[: between.index('id="coming"')]


def test_what_needs_no_task_does_not_wait_for_the_tasks(interp, write_study, place):
    Path("experiments/works.py").unlink()
    write_study("quick", SEEN.format(name="quick"), "task=None, cost=1")
    write_study("asks", SEEN.format(name="asks"), "task='ioi', gated=False, cost=2")
    write_study("later", SEEN.format(name="later"), "task=None, cost=3")
    code, out, _ = interp("run", "all", *TINY)
    assert code == 0
    assert re.findall(r"(\d of \d), (\w+): runs", out) == [
        ("1 of 3", "quick"),
        ("2 of 3", "asks"),
        ("3 of 3", "later"),
    ]
    assert Path("seen-asks").read_text() == "True"


def test_no_bar_of_another_library_is_drawn(interp):
    begun = "from interp.cli.main import main; main(['--version'])"
    script = f"{begun}; from tqdm import tqdm; list(tqdm([1]))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
