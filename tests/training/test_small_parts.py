"""Schedules, shapes, first weights, what is frozen, and how a language is cut."""

import math

import pytest
import torch

import interp
from interp.errors import UsageError
from interp.training import bpe, languages, loop
from interp.training.loop import NEXT_TOKEN, Recipe, freeze
from interp.training.presets import PRESETS, fresh, shape

SIZE = {"layers": 2, "heads": 2, "width": 24, "d_vocab": 50, "n_ctx": 10}


def test_the_rate_rises_to_its_height_and_falls_to_a_tenth():
    recipe = Recipe(steps=110, warmup=10, rate=0.5)
    rates = [recipe.rate_at(step) for step in range(111)]
    assert rates[0] == pytest.approx(0.05)
    assert max(rates) == rates[9] == rates[10] == 0.5
    assert rates[60] == pytest.approx(0.275)
    assert rates[110] == pytest.approx(0.05)
    assert rates[10:] == sorted(rates[10:], reverse=True)


@pytest.mark.parametrize(
    "wrong", [{"steps": 0}, {"rate": -1.0}, {"rate": math.nan}, {"decay": 1.0}]
)
def test_a_recipe_that_cannot_be_meant_is_refused(wrong):
    with pytest.raises(UsageError, match=next(iter(wrong))):
        Recipe(**wrong)


@pytest.mark.parametrize("preset", PRESETS)
def test_fresh_weights_depend_on_the_seed_and_guess_evenly(preset):
    config = shape(preset, **SIZE)
    model, again, other = fresh(config, 0), fresh(config, 0), fresh(config, 1)
    assert torch.equal(model.embed.W_E, again.embed.W_E)
    assert not torch.equal(model.embed.W_E, other.embed.W_E)
    tokens = torch.randint(50, (4, 11), generator=torch.Generator().manual_seed(0))
    assert abs(NEXT_TOKEN.losses(model, tokens).mean().item() - math.log(50)) < 0.6


def test_what_is_given_replaces_what_the_preset_says():
    config = shape("gpt2", **SIZE, norm="rmsnorm", positions="rotary", d_mlp=0, tied=None)
    assert (config.norm, config.positions, config.d_mlp, config.tied) == (
        "rmsnorm",
        "rotary",
        0,
        True,
    )
    with pytest.raises(UsageError, match="multiple of heads"):
        shape("gpt2", **SIZE | {"heads": 5})
    with pytest.raises(UsageError, match="nearest names: gpt2"):
        shape("gpt3", **SIZE)


def test_only_weights_decay():
    model = fresh(shape("gpt2", **SIZE), 0)
    decayed, others = loop.optimizer(model, Recipe(decay=0.3)).param_groups
    assert (decayed["weight_decay"], others["weight_decay"]) == (0.3, 0.0)
    names = {id(it): name for name, it in model.named_parameters()}
    assert {names[id(it)].rpartition(".")[2][:2] for it in decayed["params"]} == {"W_"}
    assert len(decayed["params"]) + len(others["params"]) == len(names)


def test_frozen_weights_stay_and_the_optimizer_leaves_them_out():
    model = fresh(shape("gpt2", **SIZE), 0)
    whole = sum(it.numel() for it in model.parameters())
    left = freeze(model, ["embed", "blocks.1.attn.W_Q"])
    assert whole - left == model.embed.W_E.numel() + model.block(1).attn.W_Q.numel()
    before = {name: it.detach().clone() for name, it in model.named_parameters()}
    tokens = torch.randint(50, (2, 11), generator=torch.Generator().manual_seed(0))
    recipe = Recipe(steps=2, warmup=0)
    list(loop.train(model, lambda step, size: tokens, recipe, loop.optimizer(model, recipe)))
    same = {name for name, it in model.named_parameters() if torch.equal(it, before[name])}
    assert same == {"embed.W_E", "blocks.1.attn.W_Q"}
    for names, sentence in ((["blocks.7"], "no weights are called"), (["blocks"], None)):
        if sentence:
            with pytest.raises(UsageError, match=sentence):
                freeze(model, names)
    with pytest.raises(UsageError, match="nothing is left"):
        freeze(model, ["embed", "pos_embed", "blocks", "ln_final"])


def test_the_loss_of_a_step_is_that_of_the_model_before_it():
    model = fresh(shape("gpt2", **SIZE), 0)
    tokens = torch.randint(50, (2, 11), generator=torch.Generator().manual_seed(0))
    logits = model.eval().run(tokens[:, :-1]).logits.log_softmax(-1)
    expected = -logits.gather(-1, tokens[:, 1:, None]).mean()
    recipe = Recipe(steps=1)
    (step,) = loop.train(model, lambda *_: tokens, recipe, loop.optimizer(model, recipe))
    assert step.loss == pytest.approx(float(expected), abs=1e-5)
    assert not model.training


@pytest.mark.parametrize("language", languages.LANGUAGES)
def test_the_languages_that_ship_have_a_thousand_lines_none_of_them_twice_held_out(language):
    text = languages.text(language)
    assert (len(text.learnt), len(text.held_out)) == (900, 100)
    assert all(line.strip() for line in text.learnt + text.held_out)


def test_an_unknown_language_is_refused():
    with pytest.raises(UsageError, match="swahili"):
        languages.text("swahilli")


def test_a_file_is_a_language_if_two_blocks_of_it_can_be_held_out(tmp_path):
    path = tmp_path / "mine.txt"
    lines = [f"line number {row}" for row in range(230)]
    path.write_text("\n\n".join(lines), encoding="utf-8")
    text = languages.text(str(path))
    assert text.blocks == [lines[90:100], lines[190:200]]
    assert text.learnt == lines[:90] + lines[100:190] + lines[200:]
    path.write_text("\n".join(lines[:150]), encoding="utf-8")
    with pytest.raises(UsageError, match="150 lines; 200 or more"):
        languages.text(str(path))


def test_a_cut_is_counted_by_words_bytes_and_broken_characters():
    tokenizer = bpe.learn(["ab ab cd cd ab"], 258)
    found = languages.fit(tokenizer, ["ƒa ab", "xy"])
    # ƒ is two bytes, each a token of its own; a space and a newline are one each, unless merged.
    tokens = tokenizer("ƒa ab\nxy")["input_ids"]
    assert found.tokens_per_word == len(tokens) / 3
    assert found.tokens_per_byte == len(tokens) / 9
    assert found.broken == 2 / len(tokens)


def test_bits_per_byte_are_those_of_the_losses_of_each_block():
    model = interp.load("tiny-gpt2")
    blocks = [["Mary gave John a book", "and went home"], ["The zoo"]]
    expected = []
    for lines in blocks:
        ids = model.tokenizer("\n".join(lines))["input_ids"]
        tokens = torch.tensor([[bpe.begin(model.tokenizer), *ids]])
        nats = NEXT_TOKEN.losses(model, tokens).sum().item()
        expected.append(nats / math.log(2) / len("\n".join(lines).encode()))
    assert languages.bits_per_byte(model, blocks, 100) == pytest.approx(expected, rel=1e-6)
    assert languages.bits_per_byte(model, blocks, 4) != pytest.approx(expected, rel=1e-3)
