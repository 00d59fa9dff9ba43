"""Distributions, flows and graphs: what is drawn stands where its number says."""

import base64
import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import synthetic

from interp.errors import InterpError
from interp.report import Distribution, Edge, Flow, Graph, Heatmap, Node, Report, Section, render
from interp.report.axis import Axis
from interp.report.distribution import LANES, NEAR, DistributionView
from interp.report.flow import FlowView
from interp.report.graph import GraphView
from interp.report.heads import head_name
from interp.report.samples import SamplesView


def page(*blocks):
    return render.page(synthetic.result(report=Report("a", "not run", [Section("s", blocks)])))


@pytest.mark.parametrize("values", [[0.0], [-3e-7, 5e-7], [1.0, 97.0], [-0.013], [2e9, 3e9]])
def test_an_axis_holds_zero_and_every_value_and_a_few_round_numbers(values):
    axis = Axis.of(values)
    places = [axis.place(value) for value in [0.0, *values]]
    assert min(places) >= 0
    assert max(places) <= 100
    assert 2 <= len(axis.ticks) <= 7
    assert len({tick.text for tick in axis.ticks}) == len(axis.ticks)


def test_a_dot_stands_at_its_value_and_out_of_its_neighbours_way():
    values = np.random.default_rng(0).normal(0, 1, (2, 60))
    view = DistributionView.of(Distribution("d", ["L1H2", "rest"], values))
    for row, own in zip(view.rows, values, strict=True):
        assert [dot.example for dot in row.dots] == np.argsort(own, kind="stable").tolist()
        for dot in row.dots:
            assert float(dot.place) == pytest.approx(view.axis.place(own[dot.example]), abs=0.01)
        lanes = {lane: [float(d.place) for d in row.dots if d.lane == lane] for lane in LANES}
        close = sum(b - a < NEAR - 0.02 for each in lanes.values() for a, b in pairwise(each))
        assert close <= 3  # only where all seven lanes are full
    assert [row.head for row in view.rows] == ["L1H2", ""]


def test_a_missing_prompt_has_no_dot_and_many_prompts_become_quartiles():
    view = DistributionView.of(Distribution("d", ["a"], [[1.0, np.nan, 3.0]]))
    assert [dot.example for dot in view.rows[0].dots] == [0, 2]
    many = np.random.default_rng(0).normal(5, 1, (1, 4_000))
    view = DistributionView.of(Distribution("d", ["a"], many))
    low, high = (float(end) for end in view.rows[0].box)
    assert view.rows[0].dots == []
    assert low == pytest.approx(view.axis.place(np.quantile(many, 0.25)), abs=0.01)
    assert high == pytest.approx(view.axis.place(np.quantile(many, 0.75)), abs=0.01)


def test_a_flow_adds_up_and_its_bars_are_as_long_as_its_numbers():
    values = np.array([[1.0, 0.5], [-2.0, 0.25], [4.0, 0.0]])
    view = FlowView.of(Flow("f", ["a", "b", "c"], ["x", "y"], values, [(2, "L2H1", 3.0)]))
    assert [step.total.text for step in view.steps] == ["+1.50", "−0.25", "+3.75"]
    for step, row in zip(view.steps, values, strict=True):
        for bar, value in zip(step.bars, row, strict=True):
            assert float(bar.width) == pytest.approx(100 * abs(value) / 6, abs=0.01)
            ends = float(bar.left), float(bar.left) + float(bar.width)
            assert float(bar.zero) == pytest.approx(ends[int(value < 0)], abs=0.02)
    assert view.steps[2].parts[0].head == "L2H1"


def test_a_graph_puts_later_layers_higher_and_the_strongest_edge_last():
    graph = synthetic.blocks()["parts"][3]
    view = GraphView.of(graph)
    height = {box.node.name: box.y for box in view.boxes}
    assert height["logits"] < height["L7H4"] < height["L2H0"] < height["embed"]
    assert len({(box.x, box.y) for box in view.boxes}) == len(view.boxes)
    assert view.lines[-1].edge == max(graph.edges, key=lambda edge: abs(edge.weight))
    widths = [float(line.width) for line in view.lines]
    assert widths == sorted(widths)
    kinds = {line.edge.source: line.kind for line in view.lines}
    assert (kinds["L2H3"], kinds["L7H4"]) == ("n", "p")
    html = page(graph)
    for edge in graph.edges:
        assert f'<th scope="row">{edge.source}</th><td>{edge.target}</td>' in html


