"""Other readings have the norm of the answer's own direction and read something else."""

import numpy as np
import pytest
import torch

import interp
from interp import tasks
from interp.methods import attribute, readings
from interp.methods.decompose import at
from interp.tasks.batches import whole


@pytest.fixture(scope="module", params=["tiny-gpt2", "tiny-llama"])
def model(request):
    return interp.load(request.param, dtype=torch.float64)


def test_other_pairs_of_tokens_are_read_at_equal_norm(model):
    task = tasks.build("ioi", model.tokenizer, n=8, seed=1)
    prompts = whole(task, model.device)
    run = prompts.run(model, keep=attribute.wanted(model))
    others = readings.others(model, task, run, prompts, seed=3)
    end = at(run, prompts.end[:, None])

    def norm(given):
        read = attribute.reading(model, end, given.answer[:, None], given.distractor[:, None])
        return read.direction[:, 0].norm(dim=-1)

    for given, scale in others.values():
        torch.testing.assert_close(norm(given) * scale, norm(prompts))
    random, unrelated = others[readings.RANDOM][0], others[readings.UNRELATED][0]
    assert (random.answer != random.distractor).all()
    pairs = {(a, w): p.template for a, w, p in zip(
        prompts.answer.tolist(), prompts.distractor.tolist(), task.kept, strict=True)}  # fmt: skip
    for row, prompt in enumerate(task.kept):
        taken = (int(unrelated.answer[row]), int(unrelated.distractor[row]))
        assert taken in pairs
        assert pairs[taken] != prompt.template
    again = readings.others(model, task, run, prompts, seed=3)
    assert torch.equal(again[readings.RANDOM][0].answer, random.answer)
    assert not torch.equal(
        readings.others(model, task, run, prompts, seed=4)[readings.RANDOM][0].answer,
        random.answer,
    )


def test_confirming_reads_the_chosen_alone_on_fresh_prompts():
    model = interp.load("tiny-gpt2", dtype=torch.float64)
    task = tasks.build("ioi", model.tokenizer, n=8, seed=1)
    wanted = attribute.wanted(model)

    def read(run, prompts):
        return attribute.attribute(model, run, prompts).of("head")

    prompts = whole(task, model.device)
    found = attribute.attribute(model, prompts.run(model, keep=wanted), prompts)
    chosen = found.heads(task).select(3)
    test = readings.confirm(model, chosen, wanted, read, seed=2)
    fresh = whole(task.confirmation, model.device)
    every = read(fresh.run(model, keep=wanted), fresh)
    np.testing.assert_allclose(test.fresh.values, every[chosen.rows].numpy(), atol=1e-12)
    assert test.labels == tuple(map(str, chosen.components))
    assert set(test.confirmation.controls) == {readings.RANDOM, readings.UNRELATED}
