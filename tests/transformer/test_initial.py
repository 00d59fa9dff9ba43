"""A model that was given no weights has those of GPT-2's initialisation."""

import math

import pytest
import torch

from interp.training.presets import fresh
from interp.transformer import MLP, Attention, Config, Transformer
from interp.weights.loading import find

SIZES = {
    "n_layers": 8,
    "n_heads": 4,
    "d_model": 64,
    "d_head": 16,
    "d_mlp": 96,
    "d_vocab": 301,
    "n_ctx": 64,
}
LLAMA = {
    "norm": "rmsnorm",
    "positions": "rotary",
    "gated": True,
    "activation": "silu",
    "tied": False,
}
NEOX = {"n_kv_heads": 2, "qk_norm": True, "parallel": True, "unembed_bias": True}


def made(seed=0, **settings):
    torch.manual_seed(seed)
    return Transformer(Config(**{**SIZES, **settings}))


def about(weight, deviation):
    """Mean and deviation as far off as chance has it, six standard errors."""
    error = deviation / math.sqrt(weight.numel())
    return (
        abs(float(weight.detach().mean())) < 6 * error
        and abs(float(weight.detach().std()) - deviation) < 6 * error
    )


@pytest.mark.parametrize("given", [{}, LLAMA, NEOX, {"d_mlp": 0}], ids=str)
def test_a_model_begins_with_the_weights_of_gpt2s_scheme(given):
    model = made(**given)
    writers = 8 if given.get("d_mlp") == 0 else 16
    for name, weight in model.named_parameters():
        leaf = name.rpartition(".")[2]
        if leaf == "w":
            assert (weight == 1).all(), name
        elif leaf.startswith("b"):
            assert (weight == 0).all(), name
        else:
            assert about(weight, 0.02 / math.sqrt(writers if leaf in ("W_O", "W_out") else 1)), name
    tokens = torch.arange(60).reshape(3, 20)
    logits = model(tokens)
    assert logits.isfinite().all()
    assert logits.std() > 0


def test_torchs_seed_decides_the_weights():
    one, same, other = made(), made(), made(seed=1)
    for name, weight in one.named_parameters():
        assert torch.equal(weight, same.get_parameter(name))
        if "W" in name:
            assert not torch.equal(weight, other.get_parameter(name))


def test_a_part_built_alone_has_weights():
    config = Config(**SIZES)
    for part in (Attention(config), MLP(config)):
        for name, weight in part.named_parameters():
            expected = 0.02 / 4 if name in ("W_O", "W_out") else 0.02
            assert (weight == 0).all() if name[0] == "b" else about(weight, expected)


def test_training_begins_with_the_same_scheme_at_the_width_of_the_model():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    model = fresh(Config(**SIZES, **LLAMA), seed=3)
    assert torch.equal(torch.get_rng_state(), before)
    usual = 0.02 * math.sqrt(768 / 64)
    for matrix in (model.embed.W_E, model.unembed.W_U, model.block(2).attn.W_K):
        assert about(matrix, usual)
    for matrix in (model.block(3).attn.W_O, model.block(5).mlp.W_out):
        assert about(matrix, usual / 4)
    assert (model.ln_final.w == 1).all()


def test_loading_draws_nothing(monkeypatch):
    checkpoint = find("tiny-llama")
    drawn = []
    normal = torch.Tensor.normal_
    monkeypatch.setattr(torch.Tensor, "normal_", lambda *a, **k: drawn.append(1) or normal(*a, **k))
    before = torch.get_rng_state()
    checkpoint.build(torch.float32, torch.device("cpu"))
    assert not drawn
    assert torch.equal(torch.get_rng_state(), before)
    made()
    assert drawn
