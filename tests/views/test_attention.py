"""Attention on a page: which pair and head each row is of, and what is said of the strongest."""

import pandas as pd
import pytest

import interp
from interp import components, edits, sites, tasks
from interp.effects import Effects
from interp.methods import attention as method
from interp.tasks.batches import places, whole
from interp.views import attention


@pytest.fixture(scope="module")
def made():
    model = interp.load("tiny-gpt2")
    task = tasks.build("ioi", model.tokenizer, n=6)
    prompts = whole(task, model.device)
    kept = [sites.pattern(layer) for layer in range(model.config.n_layers)]
    return model, task, prompts, prompts.run(model, keep=kept)


def test_a_row_is_the_attention_of_one_head_from_one_named_position_to_another(made):
    model, task, prompts, run = made
    heads, named = components.heads(model)[1:4], places(task)
    table = attention.between(run, heads, named, method.even(model, prompts), task)
    ends = table["query"] == "END"
    assert ends.iloc[: ends.sum()].all()
    assert table[ends].attention.is_monotonic_decreasing
    row = table[(table["query"] == "END") & (table.key == "S2") & (table["head"] == 2)].iloc[0]
    pattern = run.cache[sites.pattern(0)][:, 2]
    each = [
        float(pattern[prompt, named["END"][prompt], named["S2"][prompt]]) for prompt in range(6)
    ]
    by_template = pd.Series(each).groupby(task.clusters).mean()
    assert row.attention == pytest.approx(by_template.mean(), abs=1e-6)
    even = sum(1 / (end + 1) for end in named["END"]) / 6
    assert row.even == pytest.approx(even, abs=1e-6)


def test_the_strongest_is_that_to_a_word_and_not_to_an_end():
    rows = [(1, 2, "END", "END", 0.9), (0, 1, "END", "IO", 0.5), (0, 1, "S2", "IO", 0.8)]
    table = pd.DataFrame(rows, columns=["layer", "head", "query", "key", "attention"])
    assert attention.strongest(table) == "L0H1 attends from END to IO with 0.50"
    assert attention.strongest(table[:1]) == "the task names no word to attend to"


def test_a_map_has_a_row_a_head_and_patterns_end_with_their_prompt(made):
    model, task, prompts, run = made
    heads = components.heads(model)[:2]
    direct = Effects(run.cache[sites.pattern(0)][:, :2, 0, 0].T.double().numpy(), heads, task)
    [block] = attention.from_end(run, direct, places(task)).heatmaps
    assert tuple(block.rows) == ("L0H0", "L0H1")
    assert block.note == "Direct effects on the discovery half, in logits: L0H0 +1.00, L0H1 +1.00."
    shown = attention.on_prompts(model, run, heads, shown=3)
    assert len(shown.patterns) == 3
    for row, (tokens, pattern) in enumerate(zip(shown.tokens, shown.patterns, strict=True)):
        real = int(prompts.real[2 * row].sum())
        assert len(tokens) == real
        assert pattern.shape == (2, real, real)


def test_attention_that_adds_up_to_less_than_1_anywhere_fails(made):
    model, _, prompts, run = made
    assert attention.adds_up(model, run).passed
    spoilt = prompts.run(
        model,
        keep=list(map(sites.pattern, range(model.config.n_layers))),
        edits=[edits.zero(sites.pattern(1), heads=[0])],
    )
    assert attention.adds_up(model, spoilt).value == pytest.approx(1)
