"""Maps of patches show the share of the gap that each cell moves, at its own layer and position."""

import numpy as np
import pytest

from interp.components import Slice
from interp.effects import Effects
from interp.methods.patch import At, Patched
from interp.methods.patch_tables import cell_table, cells, template_table
from interp.sites import Site
from interp.views import patches

PLACES = ("first", "S2", "END")


@pytest.fixture
def done(task):
    """Two layers at three positions; cell number k moves k/10 of a gap of 5."""
    share = np.arange(6.0)[:, None] / 10
    values = np.repeat(5 * share, task.n, axis=1)
    effects = Effects(values, cells("resid_pre", 2, PLACES), task)
    return Patched(effects, np.zeros(task.n), np.full(task.n, 5.0))


def test_a_map_has_every_cell_at_its_layer_and_position(done):
    (shown,) = patches.maps({"resid_pre": done}, "recovery").heatmaps
    assert (shown.row_axis, shown.column_axis, shown.columns) == ("layer", "position", PLACES)
    np.testing.assert_allclose(shown.values, [[0, 0.1, 0.2], [0.3, 0.4, 0.5]])
    (named,) = patches.maps({"": done}, columns=["a", "b", "b"]).heatmaps
    assert (named.title, named.columns) == ("all prompts", ("a", "b", "b"))


def test_the_last_position_goes_layer_by_layer(done):
    (series,) = patches.at_last({"": done}, "at END").series
    assert (series.name, list(series.x)) == ("all prompts", [0, 1])
    np.testing.assert_allclose(series.y, [0.2, 0.5])


def test_agreement_says_how_alike_the_cells_rank(done):
    assert patches.agreement({"resid_pre": done}, {"resid_pre": done}).startswith("1.00 [")


def test_tables_of_cells_say_where_they_are(done, task):
    table = cell_table(done)
    assert table["layer"].tolist() == [0, 0, 0, 1, 1, 1]
    assert table["label"].tolist() == list(PLACES) * 2
    assert table["position"].iloc[0] == 0
    np.testing.assert_allclose(table["recovery"], np.arange(6) / 10)
    frame = done.frame()
    np.testing.assert_allclose(frame["recovery"], frame["effect"] / 5)
    one = At(Slice(Site("attn_out", 1)), 2)
    of_one = Patched(Effects(np.ones((1, task.n)), [one], task), done.base, done.source)
    row = template_table({"attn_out": of_one}, ["a", "b", "c"]).iloc[0]
    assert (row["site"], row["layer"], row["position"], row["label"]) == ("attn_out", 1, 2, "c")
    assert row["recovery"] == pytest.approx(0.2)


def test_a_variant_has_the_gap_of_its_own_prompts(done, task):
    found = done.by_variant()
    assert list(found) == list(dict.fromkeys(prompt.order for prompt in task.kept))
    assert sum(len(each.gap) for each in found.values()) == task.n
