"""Attention between named positions, and scores by what was written before."""

import pytest
import torch

import interp
from interp import sites, tasks
from interp.components import Head
from interp.errors import UsageError
from interp.methods import attention
from interp.tasks.batches import whole
from interp.transformer import Config, Transformer

SIZES = {
    "n_layers": 3,
    "n_heads": 6,
    "n_kv_heads": 2,
    "d_model": 20,
    "d_head": 8,
    "d_mlp": 28,
    "d_vocab": 37,
    "n_ctx": 13,
}
MODELS = {
    "gpt2": {},
    "neox": {"positions": "rotary", "rotary_dim": 4, "parallel": True},
    "llama": {"norm": "rmsnorm", "positions": "rotary", "gated": True, "q_bias": False},
    "qwen3": {"norm": "rmsnorm", "positions": "rotary", "qk_norm": True},
    "windows": {"windows": (None, 4, 5), "norm": "none"},
}


def build(settings):
    model = Transformer(Config(**{**SIZES, **settings})).double()
    generator = torch.Generator().manual_seed(0)
    for weight in model.parameters():
        weight.requires_grad_(False).copy_(
            0.3 * torch.randn(weight.shape, generator=generator, dtype=torch.float64)
        )
    return model


@pytest.mark.parametrize("name", MODELS)
def test_both_sides_add_up_to_the_score_above_the_mean_of_the_others(name):
    model = build(MODELS[name])
    tokens = torch.randint(37, (3, 9), generator=torch.Generator().manual_seed(1))
    real = torch.arange(9)[None] < torch.tensor([9, 7, 8])[:, None]
    query, key = torch.tensor([8, 6, 7]), torch.tensor([6, 5, 5])
    for layer, head in ((1, 4), (2, 1)):
        run = model.run(tokens, keep=attention.needed(model, layer), attention_mask=real)
        parts = attention.score_parts(model, run, Head(layer, head), query, key)
        assert parts.error <= 1e-10
        for row in range(3):
            scores = run.cache[sites.scores(layer)][row, head, query[row]]
            others = [float(s) for k, s in enumerate(scores) if s.isfinite() and k != key[row]]
            wanted = float(scores[key[row]]) - sum(others) / len(others)
            assert float(parts.contrast[row]) == pytest.approx(wanted, abs=1e-12)


def test_what_an_earlier_head_adds_to_a_score_is_what_its_write_does_to_the_query():
    """With no norm and no biases the score is bilinear: the query's part is one dot product."""
    bare = {"norm": "none", "positions": "none", "q_bias": False, "kv_bias": False, "o_bias": False}
    model = build({**bare, "d_mlp": 0})
    tokens = torch.randint(37, (2, 6), generator=torch.Generator().manual_seed(1))
    query, key = torch.tensor([5, 5]), torch.tensor([2, 3])
    run = model.run(tokens, keep={*attention.needed(model, 1), sites.head_out(0), sites.k(1)})
    parts = attention.score_parts(model, run, Head(1, 5), query, key)
    row = [str(each) for each in parts.components].index("L0H3")
    attn = model.block(1).attn
    for prompt in range(2):
        written = run.cache[sites.head_out(0)][prompt, 5, 3] @ attn.W_Q[5]
        keys = run.cache[sites.k(1)][prompt, :, 5 // 3]
        scores = keys @ written / attn.scale
        others = torch.cat([scores[: key[prompt]], scores[key[prompt] + 1 :]]).mean()
        wanted = float(scores[key[prompt]] - others)
        assert float(parts.query_side[row, prompt]) == pytest.approx(wanted, abs=1e-12)


def test_a_query_that_sees_one_key_is_refused():
    model = build({})
    run = model.run(torch.tensor([[1, 2, 3]]), keep=attention.needed(model, 1))
    with pytest.raises(UsageError, match="sees only one key"):
        attention.score_parts(model, run, Head(1, 0), torch.tensor([0]), torch.tensor([0]))


def test_attention_between_names_is_read_at_their_positions():
    pattern = torch.rand(2, 3, 5, 5)
    pairs, found = attention.between(pattern, {"S": [1, 2], "END": [4, 3]})
    assert pairs == [("S", "S"), ("END", "S"), ("END", "END")]
    assert torch.equal(found[1], torch.stack([pattern[0, :, 4, 1], pattern[1, :, 3, 2]], -1))


def test_attention_from_the_last_token_counts_no_position_twice():
    pattern = torch.zeros(2, 4, 4)
    pattern[0, 3] = torch.tensor([0.1, 0.2, 0.3, 0.4])
    pattern[1, 2] = torch.tensor([0.5, 0.25, 0.25, 0.0])
    places = {"IO": [1, 0], "S": [2, 1], "name": [1, 1], "END": [3, 2]}
    found = attention.from_end(pattern, places, ["IO", "S", "name"])
    assert found.tolist() == pytest.approx([0.5, 0.75])
    assert attention.from_end(pattern, places, ["name"]).tolist() == pytest.approx([0.2, 0.25])


@pytest.mark.parametrize("name", ["tiny-gpt2", "tiny-bidirectional"])
def test_an_even_spread_is_over_all_real_tokens_that_may_be_seen(name):
    model = interp.load(name)
    prompts = whole(tasks.build("ioi", model.tokenizer, n=4), model.device)
    even = attention.even(model, prompts)
    for row, real in enumerate(prompts.real.sum(-1).tolist()):
        for query in range(real):
            seen = query + 1 if model.config.causal else real
            assert even[row, query, :seen].tolist() == pytest.approx([1 / seen] * seen)


def test_patterns_are_those_of_the_heads_in_their_order():
    model = interp.load("tiny-gpt2")
    run = model.run(torch.tensor([[5, 6, 7]]), keep=[sites.pattern(0), sites.pattern(1)])
    found = attention.patterns(run, [Head(1, 0), Head(0, 2)])
    assert found[:, 0].equal(run.cache[sites.pattern(1)][:, 0])
    assert found[:, 1].equal(run.cache[sites.pattern(0)][:, 2])
