"""How many heads the rules of roles name where there is nothing to name: the share of all heads, by null.

The nulls: models of random weights, as they are before training and with attention weights ten times as
large, so that heads attend to something; each of the three things that a rule asks for given to heads at
random; tasks that ask for no name to be moved; and prompts of which right and wrong answer are exchanged at
random.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from interp import components, stats, tasks
from interp.circuits.heads import heads
from interp.circuits.roles import attends, named, roles
from interp.components import Head
from interp.errors import NotApplicable, UsageError
from interp.study.progress import progress
from interp.tasks import Task

if TYPE_CHECKING:
    from interp.transformer import Transformer

MOST, MODELS = 0.025, 20
UNRELATED = ("capital_country", "gendered_pronoun", "greater_than", "subject_verb")
LARGE = 10.0
# On so many prompts attention and writing are measured, and on so many others interventions.
_SCREEN, _FRESH = 24, 32
_SHAPE: dict[str, Any] = {"n_layers": 3, "n_heads": 8, "n_kv_heads": 8, "d_model": 64, "d_head": 8}


def rates(
    model: Transformer, task: Task, models: int = MODELS, repeats: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """null, n (heads that were asked), named (the share of them) with its interval, and most (the name most
    often given): one row a null."""
    screen, fresh = (exchanged(each, seed) for each in (task, task.confirmation))
    rows = [
        row("random weights", of_random_models(model, task, models, seed=seed)),
        row("random weights, large", of_random_models(model, task, models, LARGE, seed)),
        row("permuted heads", permuted(model, task, repeats, seed)),
        row("unrelated tasks", on_unrelated_tasks(model, seed)),
        row("answers exchanged", called(model, screen, fresh, seed)),
    ]
    return pd.DataFrame([each for each in rows if each["n"]])


def row(null: str, names: list[str]) -> dict[str, Any]:
    """One row of the table, of the names that heads were given; empty for none."""
    given = Counter(filter(None, names))
    share = stats.share(np.array([bool(each) for each in names])) if names else None
    ends = (np.nan,) * 3 if share is None else (share.value, share.low, share.high)
    columns = dict(zip(("named", "named_low", "named_high"), map(float, ends), strict=True))
    most = given.most_common(1)[0][0] if given else ""
    return {"null": null, "n": len(names), **columns, "most": most}


def called(model: Transformer, task: Task, fresh: Task, seed: int = 0) -> list[str]:
    """What every head of the model is called for what it does on a task and on fresh prompts."""
    screen, few = task.evenly(_SCREEN), fresh.evenly(_FRESH)
    # No other head can have a name.
    asked = attending(model, screen, seed)
    names = dict(zip(asked, roles(model, screen, asked, fresh=few, seed=seed).names, strict=True))
    return [names.get(head, "") for head in components.heads(model)]


def attending(model: Transformer, task: Task, seed: int = 0) -> list[Head]:
    """The heads that attend as some rule asks."""
    where = np.stack([*attends(heads(model, task, seed).scores).values()])
    every = components.heads(model)
    return [every[row] for row in np.flatnonzero(where.any(0))]


def permuted(model: Transformer, task: Task, repeats: int, seed: int = 0) -> list[str]:
    """The same with where heads attend, what they write and what they do each given to other heads: of
    those that attend as some rule asks and as many others, which are named more often than all heads."""
    screen, fresh = task.evenly(_SCREEN), task.confirmation.evenly(_FRESH)
    random, asked = np.random.default_rng(seed), attending(model, screen, seed)
    others = [head for head in components.heads(model) if head not in asked]
    asked += [others[at] for at in random.permutation(len(others))[: max(len(asked), 1)].tolist()]
    found = roles(model, screen, asked, fresh=fresh, every=True, seed=seed).found
    names = list[str]()
    for _ in range(repeats):
        order = np.stack([random.permutation(len(asked)) for _ in range(3)])
        mixed = {name: np.take_along_axis(each, order, 1) for name, each in found.items()}
        names += named(mixed, len(asked))
    return names


def of_random_models(
    model: Transformer, task: Task, models: int, times: float = 1.0, seed: int = 0
) -> list[str]:
    """The same of so many small models with this tokenizer, whose attention weights are so many times as
    large as those before training."""
    from interp.training.presets import fresh

    shape = _SHAPE | {"d_mlp": 128 if model.config.d_mlp else 0, "rotary_dim": 8, "windows": ()}
    config, names = replace(model.config, **shape), list[str]()
    for number in progress(range(models), "models of random weights, heads named"):
        one = fresh(config, seed + number, model.origin, lambda: model.tokenizer).eval()
        for block in (one.block(layer) for layer in range(config.n_layers)):
            for weight in (block.attn.W_Q, block.attn.W_K, block.attn.W_V, block.attn.W_O):
                weight.data *= times
        names += called(one, task, task.confirmation, seed + number)
    return names


def on_unrelated_tasks(model: Transformer, seed: int = 0) -> list[str]:
    """The same of the model on tasks that ask for no name to be moved."""
    found = _unrelated(model, seed)
    return [name for task in found for name in called(model, task, task.confirmation, seed)]


def _unrelated(model: Transformer, seed: int) -> Iterator[Task]:
    for name in progress(UNRELATED, "unrelated tasks, heads named"):
        try:
            task = tasks.build(name, model.tokenizer, n=_SCREEN, seed=seed, bos=model.bos_choice)
            if task.confirmation.n:
                yield task
        except (NotApplicable, UsageError):
            # Of a vocabulary in which it has no prompts.
            continue


def exchanged(task: Task, seed: int = 0) -> Task:
    """The prompts with right and wrong answer exchanged in half of them."""
    coins = np.random.default_rng(seed).random(len(task.prompts)) < 0.5
    prompts = [
        replace(
            each,
            answer=each.wrong,
            wrong=each.answer,
            answer_token=each.wrong_token,
            wrong_token=each.answer_token,
        )
        if coin
        else each
        for each, coin in zip(task.prompts, coins, strict=True)
    ]
    return replace(task, prompts=tuple(prompts))
