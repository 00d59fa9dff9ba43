"""Maps of patches show the share of the gap that each cell moves, at its own layer and position."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import interp
from interp import tasks
from interp.components import Head, Slice
from interp.effects import Effects
from interp.methods.patch import At, Patched, patch, patch_groups
from interp.methods.patch_tables import (
    OF_A_HEAD,
    cell_table,
    cells,
    in_heads,
    of_one_template,
    template_table,
)
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


def test_noising_is_shown_beside_the_same_cells_and_heads_have_their_share(done, task):
    removed = Patched(replace(done.effects, values=-done.effects.values), done.base, done.source)
    maps, table = patches.noising({"resid_pre": done}, {"resid_pre": removed, "z": removed})
    assert "denoising: -1.00 [" in maps.note
    assert table.name == "resid_pre_noising"
    np.testing.assert_allclose(table.frame["removed"], -np.arange(6) / 10)
    positions = patches.positions({"resid_pre": done})
    assert "for 6 rows together" in positions.note
    heads = [Head(layer, head) for layer in range(2) for head in range(3)]
    of_heads = Patched(replace(done.effects, components=heads), done.base, done.source)
    strongest = of_heads.effects.select(2)
    test = strongest.test(of_heads.effects.only(strongest.rows), {})
    shown, *best, every, noised = patches.heads(test, of_heads, of_heads)
    assert [each.title for each in shown.heatmaps] == ["recovery by z", "removed by z, noising"]
    np.testing.assert_allclose(every.frame["recovery"], np.arange(6) / 10)
    assert (every.name, noised.name) == ("heads", "heads_noising")
    assert best[2].name == "top_heads"
    np.testing.assert_allclose(best[2].frame["recovery"], [0.5, 0.4])
    assert patches.heads(test, of_heads)[-1].name == "heads"


def test_the_stream_arrives_where_half_is_recovered_at_the_last_position(done):
    assert patches.arrives(done) == "from layer 1 on"
    assert patches.arrives(done.only(slice(3))) == "only after the last layer"
    assert patches.gap(done).value == 5


def test_checks_see_a_sweep_that_is_wrong_and_a_stream_that_does_not_recover():
    model = interp.load("tiny-gpt2", dtype=torch.float64)
    task = tasks.build("ioi", model.tokenizer, n=4, seed=1)
    groups = {"z": [Head(1, 0)], "whole": [Slice(Site("resid_pre", 1))]}
    found = patch_groups(model, task, groups)
    good = patches.checks(model, {"z": found["z"]}, found["whole"], 0)
    assert all(check.passed for check in good)
    found["z"].effects.values[:] += 0.5
    found["whole"].effects.values[:] += 0.25
    swept, whole, _ = patches.checks(model, {"z": found["z"]}, found["whole"], 0)
    assert [swept.value, whole.value] == pytest.approx([0.5, 0.25])


def test_what_is_inside_chosen_heads_is_that_of_each_patch_by_itself():
    model = interp.load("tiny-llama", dtype=torch.float64)
    task = tasks.build("ioi", model.tokenizer, n=6, seed=1)
    heads = [Head(2, 3), Head(0, 1)]
    found = in_heads(model, task, heads)
    kv_head = 3 * model.config.n_kv_heads // model.config.n_heads
    alone = patch(model, task, [Slice(Site("k", 2), heads=(kv_head,)), At(Head(0, 1), "END")])
    sites = found["site"].effects.names
    assert sites["site"].tolist() == [*OF_A_HEAD] * 2
    row = sites.index[(sites["layer"] == 2) & (sites["site"] == "k")][0]
    np.testing.assert_allclose(
        found["site"].effects.values[row], alone.effects.values[0], atol=1e-10
    )
    np.testing.assert_allclose(
        found["label"].effects.values[-1], alone.effects.values[1], atol=1e-10
    )
    maps, by_site, by_position = patches.in_heads(found, model.config.group)
    assert [each.rows for each in maps.heatmaps] == [("L2H3", "L0H1")] * 2
    assert (by_site.name, by_position.name) == ("heads_by_site", "heads_by_position")
    assert f"shared by {model.config.group} heads" in maps.note
    tokens, one = of_one_template(model, task)
    template = task.kept[0].template
    assert {each.template for each in one["attn_out"].effects.task.kept} == {template}
    assert len(one["attn_out"].effects) == model.config.n_layers * len(tokens)
