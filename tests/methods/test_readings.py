"""Other readings have the norm of the answer's own direction and read something else."""

import pytest
import torch

import interp
from interp import tasks
from interp.methods import attribute, readings
from interp.methods.positions import at
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

    for each in others.values():
        torch.testing.assert_close(norm(each.prompts) * each.scale, norm(prompts))
    random, unrelated = others[readings.RANDOM].prompts, others[readings.UNRELATED].prompts
    assert (random.answer != random.distractor).all()
    pairs = {(a, w): p.template for a, w, p in zip(
        prompts.answer.tolist(), prompts.distractor.tolist(), task.kept, strict=True)}  # fmt: skip
    for row, prompt in enumerate(task.kept):
        taken = (int(unrelated.answer[row]), int(unrelated.distractor[row]))
        assert taken in pairs
        assert pairs[taken] != prompt.template
    again = readings.others(model, task, run, prompts, seed=3)
    assert torch.equal(again[readings.RANDOM].prompts.answer, random.answer)
    assert not torch.equal(
        readings.others(model, task, run, prompts, seed=4)[readings.RANDOM].prompts.answer,
        random.answer,
    )
