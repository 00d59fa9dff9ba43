"""Direct effects on a page: every component in its place of the flow, every source under its head."""

import numpy as np
import pandas as pd
import pytest
import torch

import interp
from interp import sites, tasks
from interp.components import Head
from interp.methods import attribute
from interp.methods.attention import preferred
from interp.tasks.batches import places, whole
from interp.views import attributions, effects


@pytest.fixture(scope="module")
def model():
    return interp.load("tiny-gpt2", dtype=torch.float64)


@pytest.fixture(scope="module")
def ioi(model):
    return tasks.build("ioi", model.tokenizer, n=12, seed=1)


@pytest.fixture(scope="module")
def prompts(model, ioi):
    return whole(ioi, model.device)


@pytest.fixture(scope="module")
def run(model, prompts):
    return prompts.run(model, keep={*attribute.wanted(model), *attribute.source_sites(model)})


@pytest.fixture(scope="module")
def found(model, run, prompts):
    return attribute.attribute(model, run, prompts)


def test_all_components_are_named_and_add_up_to_the_logit_difference(found, ioi):
    parts = found.effects(ioi)
    assert list(parts.names) == ["component", "layer", "head"]
    total = found.logit_difference.numpy()
    np.testing.assert_allclose(parts.values.sum(0), total, atol=1e-10)
    heads = found.heads(ioi)
    rows = [parts.components.index(head) for head in heads.components]
    np.testing.assert_array_equal(parts.values[rows], heads.values)


def test_the_flow_ends_at_all_that_was_written_each_part_in_its_layer(model, found, ioi):
    parts = found.effects(ioi)
    flow = attributions.flow(parts, model.config.n_layers)
    depth = model.config.n_layers
    assert flow.steps == ("embed", *(f"L{layer}" for layer in range(depth)), "final")
    by_cluster = pd.Series(parts.values.sum(0)).groupby(ioi.clusters).mean().mean()
    assert np.asarray(flow.values).sum() == pytest.approx(by_cluster)
    heads = found.heads(ioi)
    of_layer = [each.layer == 1 for each in heads.components]
    column = list(flow.writers).index("heads")
    mean = pd.DataFrame(heads.values[of_layer].sum(0)).groupby(ioi.clusters).mean().mean()
    assert flow.values[2][column] == pytest.approx(float(mean[0]))


def test_the_largest_are_sorted_by_size_and_said_to_be_flattered(found, ioi):
    frame = attributions.components(found.effects(ioi))
    table = attributions.largest(frame, 5)
    sizes = table.frame["contribution"].abs()
    assert sizes.is_monotonic_decreasing
    assert sizes.iloc[0] == frame["contribution"].abs().max()
    assert "flatters" in table.note


def test_what_heads_bring_from_all_sources_is_their_direct_effect(model, run, prompts, found, ioi):
    heads = [Head(1, 2), Head(2, 0)]
    brought = attribute.by_place(model, run, prompts, heads, ioi)
    names = [*places(ioi), "elsewhere"]
    assert brought.names["source"].tolist() == names * 2
    direct = found.heads(ioi)
    for number, head in enumerate(heads):
        rows = brought.values[number * len(names) : (number + 1) * len(names)]
        whole_effect = direct.values[direct.components.index(head)]
        np.testing.assert_allclose(rows.sum(0), whole_effect, atol=1e-10)
    maps, table = attributions.sources(brought)
    (grid,) = maps.heatmaps
    assert (grid.rows, grid.columns) == (("L1H2", "L2H0"), tuple(names))
    np.testing.assert_allclose(np.ravel(grid.values), table.frame["contribution"])


def test_a_head_prefers_the_named_position_that_it_attends_to_most(model, run, prompts, ioi):
    (found,) = preferred(model, ioi, [Head(0, 1), Head(2, 1)])
    pattern = run.cache[sites.pattern(2)][range(ioi.n), 1, prompts.end].numpy()
    shares = {
        name: pattern[np.arange(ioi.n), at].mean()
        for name, at in places(ioi).items()
        if name not in ("BOS", "END")
    }
    assert found.position == max(shares, key=shares.get)
    assert found.attention == pytest.approx(max(shares.values()))
    text, table = attributions.score_parts([found], ioi, top=3)
    assert f"**L2H1** attends from END most to {found.position}" in text.text
    assert table.frame["side"].tolist() == ["query"] * 3 + ["key"] * 3
    best = found.parts.query_side.mean(-1).abs().argmax()
    assert table.frame["upstream"].iloc[0] == str(found.parts.components[best])
    (only,) = attributions.score_parts([], ioi)
    assert only.text == "No named position to attend to."


def test_each_order_has_its_own_largest_heads_and_maps_say_how_many_prompts(found, ioi):
    heads = found.heads(ioi)
    (table,) = attributions.by_order(heads, top=2)
    assert table.frame.groupby("order").size().to_dict() == {"ABBA": 2, "BABA": 2}
    shown = effects.maps(effects.with_variants(heads)).heatmaps
    assert [each.title for each in shown] == ["all prompts", *heads.by_variant()]
    assert shown[0].note == "n = 12"
    one = heads.where(ioi.where(order="ABBA"))
    assert list(effects.with_variants(one)) == ["all prompts"]
    assert not attributions.by_order(one)
