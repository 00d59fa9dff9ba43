"""Scores of edges: slopes are slopes, sums are sums."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from interp import sites
from interp.circuits import Graph
from interp.circuits.run import run_circuits
from interp.circuits.scores import clean_corrupted, eap
from interp.circuits.written import ablation_values, kept_for, written
from interp.components import MLP, Head
from interp.errors import UsageError
from interp.linear import GIM, RELP, TRUE, frozen, slopes
from interp.metrics import AnswerLogProb, KLToBase, logit_difference, measured


@pytest.fixture(scope="module")
def other(model, graph, task, batch):
    return ablation_values(model, graph, task, batch, "resample")


def clean(model, graph, batch):
    return written(model, graph, model.run(batch.clean, keep=kept_for(model), logits_at=-1).cache)


def value(batch, logits, metric=logit_difference):
    real = torch.ones_like(batch.clean[:, :1], dtype=torch.bool)
    return measured(metric(batch), logits, real)


@pytest.mark.parametrize(
    "metric", [logit_difference, lambda batch: AnswerLogProb(batch.answer)], ids=["ld", "logprob"]
)
def test_scores_are_the_slopes_of_circuits_in_what_removed_edges_bring(
    model, graph, batch, other, metric
):
    scores = eap(model, graph, batch, other, metric=metric)
    now, step = clean(model, graph, batch), 1e-5
    cells = np.random.default_rng(0).permutation(np.argwhere(graph.allowed))[:16]
    masks = [graph.allowed.copy() for _ in cells]
    for mask, (row, column) in zip(masks, cells, strict=True):
        mask[row, column] = False
    ends = [
        run_circuits(model, graph, batch.clean, now + sign * step * (other - now), masks)
        for sign in (1, -1)
    ]
    above, below = ([value(batch, each, metric) for each in end] for end in ends)
    found = torch.stack(above) - torch.stack(below)
    mine = torch.stack([scores.each[:, row, column] for row, column in cells])
    np.testing.assert_allclose(found / (2 * step), mine, atol=1e-7 * float(mine.abs().max()) + 1e-9)


def test_scores_into_a_reader_add_up_to_its_slope_times_the_change_of_its_stream(
    model, graph, batch, other
):
    scores = eap(model, graph, batch, other).each
    now = clean(model, graph, batch)
    assert not scores[:, ~torch.from_numpy(graph.allowed)].any()
    # Every writer at once into the logits: the slope of what the final norm reads.
    step, mask = 1e-5, graph.allowed.copy()
    mask[-1] = False
    ends = [
        value(
            batch,
            run_circuits(model, graph, batch.clean, now + sign * step * (other - now), [mask])[0],
        )
        for sign in (1, -1)
    ]
    np.testing.assert_allclose(
        scores[:, -1].sum(-1), (ends[0] - ends[1]) / (2 * step), rtol=1e-5, atol=1e-9
    )


def test_integrated_scores_out_of_the_embedding_add_up_to_the_change_of_the_metric(
    model, graph, batch, other
):
    ends = [
        value(batch, model.run(tokens, logits_at=-1).logits)
        for tokens in (batch.clean, batch.corrupted)
    ]
    errors = [
        float(
            (eap(model, graph, batch, other, steps=steps).each[:, :, 0].sum(-1) - ends[1] + ends[0])
            .abs()
            .max()
        )
        for steps in (4, 32)
    ]
    assert errors[1] < errors[0] / 4
    assert errors[1] < 0.1 * float((ends[1] - ends[0]).abs().max()) + 0.05


def test_what_a_frozen_pattern_does_not_score_is_empty_and_not_nothing(model, graph, batch, other):
    scores = eap(model, graph, batch, other, rules=frozen("pattern")).each
    unscored = np.array([each.input in ("q", "k") for each in graph.readers])
    assert scores[:, unscored].isnan().all()
    assert scores[:, ~unscored].isfinite().all()


@pytest.mark.parametrize(
    "rules", [TRUE, frozen("norm"), frozen("norm", "pattern"), RELP, GIM], ids=str
)
def test_edges_out_of_a_node_add_up_to_its_attribution_patching(model, graph, batch, other, rules):
    """Which autograd gives straight: the slope at what the node writes, times its change."""
    scores = eap(model, graph, batch, other, rules=rules).of_nodes()
    at = kept_for(model)
    run = slopes(model, batch.clean, logit_difference(batch), rules=rules, at=at)
    change = (other - written(model, graph, run.kept)).detach()
    for column, writer in enumerate(graph.writers):
        if isinstance(writer, Head):
            W_O = model.block(writer.layer).attn.W_O[writer.index]
            z = sites.z(writer.layer)
            ablated = other[column] @ torch.linalg.pinv(W_O.detach())
            moved = (ablated - run.kept[z][:, :, writer.index]) * run.slope[z][:, :, writer.index]
        elif isinstance(writer, MLP):
            moved = change[column] * run.slope[sites.mlp_out(writer.layer)]
        else:
            moved = change[column] * run.slope[sites.embed()]
        np.testing.assert_allclose(scores[:, column], moved.sum((1, 2)), rtol=1e-7, atol=1e-9)


def test_clean_and_corrupted_slopes_are_of_the_two_prompts(model, graph, batch, other):
    """The slopes at the corrupted prompt are those of a batch in which it is the clean one."""
    found = clean_corrupted(model, graph, batch, other).each
    now = clean(model, graph, batch)
    turned = replace(batch, clean=batch.corrupted, corrupted=batch.clean)
    at_clean = eap(model, graph, batch, other).each
    at_corrupted = -eap(model, graph, turned, now).each
    torch.testing.assert_close(found, (at_clean + at_corrupted) / 2)


def test_one_step_is_the_clean_run(model, graph, batch, other):
    torch.testing.assert_close(
        eap(model, graph, batch, other, steps=1).each, eap(model, graph, batch, other).each
    )


def test_what_has_no_first_order_scores_is_refused(model, graph, task, batch, other):
    with pytest.raises(UsageError, match="has no slope at this run"):
        eap(model, graph, batch, other, metric=lambda batch: KLToBase())
    with pytest.raises(UsageError, match="steps are 0"):
        eap(model, graph, batch, other, steps=-1)
    with pytest.raises(UsageError, match="what can be frozen is norm, .*pattern, got 'gate'"):
        frozen("gate")
    if model.config.group > 1:
        private = Graph.of(model, private=True)
        with pytest.raises(UsageError, match="private copies"):
            eap(model, private, batch, ablation_values(model, private, task, batch, "resample"))
