"""Two runs beside each other: planted differences are found, what does not match is refused."""

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from interp import stats
from interp.cli.main import main
from interp.compare.comparison import compare
from interp.compare.page import write_comparison
from interp.compare.pairing import between, pair
from interp.errors import UsageError
from interp.report import Curve, Headline, Heatmap, Report, Section, Series, Table, store
from interp.report.result import ModelFacts, TaskFacts
from interp.runs import site

sys.path.insert(0, str(Path(__file__).parent.parent / "report"))
import synthetic

LAYERS, HEADS, N = 3, 2, 12
RNG = np.random.default_rng(0)
BASE = RNG.normal(0, 1, (LAYERS, HEADS, N))
NOISE = RNG.normal(0, 0.05, (LAYERS, HEADS, N))


def prompts(names):
    return pd.DataFrame(
        {
            **{column: [f"{column} {name}" for name in names] for column in ("clean", "corrupted")},
            "answer": " a",
            "wrong": " b",
            "kept": [name != "unfit" for name in names],
            "cluster": [f"sentence {i % 6}" for i in range(len(names))],
        }
    )


def run(values=BASE, names=range(N), task="ioi", **changes):
    heatmap = Heatmap("Effects", values.mean(-1), "layer", "head", unit="logits", samples=values)
    report = Report(
        answer="It is so.",
        verdict="supported",
        headlines=[Headline("gap", float(values.mean()), "logits", -1.0, 1.0, values.shape[-1])],
        sections=[Section("Heads", [changes.pop("block", heatmap)])],
        files={"prompts": prompts(names)},
    )
    facts = {"report": report, "task": TaskFacts(task, values.shape[-1]), **changes}
    return synthetic.result(**facts)


def shifted():
    """The second run: one head changed by one logit on every prompt, all others by noise."""
    values = BASE + NOISE
    values[2, 1] += 1.0
    return values


def table(report, name="differences_1"):
    return next(each.frame for each in report.tables if each.name == name)


def test_a_planted_change_is_found_with_its_interval_and_no_other():
    report = compare(run(), run(shifted(), seed=1))
    cells = table(report)
    first = cells.iloc[0]
    assert (first["layer"], first["head"]) == (2, 1)
    assert first["difference"] == pytest.approx(1 + NOISE[2, 1].mean(), abs=1e-5)
    assert 0 < first["ci_low"] < first["difference"] < first["ci_high"]
    assert (cells["ci_low"][1:] < 0.1).all()
    assert "L2H1" in report.answer
    assert report.headlines[1].label == "largest change, L2H1"
    assert report.headlines[1].n == N
    assert report.verdict == "not run"


def test_intervals_are_those_of_the_paired_differences_with_whole_clusters():
    cells = table(compare(run(), run(shifted(), seed=1))).set_index(["layer", "head"]).sort_index()
    each = (shifted().astype(np.float32).astype(float) - BASE.astype(np.float32)).reshape(-1, N)
    expected = stats.table(each, np.arange(N) % 6)
    for column in ("ci_low", "ci_high", "p_corrected"):
        assert cells[column].to_numpy() == pytest.approx(expected[column].to_numpy(), abs=1e-6)


def test_prompts_pair_by_what_they_say_not_by_where_they_stand():
    order = np.random.default_rng(1).permutation(N)
    moved = run(BASE[..., order], names=order.tolist(), seed=1)
    pairing = pair(run(), moved)
    assert pairing.n == N
    assert (order[pairing.second] == pairing.first).all()
    assert "the same" in compare(run(), moved).answer


def test_prompts_of_one_run_alone_do_not_move_the_difference():
    more = np.concatenate([BASE, BASE[..., :4] + 100], -1)
    report = compare(run(), run(more, names=range(N + 4), seed=1))
    assert table(report)["difference"].abs().max() < 1e-5
    unfit = run(names=["unfit", *range(N)], seed=1)
    assert pair(run(), unfit).n == N


