"""The gate judges a task as a whole, and says what the model got."""

from copy import copy
from itertools import permutations

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


def answering(model, task, right, both=0.0):
    """The real tiny model with the answers' logits raised: by `right` after the clean prompts (of a
    template, if it says so by template), by `both` after the corrupted ones too."""
    prompts = task.kept + (task.confirmation.kept if task.source else ())
    more = right if isinstance(right, dict) else {prompt.template: right for prompt in prompts}
    raises = {
        prompt.clean_tokens: (prompt.answer_token, more[prompt.template] + both)
        for prompt in prompts
    }
    raises |= {prompt.corrupted_tokens: (prompt.answer_token, both) for prompt in prompts}

    def run(tokens, logits_at):
        raised = [raises[tuple(row)] for row in tokens.tolist()]

        def answer(logits):
            for row, (token, amount) in enumerate(raised):
                logits[row, :, token] += amount
            return logits

        edit = edits.call(sites.logits(), answer)
        return model.run(tokens, edits=[edit], logits_at=logits_at)

    able = copy(model)
    able.run = run
    return able


def test_a_model_that_answers_passes_and_keeps_all_its_prompts(model):
    task = tasks.build("ioi", model.tokenizer, n=40)
    gate = tasks.gate(answering(model, task, right=40.0), task)
    assert gate.refused is None
    assert (gate.n, gate.accuracy.value) == (112, 1.0)


def test_a_model_that_answers_the_corrupted_prompts_too_is_refused_for_the_gap(model):
    task = tasks.build("ioi", model.tokenizer, n=40)
    level = -float(tasks.gate(model, task).gap.value)
    gate = tasks.gate(answering(model, task, right=level, both=40.0), task)
    assert gate.accuracy.value == 1.0
    assert "nothing for an intervention to restore" in gate.refused


@pytest.fixture
def of_templates(model, tmp_path):
    """A file of 24 prompts of so many templates, and a model that has all of them right: those of the
    first template by far more than the others."""

    def make(number):
        names = ["Mary", "Anna", "Sarah", "Laura", "Emma", "Alice", "Kate", "Julia"]
        rows = [
            f"{'So ' * (each % number + 1)}{name} and {other} saw,"
            f"{'So ' * (each % number + 1)}{other} and {name} saw, {name}, {other},t{each % number}"
            for each, (name, other) in enumerate(list(permutations(names, 2))[:24])
        ]
        path = tmp_path / f"{number}.csv"
        path.write_text("clean,corrupted,answer,wrong,template\n" + "\n".join(rows) + "\n")
        task = tasks.build(str(path), model.tokenizer)
        assert task.n == 24
        right = {f"t{each}": 30.0 * (each == 0) for each in range(number)}
        return task, answering(model, task, right, both=40.0)

    return make


def test_two_templates_are_judged_by_accuracy_and_gap_and_that_is_said(of_templates):
    task, able = of_templates(2)
    gate = tasks.gate(able, task)
    assert gate.accuracy.value == 1.0
    assert gate.gap.low < 0
    assert gate.refused is None
    assert "judged by accuracy and gap alone: the prompts are of 2 clusters" in gate.note
    assert "needs 6; more templates make more" in gate.note


def test_from_six_templates_the_interval_counts_and_a_refusal_says_what_it_means(of_templates):
    task, able = of_templates(6)
    gate = tasks.gate(able, task)
    assert gate.gap.value > 0.5
    assert gate.gap.low < 0
    assert "the model does it in some templates and not in others" in gate.refused
    assert gate.note is None


def test_a_files_held_out_prompts_are_judged_once(of_templates):
    task, able = of_templates(6)
    gate = tasks.gate(able, task)
    assert gate.n == task.n == len(gate.clean_each)
    assert len(gate.confirmation_clean_each) == 0


def test_a_task_without_a_fit_prompt_is_refused_with_the_reasons(model, tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("clean,corrupted,answer,wrong\nSo Mary,So the John, Mary, Mary\n")
    gate = tasks.gate(model, tasks.build(str(path), model.tokenizer))
    assert gate.n == 0
    assert "none of the 1 prompts" in gate.refused
    assert "clean and corrupted differ in length (1)" in gate.refused


@pytest.mark.parametrize("seed", [0, 1])
def test_books_gpt2_does_gendered_pronoun_on_all_templates(seed):
    model = interp.load("books-gpt2")
    gate = tasks.gate(model, tasks.build("gendered_pronoun", model.tokenizer, seed=seed))
    assert gate.refused is None
    assert gate.accuracy.clusters == 24


@pytest.mark.real
@pytest.mark.slow
def test_smollm2_does_ioi_on_all_templates_and_induction():
    model = interp.load("smollm2-135m")
    for name, clusters in (("ioi", 24), ("induction", 16 + 72)):
        gate = tasks.gate(model, tasks.build(name, model.tokenizer))
        print(f"{name}: accuracy {gate.accuracy.value:.2f}, clean {gate.clean.value:.2f}")
        assert gate.refused is None
        assert gate.clean.value > 3
        assert gate.accuracy.clusters == clusters
