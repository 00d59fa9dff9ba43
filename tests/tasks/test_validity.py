"""The gate judges a task as a whole, and says what the model got."""

import numpy as np
import pytest
import torch

import interp
from interp import edits, sites, tasks
from interp.tasks import ioi, splits


@pytest.fixture(scope="module")
def model():
    return interp.load("tiny-gpt2")


def test_logit_differences_are_those_of_one_prompt_at_a_time(model):
    task = tasks.build("ioi", model.tokenizer, n=12, confirm=24)
    gate = tasks.gate(model, task)
    fresh = task.confirmation
    here = zip(task.kept, gate.clean_each, gate.corrupted_each, strict=True)
    there = zip(
        fresh.kept,
        gate.confirmation_clean_each,
        gate.confirmation_corrupted_each,
        strict=True,
    )
    for prompt, clean, corrupted in (*here, *there):
        for tokens, found in ((prompt.clean_tokens, clean), (prompt.corrupted_tokens, corrupted)):
            logits = model.run(torch.tensor([tokens])).logits[0, -1]
            expected = logits[prompt.answer_token] - logits[prompt.wrong_token]
            assert found == pytest.approx(expected.item(), abs=1e-4)
    rest = splits.left_out(task)
    clean = [gate.clean_each, gate.confirmation_clean_each, tasks.gate(model, rest).clean_each]
    assert gate.accuracy.value == np.mean(np.concatenate(clean) > 0)
    assert gate.n == task.n + fresh.n + rest.n


def test_the_gate_is_judged_on_every_template(model):
    for n in (4, 16, 40):
        task = tasks.build("ioi", model.tokenizer, n=n)
        rest = splits.left_out(task)
        judged = [*task.kept, *task.confirmation.kept, *(rest.kept if rest else ())]
        assert len({prompt.template for prompt in judged}) == len(ioi.SENTENCES)
        assert len(set(judged_rows := [prompt.clean_tokens for prompt in judged])) == len(
            judged_rows
        )


def test_a_model_that_guesses_is_refused_with_what_it_got(model):
    gate = tasks.gate(model, tasks.build("ioi", model.tokenizer, n=40))
    assert "tiny-gpt2 prefers the right answer on" in gate.refused
    assert f"{gate.accuracy.value:.0%} of 112 ioi prompts" in gate.refused


class _Answering:
    """The real tiny model with the answers' logits raised: by `right` after the clean prompts, by
    `both` after the corrupted ones too."""

    def __init__(self, model, task, right, both=0.0):
        self.name, self.device, self._model = model.name, model.device, model
        prompts = task.kept + (task.confirmation.kept if task.source else ())
        self._raised = {
            prompt.clean_tokens: (prompt.answer_token, right + both) for prompt in prompts
        }
        self._raised |= {prompt.corrupted_tokens: (prompt.answer_token, both) for prompt in prompts}

    def run(self, tokens, edits_=(), keep=(), *, logits_at, attention_mask):
        raised = [self._raised[tuple(row)] for row in tokens.tolist()]

        def answer(logits):
            for row, (token, amount) in enumerate(raised):
                logits[row, :, token] += amount
            return logits

        edit = edits.call(sites.logits(), answer)
        return self._model.run(tokens, edits=[edit], logits_at=logits_at)


def test_a_model_that_answers_passes_and_keeps_all_its_prompts(model):
    task = tasks.build("ioi", model.tokenizer, n=40)
    gate = tasks.gate(_Answering(model, task, right=40.0), task)
    assert gate.refused is None
    assert (gate.n, gate.accuracy.value) == (112, 1.0)


def test_a_model_that_answers_the_corrupted_prompts_too_is_refused_for_the_gap(model):
    task = tasks.build("ioi", model.tokenizer, n=40)
    level = -float(tasks.gate(model, task).gap.value)
    gate = tasks.gate(_Answering(model, task, right=level, both=40.0), task)
    assert gate.accuracy.value == 1.0
    assert "nothing for an intervention to restore" in gate.refused


def test_a_task_without_a_fit_prompt_is_refused_with_the_reasons(model, tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("clean,corrupted,answer,wrong\nSo Mary,So the John, Mary, Mary\n")
    gate = tasks.gate(model, tasks.build(str(path), model.tokenizer))
    assert gate.n == 0
    assert "none of the 1 prompts" in gate.refused
    assert "clean and corrupted differ in length (1)" in gate.refused


@pytest.mark.real
@pytest.mark.slow
def test_smollm2_does_ioi_and_induction():
    model = interp.load("smollm2-135m")
    for name in ("ioi", "induction"):
        gate = tasks.gate(model, tasks.build(name, model.tokenizer, n=8))
        print(f"{name}: accuracy {gate.accuracy.value:.2f}, clean {gate.clean.value:.2f}")
        assert gate.refused is None
        assert gate.clean.value > 3