def test_without_shared_prompts_there_is_a_difference_and_no_interval():
    report = compare(run(), run(shifted(), names=range(50, 50 + N), seed=1))
    assert "ci_low" not in table(report)
    assert "share no prompts" in report.inputs[1].text
    assert report.headlines[1].low is None


def test_figures_of_two_tasks_have_an_interval_and_of_one_task_have_none():
    other = run(shifted(), names=range(50, 50 + N), task="greater_than")
    figures = table(compare(run(), other), "figures").iloc[0]
    assert figures["ci_low"] < figures["difference"] < figures["ci_high"]
    assert pd.isna(table(compare(run(), run(shifted(), seed=1)), "figures").iloc[0]["ci_low"])


def test_two_independent_intervals_combine_as_squares_do_where_they_are_even():
    low, high = between((1.0, 0.7, 1.3), (2.0, 1.6, 2.4))
    assert (low, high) == pytest.approx((0.5, 1.5))


UNLIKE = {
    "another experiment": ({"experiment": "logit_lens"}, "got head_ablation and logit_lens"),
    "a failed run": ({"failed": True}, "no numbers to compare"),
    "a comparison": ({"experiment": "compare"}, "cannot be compared"),
    "a run that does not apply": (
        {"report": Report("It has no MLP.", "not run", [])},
        "It has no MLP.",
    ),
}


@pytest.mark.parametrize("name", UNLIKE)
def test_what_cannot_be_compared_is_refused_with_the_reason(name):
    changes, words = UNLIKE[name]
    other = synthetic.failed() if "failed" in changes else run(**changes)
    with pytest.raises(UsageError, match=words):
        compare(run(), other)


@pytest.mark.parametrize(
    ("block", "words"),
    [
        (Heatmap("Effects", np.ones((4, 2)), "layer", "head", unit="logits"), "3 × 2 and 4 × 2"),
        (Heatmap("Effects", np.ones((3, 2)), "layer", "head", unit="nats"), "logits and nats"),
        (Heatmap("Effects", np.ones((3, 2)), "layer", "position", unit="logits"), "axes differ"),
        (Heatmap("Others", np.ones((3, 2)), "layer", "head", unit="logits"), "only B has it"),
        (
            Heatmap("Effects", np.ones((3, 2)), "layer", "head", columns=["a", "b"], unit="logits"),
            "named differently",
        ),
    ],
)
def test_a_map_that_does_not_match_is_left_out_with_the_reason(block, words):
    report = compare(run(), run(seed=1, block=block))
    assert report.sections[-1].title == "Not compared"
    assert words in report.sections[-1].blocks[0].text


def circuit(kept, scores, **changes):
    """A run whose circuit keeps some of four edges."""
    frame = pd.DataFrame(
        {
            "writer": ["embed", "embed", "L0H1", "L0 MLP"],
            "reader": ["L0H1", "L0 MLP", "logits", "logits"],
            "input": ["v", "mlp", "logits", "logits"],
            "score": scores,
            "kept": kept,
        }
    )
    line = Series("circuit", [1, 100], [0.5, 1.0], [0.4, 0.9], [0.6, 1.1])
    curve = Curve("Sizes", [line], "edges kept", "faithfulness", [("floor", 0.8)])
    report = Report("a", "supported", [Section("s", [Table("edges", frame), curve])])
    return synthetic.result(report=report, experiment="circuit", **changes)


def test_two_circuits_have_edges_in_both_and_in_one_and_their_differences():
    first = circuit([True, True, True, False], [-1.0, -0.5, -0.25, 0.0])
    second = circuit([True, False, True, True], [-3.0, -0.5, -0.5, np.nan], seed=1)
    report = compare(first, second)
    counts, edges = report.sections[0].blocks
    assert counts.frame["edges"].tolist() == [2, 1, 1]
    assert edges.frame["kept_in"].tolist() == ["both", "both", "A alone", "B alone"]
    assert edges.frame["difference"].tolist()[:3] == [-2.0, -0.25, 0.0]
    alike = report.headlines[0]
    assert alike.value == 0.5
    # Of four edges two draws of three share two and a quarter on average.
    assert "0.6 by chance" in alike.note
    assert "embed → L0H1.v, from -1 to -3" in report.answer
    (overlaid,) = [block for s in report.sections for block in s.blocks if isinstance(block, Curve)]
    assert [series.name[:12] for series in overlaid.series] == ["circuit, A: ", "circuit, B: "]
    assert overlaid.levels == (("floor", 0.8),)
    same = compare(first, replace(first, seed=2))
    assert same.headlines[0].value == 1
    assert "Jaccard 1.00" in same.answer
    assert same.answer.endswith("the scores of its edges are the same.")


