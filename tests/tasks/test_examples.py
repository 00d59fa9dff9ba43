"""Effects of anything that has clusters and halves are chosen and tested as those of prompts are."""

from dataclasses import dataclass

import numpy as np
import pytest

import interp
from interp import tasks
from interp.components import Head
from interp.effects import Effects
from interp.errors import UsageError
from interp.tasks.base import task_of
from interp.tasks.examples import Examples
from interp.views import tests as shown


@dataclass(frozen=True)
class Text:
    cluster: str
    half: str
    kept: bool = True
    item: str = ""
    order: str = ""
    template: str = ""


@dataclass(frozen=True)
class Texts(Examples[Text]):
    name: str
    prompts: tuple[Text, ...]
    called = "texts"
    groups = "authors"

    @property
    def confirmation(self):
        return self.only(self.where(half="held_out"))


def texts(n):
    made = [Text(f"author {i // 2}", "discovery" if i // 2 % 2 else "held_out") for i in range(n)]
    return Texts("novels", (*made, Text("author 0", "discovery", kept=False)))


def test_examples_without_tokens_or_answers_are_labels_enough_for_a_verdict():
    examples = texts(40)
    heads = [Head(layer, head) for layer in range(4) for head in range(8)]
    values = np.random.default_rng(0).normal(size=(32, 40))
    values[[3, 28]] += [[-4.0], [4.0]]
    screen = Effects(values, heads, examples)
    chosen = screen.select(2)
    assert set(chosen.components) == {Head(0, 3), Head(3, 4)}
    fresh = screen.only(chosen.rows).where(chosen.held_out)
    assert fresh.task.clusters.tolist() == [i // 2 for i in range(20)]
    nothing = Effects(0 * fresh.values, chosen.components, fresh.task)
    test = chosen.test(fresh, {"nothing": nothing})
    assert test.verdict == "supported"
    words, _ = shown.controls([test])
    assert "texts like the 20 held-out ones, of 10 independent groups (authors)" in words.text


def test_only_a_task_has_prompts_to_run_a_model_on():
    task = tasks.build("ioi", interp.load("tiny-gpt2").tokenizer, 8, 0)
    assert task_of(task) is task
    with pytest.raises(UsageError, match="prompts of a task, got novels, which are texts"):
        task_of(texts(4))


def test_at_most_so_many_of_a_cluster_are_its_first_in_order():
    few = texts(7).at_most(1)
    assert [each.cluster for each in few.kept] == [f"author {i}" for i in range(4)]
    assert texts(7).at_most(2).kept == texts(7).kept