def test_a_graph_of_thousands_of_edges_draws_the_strongest_and_lists_all():
    nodes = [Node(f"L{i // 60}H{i % 60}", i // 60) for i in range(120)]
    edges = [Edge(f"L0H{i % 60}", f"L1H{i // 60}", i + 1.0) for i in range(1_200)]
    view = GraphView.of(Graph("g", nodes, edges))
    assert min(line.edge.weight for line in view.lines) == 901
    assert (len(view.lines), view.left_out, len(view.rows)) == (300, 900, 1_200)
    assert len(page(Graph("g", nodes, edges)).encode()) < 400_000


def test_samples_come_back_as_they_went_in_to_a_thousandth_of_their_range():
    block = synthetic.blocks()["parts"][0]
    view = SamplesView.of([block], 1 << 20)
    packed = view.island["maps"][0]
    steps = np.frombuffer(base64.b64decode(packed["data"]), "<i2").reshape(block.samples.shape)
    assert np.abs(steps * packed["step"] - block.samples).max() < 1e-4 * np.abs(block.samples).max()
    strongest = np.unravel_index(np.abs(block.values).argmax(), block.values.shape)
    assert view.cell == "L{}H{}".format(*strongest)
    assert SamplesView.of([block], 100) is None


@pytest.mark.parametrize(
    ("text", "name"),
    [("L5H1", "L5H1"), ("z of L5H1, mean", "L5H1"), ("L5H1 → L6H2", ""), ("XL5H1", ""), ("", "")],
)
def test_a_label_names_a_head_only_where_there_is_one(text, name):
    assert head_name(text) == name


WRONG = {
    "samples of another shape": (
        lambda: Heatmap("m", np.zeros((2, 3)), "layer", "head", samples=np.zeros((2, 2, 4))),
        "expected shape (2, 3, 4)",
    ),
    "values that are no means": (
        lambda: Heatmap("m", np.ones((1, 1)), "layer", "head", samples=np.zeros((1, 1, 4))),
        "not the means",
    ),
    "a distribution with too few rows": (lambda: Distribution("d", ["a"], np.ones((2, 3))), "rows"),
    "half an interval": (lambda: Distribution("d", ["a"], [[1.0]], low=[0.0]), "both ends"),
    "a flow part of no step": (
        lambda: Flow("f", ["a"], ["x"], [[1.0]], [(3, "L3H0", 1.0)]),
        "not among its 1",
    ),
    "an edge to nowhere": (lambda: Graph("g", [Node("a", 0)], [Edge("a", "b", 1.0)]), "'b'"),
    "an edge downwards": (
        lambda: Graph("g", [Node("a", 1), Node("b", 0)], [Edge("a", "b", 1.0)]),
        "does not go up",
    ),
    "a node twice": (lambda: Graph("g", [Node("a", 0), Node("a", 1)], []), "two nodes"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_block_is_an_error_in_its_study(name):
    make, words = WRONG[name]
    with pytest.raises(InterpError, match=re.escape(words)):
        make()


def test_marks_name_positions_under_their_tokens():
    html = render.page(synthetic.result())
    assert re.search(r'·Mary</bdi><span class="named">IO</span>', html)
    assert html.count('class="named"') == 2


def test_a_comparison_has_no_verdict_and_a_study_has():
    report = replace(synthetic.report(), verdict="not run")
    assert "verdict-not-run" not in _pills(
        render.page(synthetic.result(report=report, expectation=""))
    )
    assert "verdict-not-run" in _pills(render.page(synthetic.result(report=report)))


def _pills(html):
    return re.findall(r'class="pill ([^"]*)"', html)
