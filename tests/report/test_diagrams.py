"""Distributions, flows and graphs: what is drawn stands where its number says."""

import base64
import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import synthetic

from interp.errors import InterpError
from interp.report import (
    Curve,
    Distribution,
    Edge,
    Flow,
    Graph,
    Heatmap,
    Node,
    Report,
    Section,
    Series,
    Text,
    layered,
    render,
)
from interp.report.axis import Axis, LogAxis
from interp.report.curve import CurveView
from interp.report.distribution import LANES, NEAR, DistributionView, SamplesView
from interp.report.flow import FlowView
from interp.report.graph import BOX, GraphView
from interp.report.visible import head_name


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
    lines = view.drawings[0].lines
    assert lines[-1].edge == max(graph.edges, key=lambda edge: abs(edge.weight))
    widths = [float(line.width) for line in lines]
    assert widths == sorted(widths)
    kinds = {line.edge.source: line.kind for line in lines}
    assert (kinds["L2H3"], kinds["L7H4"]) == ("n", "p")
    html = page(graph)
    for edge in graph.edges:
        assert f'<th scope="row">{edge.source}</th><td>{edge.target}</td>' in html


def test_a_graph_of_thousands_of_edges_draws_the_strongest_and_lists_all():
    nodes = [Node(f"L{i // 60}H{i % 60}", i // 60) for i in range(120)]
    edges = [Edge(f"L0H{i % 60}", f"L1H{i // 60}", i + 1.0) for i in range(1_200)]
    view = GraphView.of(Graph("g", nodes, edges))
    lines = view.drawings[0].lines
    assert min(line.edge.weight for line in lines) == 901
    assert (len(lines), view.left_out, len(view.rows)) == (300, 900, 1_200)
    assert len(page(Graph("g", nodes, edges)).encode()) < 400_000


def test_a_graphs_bands_are_the_models_layers_and_hold_its_parts():
    rows = [("embed", 0, "embed"), ("L0H1", 1, "0"), ("L0 MLP", 2, "0"), ("L1H0", 3, "1")]
    nodes = [Node(name, layer, row=row) for name, layer, row in [*rows, ("L1H2", 3, "1")]]
    edges = [Edge("embed", "L0H1", 1.0), Edge("L0H1", "L0 MLP", 2.0), Edge("L0 MLP", "L1H0", 1.0)]
    drawing = GraphView.of(Graph("g", nodes, edges)).drawings[0]
    assert [band.name for band in drawing.bands] == ["1", "0", "embed"]
    for box in drawing.boxes:
        (band,) = [each for each in drawing.bands if each.name == box.node.row]
        assert band.start < box.y - BOX[1] / 2 < box.y + BOX[1] / 2 < band.start + band.size
    # A layer whose heads do not feed its MLP is one line.
    flat = GraphView.of(Graph("g", nodes, [Edge("L0H1", "L1H0", 1.0)])).drawings[0]
    height = {box.node.name: box.y for box in flat.boxes}
    assert height["L0H1"] == height["L0 MLP"]


def test_a_graph_draws_more_edges_on_demand_and_unstable_ones_dashed():
    nodes = [Node("a", 0), Node("b", 1), Node("c", 2)]
    edges = [Edge("a", "b", 3.0, stable=False), Edge("b", "c", 1.0), Edge("a", "c", 2.0, more=True)]
    html = page(Graph("g", nodes, edges))
    view = GraphView.of(Graph("g", nodes, edges))
    assert [len(each.lines) for each in view.drawings] == [2, 3]
    assert html.count('class="edge p unstable"') == 2
    assert "Draw 3 edges" in html
    plain = page(Graph("g", nodes, [Edge("a", "b", 1.0)]))
    assert 'unstable"' not in plain
    assert "Draw" not in plain


def test_a_graphs_lanes_stand_in_their_order_and_hold_their_parts():
    lanes = ["S2", "END", "S1"]
    nodes = [Node(f"L{i}H{j}", i, lane=lanes[j % 3]) for i in range(4) for j in range(7)]
    random = np.random.default_rng(0)
    pairs = {tuple(sorted(random.choice(28, 2, replace=False).tolist())) for _ in range(40)}
    edges = [
        Edge(nodes[one].name, nodes[other].name, 1.0 + one)
        for one, other in sorted(pairs)
        if nodes[one].layer < nodes[other].layer
    ]
    drawing = GraphView.of(Graph("g", nodes, edges, lanes=["S1", "S2", "END"])).drawings[0]
    assert [lane.name for lane in drawing.lanes] == ["S1", "S2", "END"]
    for box in drawing.boxes:
        (lane,) = [each for each in drawing.lanes if each.name == box.node.lane]
        assert lane.start <= box.x - BOX[0] / 2
        assert box.x + BOX[0] / 2 <= lane.start + lane.size


def test_an_edge_enters_at_the_input_that_reads_it():
    nodes = [Node("a", 0), Node("L1H0", 1)]
    edges = [Edge("a", "L1H0", 1.0, via) for via in ("v", "q")]
    drawing = GraphView.of(Graph("g", nodes, edges)).drawings[0]
    (head,) = [box for box in drawing.boxes if box.node.name == "L1H0"]
    assert [name for name, _ in head.ports] == ["q", "v"]
    for line in drawing.lines:
        x, y = (float(part) for part in line.path.split()[-2:])
        assert x == pytest.approx(dict(head.ports)[line.edge.via], abs=0.06)
        assert y == head.y + BOX[1] / 2


def test_nodes_of_a_rank_do_not_overlap_and_a_tangle_is_undone():
    ranks = {f"{rank}.{i}": rank for rank in range(3) for i in range(5)}
    order = [2, 0, 4, 1, 3]
    edges = [(f"{r}.{i}", f"{r + 1}.{order[i]}", 1.0) for r in range(2) for i in range(5)]
    found = layered.places(ranks, [*edges, ("0.0", "2.4", 0.1)], dict.fromkeys(ranks, 0), 10.0, 2.0)
    for rank in range(3):
        own = sorted(found.nodes[name] for name in ranks if ranks[name] == rank)
        assert all(right - left >= 10.0 - 1e-6 for left, right in pairwise(own))
    straight = layered.places(ranks, edges, dict.fromkeys(ranks, 0), 10.0, 2.0)
    for rank in range(2):
        way = sorted(
            (straight.nodes[a], straight.nodes[b]) for a, b, _ in edges if ranks[a] == rank
        )
        assert [end for _, end in way] == sorted(end for _, end in way)


def test_a_curves_points_stand_where_their_numbers_say():
    block = synthetic.blocks()["parts"][4]
    view = CurveView.of(block)
    assert isinstance(view.x, LogAxis)
    places = [float(point.x) for point in view.strokes[0].points]
    assert np.diff(places) == pytest.approx(np.diff(places)[0], abs=0.03)
    for stroke, series in zip(view.strokes, block.series, strict=True):
        for point, y in zip(stroke.points, series.y, strict=True):
            assert float(point.y) == pytest.approx(100 - view.y.place(y), abs=0.01)
    assert view.strokes[0].band.count("L") == 5
    assert view.strokes[1].band == ""
    assert view.marks[0].place == view.strokes[0].points[1].x
    even = CurveView.of(replace(block, series=[Series("s", [0, 10], [1, 2])]))
    assert isinstance(even.x, Axis)
    html = page(block)
    assert "library-plotly" not in html
    assert html.count('<path class="point"') == 6


def test_a_logarithmic_axis_has_few_round_ticks():
    for values in ([3.0, 743.0], [1.0, 70_651.0], [1e-9, 1e9], [2.0, 70.0]):
        axis = LogAxis.of(values)
        assert 0 < axis.place(values[0]) < axis.place(values[1]) < 100
        assert 3 <= len(axis.ticks) <= 12


def test_the_figure_that_shows_the_answer_stands_between_it_and_the_inputs():
    block = synthetic.blocks()["parts"][4]
    report = Report("the answer", "supported", [], inputs=[Text("what came in")], figure=block)
    html = render.page(synthetic.result(report=report))
    places = [html.index(each) for each in ("the answer</p>", block.title, 'id="inputs"')]
    assert places == sorted(places)
    with pytest.raises(InterpError, match="Report figure expected blocks"):
        Report("a", "supported", [], figure="a picture")


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
    "a node in no lane": (
        lambda: Graph("g", [Node("a", 0, lane="x")], [], lanes=["y"]),
        "none of its lanes",
    ),
    "a curve over names": (lambda: Curve("c", [Series("s", ["a"], [1.0])], "x", "y"), "numbers"),
    "a curve of nothing": (lambda: Curve("c", [], "x", "y"), "no points"),
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
