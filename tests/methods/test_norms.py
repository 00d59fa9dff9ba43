"""Norms as linear maps, and models with their norms' weights folded away."""

import pytest
import torch

from interp.errors import UsageError
from interp.methods.norms import centred, folded, mean_share, through
from interp.transformer import Config, Transformer
from interp.transformer.norm import Norm

SIZES = {
    "n_layers": 2,
    "n_heads": 6,
    "n_kv_heads": 3,
    "d_model": 20,
    "d_head": 8,
    "d_mlp": 28,
    "d_vocab": 37,
    "n_ctx": 13,
}
MODELS = {
    "gpt2": {},
    "unbiased": {"q_bias": False, "kv_bias": False, "o_bias": False, "mlp_bias": False},
    "neox": {"positions": "rotary", "rotary_dim": 4, "parallel": True, "tied": False},
    "llama": {
        "norm": "rmsnorm",
        "positions": "rotary",
        "gated": True,
        "activation": "silu",
        "q_bias": False,
        "kv_bias": False,
        "o_bias": False,
        "mlp_bias": False,
    },
    "qwen3": {"norm": "rmsnorm", "positions": "rotary", "qk_norm": True},
    "gated": {"gated": True, "unembed_bias": True},
    "attention only": {"d_mlp": 0},
}


def build(settings):
    model = Transformer(Config(**{**SIZES, **settings})).double()
    generator = torch.Generator().manual_seed(0)
    for weight in model.parameters():
        weight.requires_grad_(False).copy_(
            0.4 * torch.randn(weight.shape, generator=generator, dtype=torch.float64)
        )
    return model


@pytest.fixture(params=MODELS)
def model(request):
    return build(MODELS[request.param])


@pytest.fixture(scope="module")
def tokens():
    return torch.randint(37, (3, 9), generator=torch.Generator().manual_seed(2))


def test_folding_changes_no_logit_and_leaves_norms_bare(model, tokens):
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    other = folded(model)
    assert not other.config.tied
    torch.testing.assert_close(
        other.run(tokens).logits, model.run(tokens).logits, rtol=1e-10, atol=1e-10
    )
    for name, weight in other.named_parameters():
        if "ln" in name:
            assert torch.equal(weight, torch.full_like(weight, float(name.endswith("w")))), name
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, before[name]), name


def test_centring_what_is_written_changes_nothing_under_layernorm_and_is_refused_elsewhere(
    model, tokens
):
    if model.config.norm != "layernorm":
        with pytest.raises(UsageError, match="only LayerNorm subtracts"):
            centred(model)
        return
    other = centred(model)
    torch.testing.assert_close(
        other.run(tokens).logits, model.run(tokens).logits, rtol=1e-9, atol=1e-9
    )
    stream = other.run(tokens, keep=["blocks.1.hook_resid_post"]).cache["blocks.1.hook_resid_post"]
    assert float(stream.mean(-1).abs().max()) < 1e-12


def test_a_model_without_norms_has_nothing_to_fold():
    with pytest.raises(UsageError, match="no norms"):
        folded(build({"norm": "none"}))


@pytest.mark.parametrize("kind", ["layernorm", "rmsnorm", "none"])
def test_a_norm_with_its_scale_held_is_a_direction_and_a_constant(kind):
    generator = torch.Generator().manual_seed(3)
    norm = Norm(kind, 12, 1e-5).double()
    for weight in norm.parameters():
        weight.requires_grad_(False).copy_(
            torch.randn(12, generator=generator, dtype=torch.float64)
        )
    x, direction = torch.randn(2, 4, 5, 12, generator=generator, dtype=torch.float64)
    middle = x - x.mean(-1, keepdim=True) if kind == "layernorm" else x
    scale = (middle.square().mean(-1, keepdim=True) + 1e-5).sqrt()
    onto, constant = through(norm, direction, scale)
    wanted = (norm(x) * direction).sum(-1)
    torch.testing.assert_close((x * onto).sum(-1) + constant, wanted)


def test_the_share_of_the_mean_is_what_centring_removes():
    x = torch.tensor([[[1.0, 1.0, 1.0], [1.0, -1.0, 0.0], [2.0, 0.0, 1.0]]]).double()
    removed = 1 - (x - x.mean(-1, keepdim=True)).square().sum(-1) / x.square().sum(-1)
    torch.testing.assert_close(mean_share(x), removed)
