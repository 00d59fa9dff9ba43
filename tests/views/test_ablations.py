"""The blocks of an ablation say what the effects are, and correct p for those that belong together."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import interp
from interp.components import KVHead
from interp.effects import Effects
from interp.methods.ablate import Ablation
from interp.stats import benjamini_hochberg
from interp.views import ablations, effects, pictures


@pytest.fixture
def done(screen):
    kinds = {"zero": screen, "resample": replace(screen, values=screen.values / 2)}
    direct = {kind: replace(each, values=each.values / 4) for kind, each in kinds.items()}
    return Ablation(kinds, direct, np.full(screen.task.n, 3.0))


def test_a_table_has_every_component_under_every_kind_with_its_direct_effect(done, screen):
    table = ablations.every(done, "heads").frame
    assert table["ablation"].tolist() == ["zero"] * 12 + ["resample"] * 12
    assert table["head"].tolist() == [0, 1, 2, 3] * 6
    np.testing.assert_allclose(table["effect"][:12], screen.frame()["effect"])
    np.testing.assert_allclose(table["direct_effect"][12:], screen.mean() / 8)
    assert "for 12 rows together" in ablations.every(done, "heads").note


def test_a_table_of_a_metric_that_has_no_direct_effects_is_without_them(done):
    table = ablations.every(replace(done, direct={}), "heads").frame
    assert len(table) == 24
    assert "direct_effect" not in table


def test_p_is_corrected_for_the_components_that_are_alike_alone(done, screen):
    weak = replace(
        screen, values=screen.values / 30 + np.random.default_rng(3).normal(size=(12, 1))
    )
    named = pd.DataFrame({"layer": range(12), "part": ["attention", "mlp"] * 6})
    one = Ablation({"zero": replace(weak, named=named)}, {"zero": weak}, done.clean)
    table = ablations.every(one, "layers", within="part")
    assert table.frame["part"].tolist() == ["attention"] * 6 + ["mlp"] * 6
    assert "for 6 rows together" in table.note
    p = weak.interval().p[1::2]
    np.testing.assert_allclose(table.frame["p_corrected"][6:], benjamini_hochberg(p))
    np.testing.assert_allclose(table.frame["direct_effect"][:6], weak.mean()[::2])


def test_the_answer_names_the_strongest_and_what_its_ablation_does(done, confirmed):
    model = interp.load("tiny-gpt2")
    said = ablations.answer(model, confirmed, done)
    assert said.startswith(f"Of 12 heads of tiny-gpt2, {confirmed.labels[0]} matters most to ioi")
    assert f"of 3.00 changes by {confirmed.first.effect:+.2f} on" in said
    assert ablations.answer(model, confirmed, done, "layer 2").startswith(
        "Of 12 heads of tiny-gpt2, layer 2 matters"
    )
    assert (ablations.clean(done).value, ablations.clean(done).n) == (3.0, len(done.clean))


def test_groups_of_heads_are_mapped_under_their_own_name(task):
    groups = [KVHead(layer, head) for layer in range(2) for head in range(3)]
    each = Effects(np.arange(6.0)[:, None] + np.zeros(task.n), groups, task)
    (shown,) = effects.maps({"zero": each}).heatmaps
    assert (shown.row_axis, shown.column_axis) == ("layer", "kv_head")
    np.testing.assert_array_equal(shown.values, [[0, 1, 2], [3, 4, 5]])


def test_an_estimate_beside_what_was_measured_has_one_slope_for_all_groups(screen):
    half, rest = screen.only(slice(6)), screen.only(slice(6, 12))
    doubled = [replace(each, values=2 * each.values) for each in (half, rest)]
    chart = pictures.first_order(
        {"picked": (half, doubled[0]), "random": (rest, doubled[1])}, "Here."
    )
    assert [series.name for series in chart.series] == ["picked", "random"]
    np.testing.assert_allclose(chart.series[1].y, 2 * rest.mean())
    assert chart.note.startswith("Here. Rank correlation 1.00")
    assert chart.note.endswith("each unit of the estimate 2.00.")
