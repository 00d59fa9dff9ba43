"""Heads are mapped layer by head and MLPs stand beside them, each under the name of its values."""

from dataclasses import replace

import numpy as np
import pytest

from interp.components import MLP, Head
from interp.methods.offsets import Offsets
from interp.report import Chart
from interp.views import ablations, effects, tests

HEADS = [Head(layer, head) for layer in range(2) for head in range(2)]


def test_heads_are_a_map_and_mlps_bars_of_the_same_values():
    values = {"q": np.arange(6.0), "k": np.arange(12.0).reshape(6, 2)}
    maps, chart = effects.of_writers([*HEADS, MLP(0), MLP(1)], values, "Every {}'s path")
    assert (maps.title, chart.title) == ("Every head's path", "Every MLP's path")
    plain, sampled = maps.heatmaps
    np.testing.assert_array_equal(plain.values, [[0, 1], [2, 3]])
    np.testing.assert_array_equal(sampled.values, [[0.5, 2.5], [4.5, 6.5]])
    assert plain.samples is None
    np.testing.assert_array_equal(sampled.samples[1, 0], [4, 5])
    assert [(each.name, list(each.y)) for each in chart.series] == [
        ("q", [4, 5]),
        ("k", [8.5, 10.5]),
    ]


def test_without_mlps_there_are_no_bars():
    (only,) = effects.of_writers(HEADS, {"q": np.arange(4.0)}, "Every {}")
    assert not isinstance(only, Chart)


@pytest.fixture
def split(confirmed):
    """Two ablated heads; the writers are the screen's heads and three MLPs. Only L1 MLP reacts to L1H2,
    and L2H3 more than L2 MLP."""
    screen = confirmed.selection.screen
    writers_ = (*screen.components, MLP(0), MLP(1), MLP(2))
    before = np.zeros((2, len(writers_), screen.task.n))
    after = before.copy()
    for row, head in enumerate(confirmed.selection.components):
        after[row, writers_.index(head)] = -7.0
    row = confirmed.labels.index("L1H2")
    after[row, writers_.index(MLP(1))] = 0.5
    after[row, writers_.index(MLP(2))] = 0.25
    after[row, writers_.index(Head(2, 3))] = -0.75
    after[row, writers_.index(Head(1, 0))] = 9.0
    one = np.ones((2, screen.task.n))
    terms = (4 * one, one, one, 2 * one, 0 * one)
    return Offsets(tuple(confirmed.selection.components), *terms, writers_, before, after)


def test_those_who_respond_come_after_the_ablated_and_the_strongest_first(split, confirmed):
    some = confirmed.selection.held_out
    frame = split.responders(some, 2)
    mine = frame[frame["ablated"] == "L1H2"]
    assert mine[["responds", "layer"]].to_numpy().tolist() == [["head", 2], ["mlp", 1]]
    assert mine["change"].tolist() == [-0.75, 0.5]
    responses = split.responses(some)
    own = [split.writers.index(each) for each in split.components]
    assert not responses[[0, 1], own].any()
    maps, _, table = ablations.responses(split, some, 2)
    assert maps.heatmaps[0].values[2, 3] == pytest.approx(-0.375)
    assert (table.name, len(table.frame)) == ("responders", 3)


def test_a_repair_is_an_offset_where_a_loss_was_made_up_for(split, confirmed):
    found = ablations.repair(split, confirmed).frame
    np.testing.assert_allclose(found["offset"], 3.0)
    assert found["self_repair"].isna().all()
    lost = Offsets(
        *(split.components, split.total, -split.direct, split.later_heads, split.later_mlps),
        *(split.rescaling, split.writers, split.before, split.after),
    )
    found = ablations.repair(lost, confirmed).frame
    np.testing.assert_allclose(found["offset"], 5.0)
    np.testing.assert_allclose(found["share_repaired"], 5.0)
    assert (found["n"] == confirmed.selection.held_out.sum()).all()
    chart = ablations.terms(found, ["a", "b"])
    assert [each.name for each in chart.series] == ["later heads", "later mlps", "rescaling"]


def test_scores_of_one_name_may_come_again_in_a_table(screen):
    pairs = [("recomputed", screen), ("frozen", screen), ("recomputed", screen.only(slice(3)))]
    table = effects.every(pairs, "paths", column="mlps")
    assert (
        table.frame["mlps"].tolist() == ["recomputed"] * 12 + ["frozen"] * 12 + ["recomputed"] * 3
    )
    assert "for 12 or 3 rows together" in table.note
    assert tests.listed(["a"]) == "a"
    assert tests.listed(HEADS[:3]) == "L0H0, L0H1 and L1H0"


def test_direct_effects_stand_beside_total_ones_and_the_split_of_the_chosen(split, confirmed):
    chosen, screen = confirmed.selection, confirmed.selection.screen
    half = replace(screen, values=screen.values / 2)
    formula, maps, chart, table = ablations.directly(screen, half, split, chosen)
    assert "later MLPs" in formula.text
    assert [each.title for each in maps.heatmaps] == ["direct", "total − direct"]
    np.testing.assert_allclose(np.ravel(maps.heatmaps[1].values), screen.mean() / 2)
    np.testing.assert_allclose(chart.series[0].y, 2 * np.array(chart.series[0].x))
    assert (table.name, len(table.frame)) == ("offsets", 2)
