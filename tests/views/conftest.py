"""A screen of a few made-up effects, chosen and confirmed."""

from dataclasses import replace

import numpy as np
import pytest

import interp
from interp import tasks
from interp.components import Head
from interp.effects import Effects


@pytest.fixture(scope="session")
def task():
    return tasks.build("ioi", interp.load("tiny-gpt2").tokenizer, n=12, seed=1)


@pytest.fixture(scope="session")
def screen(task):
    """Three layers of four heads, each with its own effect on all prompts and some noise."""
    random = np.random.default_rng(0)
    heads = [Head(layer, head) for layer in range(3) for head in range(4)]
    values = random.normal(size=(len(heads), 1)) + random.normal(size=(len(heads), task.n)) / 9
    return Effects(values, heads, task)


@pytest.fixture(scope="session")
def confirmed(screen):
    """The two strongest, found again on fresh prompts; elsewhere nothing."""
    strongest = screen.select(2)
    fresh = screen.task.confirmation
    random = np.random.default_rng(1)
    own = screen.only(strongest.rows).mean()[:, None]
    found = Effects(own + random.normal(size=(2, fresh.n)) / 9, strongest.components, fresh)
    return strongest.test(found, {"elsewhere": replace(found, values=found.values - own)})
