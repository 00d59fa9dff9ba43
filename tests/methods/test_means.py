"""Means are over many other corrupted prompts, run once, and never over the evaluated prompt's own."""

from dataclasses import replace

import pytest
import torch

import interp
from interp import sites, tasks
from interp.methods import means
from interp.tasks.batches import by_length
from interp.tasks.splits import LEAST_POOL, POOL


@pytest.fixture(scope="module")
def model():
    return interp.load("tiny-llama", dtype=torch.float64)


@pytest.fixture(scope="module")
def task(model):
    return tasks.build("ioi", model.tokenizer, n=8, seed=1)


def held(model, task, site):
    """Each prompt's mean as the method gives it, in the task's order."""
    found = {}
    for batch in by_length(task, model.device):
        own = model.run(batch.corrupted, keep=[site]).cache[site]
        values = means.template_means(model, task, batch.prompts, site, own)
        found |= dict(zip(batch.indices, values, strict=True))
    return [found[index] for index in range(task.n)]


@pytest.mark.parametrize("kind", ["z", "mlp_out", "mlp_post", "attn_out", "resid_mid"])
def test_a_mean_is_that_of_single_runs_over_the_pool(model, task, kind):
    site = sites.Site(kind, 1)
    for prompt, found in zip(task.kept, held(model, task, site), strict=True):
        pool = task.pool[prompt.pool_key]
        assert len(set(pool)) == len(pool) >= POOL
        assert prompt.corrupted_tokens not in pool
        one_by_one = [model.run(torch.tensor([row]), keep=[site]).cache[site][0] for row in pool]
        torch.testing.assert_close(found, torch.stack(one_by_one).mean(0))


def test_a_prompts_own_partner_is_left_out_where_the_pool_has_it(model, task):
    site = sites.z(1)
    prompt = task.kept[0]

    # As a file's pool does, this one holds the evaluated prompt's own partner.
    pool = (*task.pool[prompt.pool_key][:9], prompt.corrupted_tokens)
    pooled = replace(task)
    vars(pooled)["pool"] = {prompt.pool_key: pool}
    own = model.run(torch.tensor([prompt.corrupted_tokens]), keep=[site]).cache[site]
    found = means.template_means(model, pooled, [prompt], site, own)[0]
    others = [model.run(torch.tensor([row]), keep=[site]).cache[site][0] for row in pool[:-1]]
    torch.testing.assert_close(found, torch.stack(others).mean(0))


def test_the_pool_runs_once_for_all_studies_and_again_for_other_weights(model, task, monkeypatch):
    counted = []
    run = type(model).run

    def counting(self, tokens, *arguments, **named):
        counted.append(len(tokens))
        return run(self, tokens, *arguments, **named)

    held(model, task, sites.z(1))
    monkeypatch.setattr(type(model), "run", counting)
    before = len(by_length(task, model.device))
    held(model, task, sites.mlp_post(0))
    assert len(counted) == before
    with torch.no_grad():
        model.block(0).attn.W_V.mul_(1.0)
    held(model, task, sites.z(1))
    assert len(counted) > 2 * before


def test_a_task_says_of_how_many_its_means_are_or_why_it_has_none(task, tmp_path, model):
    assert not means.no_means(task)
    assert f"{POOL} distinct" in means.mean_over(task)
    file = tmp_path / "few.csv"
    frame = task.frame()[["clean", "corrupted", "answer", "wrong", "template"]]
    frame.to_csv(file, index=False)
    few = tasks.build(str(file), model.tokenizer)
    assert max(len(rows) for rows in few.pool.values()) < LEAST_POOL
    assert "no mean ablation" in means.no_means(few)