def test_circuits_with_and_without_positions_are_not_compared_edge_by_edge():
    first = circuit([True] * 4, [1.0] * 4)
    (table, curve) = circuit([True] * 4, [1.0] * 4).report.sections[0].blocks
    placed = Table("edges", table.frame.assign(position="END"))
    report = replace(first.report, sections=[Section("s", [placed, curve])])
    found = compare(first, replace(first, report=report))
    assert "by position" in found.sections[-1].blocks[0].text


def test_nothing_in_common_is_refused():
    words = Table("t", pd.DataFrame({"x": [1]}))
    bare = run(block=words)
    other = replace(bare, report=replace(bare.report, headlines=[Headline("b", 1.0)]), seed=1)
    with pytest.raises(UsageError, match="nothing in common"):
        compare(bare, other)


@pytest.fixture
def stored(tmp_path, monkeypatch):
    """A reports folder with two runs, of two models of one size."""
    monkeypatch.chdir(tmp_path)
    for name, values in (("one", BASE), ("two", shifted())):
        folder = Path("reports", name, "ioi", "head_ablation")
        folder.mkdir(parents=True)
        store.save(folder, run(values, model=ModelFacts(name, "llama", name * 20)))
    return tmp_path


def test_the_command_writes_a_page_that_the_index_lists(stored, capsys):
    assert main(["compare", "one/ioi/head_ablation", "reports/two/ioi/head_ablation"]) == 0
    said = capsys.readouterr().out
    found = list(Path("reports", "comparisons", "head_ablation").glob("one-two-*"))
    assert len(found) == 1
    assert str(found[0] / "report.html") in said
    html = (found[0] / "report.html").read_text()
    assert "L2H1" in html
    assert 'class="pill verdict-' not in html
    index = Path("reports", "index.html").read_text()
    assert f"comparisons/head_ablation/{found[0].name}/report.html" in index
    data = json.loads((found[0] / "result.json").read_text())
    assert data["command"] == "interp compare one/ioi/head_ablation two/ioi/head_ablation"


def test_the_same_comparison_is_the_same_bytes_and_can_be_drawn_again(stored):
    sides = [Path("reports", name, "ioi", "head_ablation") for name in ("one", "two")]
    page, _ = write_comparison(*sides, Path("reports"))
    before = page.read_bytes()
    assert write_comparison(*sides, Path("reports"))[0] == page
    assert page.read_bytes() == before
    assert site.redraw(page.parent) is False


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["one/ioi/head_ablation", "one/ioi/head_ablation/report.html"], "are the same run"),
        (["one/ioi/head_ablation", "two/ioi/head_ablatoin"], "two/ioi/head_ablation"),
        (["one/ioi/head_ablation", "/nowhere"], "is no run"),
    ],
)
def test_a_wrong_run_is_one_sentence_and_writes_nothing(stored, capsys, words, said):
    assert main(["compare", *words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not Path("reports", "comparisons").exists()


def test_a_comparison_has_the_same_name_wherever_its_reports_lie(stored, tmp_path):
    reports = tmp_path / "reports"
    moved = tmp_path / "elsewhere" / "all"
    shutil.copytree(reports, moved)
    runs = ["one/ioi/head_ablation", "two/ioi/head_ablation"]
    pages = [write_comparison(*(out / run for run in runs), out)[0] for out in (reports, moved)]
    assert pages[0].relative_to(reports) == pages[1].relative_to(moved)
