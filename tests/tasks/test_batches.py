"""Batches hold every kept prompt once, aligned as they say, and what is measured comes back in order."""

import numpy as np
import pytest
import torch

import interp
from interp import tasks
from interp.errors import UsageError
from interp.tasks import PromptBatch, batches


@pytest.fixture(scope="module")
def model():
    return interp.load("tiny-gpt2", dtype=torch.float64)


@pytest.fixture(scope="module")
def task(model):
    return tasks.build("ioi", model.tokenizer, n=20, seed=2)


@pytest.mark.parametrize("made", [batches.by_length, batches.aligned])
def test_every_prompt_is_in_one_batch_without_padding(task, made):
    found = made(task)
    assert all(isinstance(batch, PromptBatch) for batch in found)
    assert sorted(index for batch in found for index in batch.indices) == list(range(task.n))
    for batch in found:
        assert batch.real.all()
        for row, prompt in enumerate(batch.prompts):
            assert batch.clean[row].tolist() == list(prompt.clean_tokens)
            assert batch.corrupted[row].tolist() == list(prompt.corrupted_tokens)
            assert (batch.answer[row], batch.distractor[row]) == (
                prompt.answer_token,
                prompt.wrong_token,
            )


def test_named_positions_align_within_a_template(task):
    for batch in batches.aligned(task):
        assert len({prompt.template for prompt in batch.prompts}) == 1
        for name in batch.prompts[0].positions:
            assert len(set(batch.position(name).tolist())) == 1


def test_positions_are_those_of_each_prompt(task):
    batch = batches.whole(task)
    assert batch.position("IO").tolist() == [prompt.positions["IO"] for prompt in task.kept]
    assert batch.position("END").tolist() == batch.end.tolist()
    assert batch.position(batches.FIRST).tolist() == [0] * task.n
    with pytest.raises(UsageError, match="no position is called 'nowhere' in .*; it has .*END"):
        batch.position("nowhere")


@pytest.mark.parametrize("corrupted", [False, True])
def test_padding_changes_no_logits(model, task, corrupted):
    together = batches.whole(task).run(model, corrupted=corrupted).logits[:, 0]
    assert not batches.whole(task).real.all()
    for row, prompt in enumerate(task.kept):
        tokens = prompt.corrupted_tokens if corrupted else prompt.clean_tokens
        alone = model.run(torch.tensor([tokens]), logits_at=-1).logits[0, 0]
        torch.testing.assert_close(together[row], alone)


def test_what_was_measured_comes_back_in_the_tasks_order(task):
    parts = [
        (batch, torch.stack([batch.answer, batch.end]).float())
        for batch in reversed(batches.by_length(task))
    ]
    found = batches.gathered(task, parts)
    np.testing.assert_array_equal(found[0], [prompt.answer_token for prompt in task.kept])
    np.testing.assert_array_equal(found[1], [len(each.clean_tokens) - 1 for each in task.kept])
