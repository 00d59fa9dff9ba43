"""The lens as tables and charts: each number stands at the layer, position and token that it is of."""

import numpy as np
import pytest
import torch

import interp
from interp import stats, tasks
from interp.methods.lens import Gains, by_layer, entries, first_kept, gains, lens, of_prompt
from interp.tasks.batches import whole
from interp.views import lens as shown


@pytest.fixture(scope="module")
def model():
    return interp.load("tiny-llama", dtype=torch.float64)


@pytest.fixture(scope="module")
def ioi(model):
    return tasks.build("ioi", model.tokenizer, n=10, seed=1)


@pytest.fixture(scope="module")
def prompts(model, ioi):
    return whole(ioi, model.device)


@pytest.fixture(scope="module")
def run(model, prompts):
    return prompts.run(model, keep=entries(model))


@pytest.fixture(scope="module")
def seen(model, run, prompts):
    tokens = torch.stack([prompts.answer, prompts.distractor, prompts.answer + 1])
    return lens(model, run, tokens)


def test_the_last_layer_of_the_table_is_the_model_itself(run, seen, prompts, ioi):
    last = by_layer(seen, prompts, ioi).iloc[-1]
    log_probs = run.logits[:, 0].log_softmax(-1)
    answer = log_probs.gather(-1, prompts.answer[:, None])[:, 0].numpy()
    assert last["answer_log_prob"] == pytest.approx(float(stats.mean(answer, ioi.clusters).value))
    rank = (log_probs > torch.tensor(answer)[:, None]).sum(-1) + 1
    assert last["answer_rank_median"] == np.median(rank)
    assert last["answer_top"] == (rank == 1).double().mean()
    assert (last["kl"], last["n"]) == (pytest.approx(0, abs=1e-9), ioi.n)


def test_the_answer_is_kept_from_the_layer_after_the_last_that_lost_it():
    assert first_kept([0.9, 0.2, 0.6, 0.7]) == "2"
    assert first_kept([0.6, 0.7]) == "0"
    assert first_kept([0.6, 0.5]) == "never"


def test_late_and_early_gains_are_all_that_the_answer_gains(model, ioi):
    found = gains(model, ioi)
    values = by_layer(*_seen_alone(model, ioi), ioi)["logit_difference"]
    total = values.iloc[-1] - values.iloc[0]
    assert float(found.late.value + found.early.value) == pytest.approx(total)
    assert float(found.more.value) == pytest.approx(float(found.late.value - found.early.value))
    few = ioi.only(ioi.clusters == ioi.clusters[0])
    assert np.isnan(gains(model, few).more.low)


def _seen_alone(model, task):
    prompts = whole(task, model.device)
    run = prompts.run(model, keep=entries(model))
    return lens(model, run, torch.stack([prompts.answer, prompts.distractor] * 2)), prompts


def test_the_table_of_one_prompt_has_its_layers_positions_and_names(model, run, seen, ioi):
    tokens = run.tokens[1][run.real[1]]
    frame = of_prompt(model, ioi, tokens, seen, 1)
    assert len(frame) == len(seen.top) * len(tokens)
    row = frame[(frame["layer"] == 2) & (frame["position"] == 5)].iloc[0]
    assert row["answer_rank"] == seen.rank[0][2, 1, 5]
    assert row["top_token"] == model.to_single_str_token(int(seen.top[2, 1, 5]))
    end = frame[frame["label"] == "END"]
    assert set(end["position"]) == {ioi.kept[1].positions["END"]}


def test_charts_and_maps_are_of_the_tables(model, run, seen, prompts, ioi):
    table = by_layer(seen, prompts, ioi)
    chances, apart, distance, shown_table = shown.overall(table)
    assert [each.name for each in chances.series] == ["answer", "wrong", "random"]
    np.testing.assert_allclose(apart.series[0].y, table["logit_difference"])
    np.testing.assert_allclose(distance.series[0].high, table["kl_high"])
    assert shown_table.name == "layers"
    words = model.to_str_tokens(run.tokens[1][run.real[1]])
    top, maps = shown.one_prompt(model, seen, 1, words)
    assert list(top.frame)[1:] == [f"{at} {word!r}" for at, word in enumerate(words)]
    np.testing.assert_allclose(maps.heatmaps[2].values, seen.entropy[:, 1, : len(words)])
    _, chart = shown.echo(model, seen, run)
    same = (seen.top[0] == run.tokens)[run.real].double().mean()
    assert chart.series[0].y[0] == pytest.approx(float(same))


def test_words_say_what_the_verdict_rests_on(model, seen, prompts, ioi):
    found = gains(model, ioi)
    assert isinstance(found, Gains)
    said = shown.rule(found, ioi).text
    assert f"the difference is {float(found.more.value):.3g}" in said
    late, early = shown.headlines(found)
    assert (late.value, early.value) == (float(found.late.value), float(found.early.value))
    control = shown.random_token(by_layer(seen, prompts, ioi)).text
    last = by_layer(seen, prompts, ioi)["random_log_prob"].iloc[-1]
    assert f"ends at {last:.2f} nats" in control
    assert shown.few_layers(model) == "tiny-llama has 4 layers, too few for thirds of them"
