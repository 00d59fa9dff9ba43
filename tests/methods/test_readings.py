"""Other readings have the norm of the answer's own direction and read something else."""

import pytest
import torch

import interp
from interp import tasks
from interp.methods import attribute, readings
from interp.methods.asked import asked, at


@pytest.fixture(scope="module", params=["tiny-gpt2", "tiny-llama"])
def model(request):
    return interp.load(request.param, dtype=torch.float64)


def test_other_pairs_of_tokens_are_read_at_equal_norm(model):
    task = tasks.build("ioi", model.tokenizer, n=8, seed=1)
    prompts = asked(model, task)
    run = prompts.run(model, keep=attribute.wanted(model))
    others = readings.others(model, task, run, prompts, seed=3)
    end = at(run, prompts.end[:, None])

    def norm(given):
        read = attribute.reading(model, end, given.answer[:, None], given.wrong[:, None])
        return read.direction[:, 0].norm(dim=-1)

    for each in others.values():
        torch.testing.assert_close(norm(each.asked) * each.scale, norm(prompts))
    random, unrelated = others[readings.RANDOM].asked, others[readings.UNRELATED].asked
    assert (random.answer != random.wrong).all()
    pairs = {(a, w): p.template for a, w, p in zip(
        prompts.answer.tolist(), prompts.wrong.tolist(), task.kept, strict=True)}  # fmt: skip
    for row, prompt in enumerate(task.kept):
        taken = (int(unrelated.answer[row]), int(unrelated.wrong[row]))
        assert taken in pairs
        assert pairs[taken] != prompt.template
    again = readings.others(model, task, run, prompts, seed=3)
    assert torch.equal(again[readings.RANDOM].asked.answer, random.answer)
    assert not torch.equal(
        readings.others(model, task, run, prompts, seed=4)[readings.RANDOM].asked.answer,
        random.answer,
    )
