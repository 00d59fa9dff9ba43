"""The fused kernels that training uses: the same numbers as the einsums, and nowhere else."""

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from interp import sites
from interp.transformer import Config, Transformer
from interp.transformer.hooks import NO_HOOKS, RunHooks

SIZES = {"n_layers": 2, "n_heads": 6, "d_model": 20, "d_head": 8, "d_mlp": 28, "d_vocab": 37}
SHAPES = {
    "plain": {},
    "grouped, rotary": {"n_kv_heads": 3, "positions": "rotary"},
    "windows": {"windows": (3, None)},
    "both ways": {"causal": False},
    "scaled by layer": {"attn_scale": 1.7, "attn_scale_by_layer": True},
    "q/k norm": {"qk_norm": True, "norm": "rmsnorm"},
}


@pytest.fixture(params=SHAPES)
def model(request):
    torch.manual_seed(0)
    model = Transformer(Config.from_dict({**SIZES, "n_ctx": 13, **SHAPES[request.param]})).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.5)
    return model


@pytest.fixture(params=["whole", "padded"])
def batch(request):
    tokens = torch.randint(37, (3, 13), generator=torch.Generator().manual_seed(1))
    real = torch.ones_like(tokens, dtype=torch.bool)
    if request.param == "padded":
        real[1, 9:] = False
        real[2, :4] = False
    return tokens, real


def gradients(model, tokens, real, hooks):
    model.zero_grad()
    logits = model.compute(tokens, real, hooks)
    (logits.log_softmax(-1)[..., 5] * real).sum().backward()
    return logits.detach(), [it.grad.clone() for it in model.parameters()]


def test_logits_and_gradients_are_those_of_the_einsums(model, batch):
    fused, fused_gradients = gradients(model.train(), *batch, NO_HOOKS)
    plain, plain_gradients = gradients(model.eval(), *batch, NO_HOOKS)
    real = batch[1]
    assert plain.std() > 0.3
    assert (fused - plain)[real].abs().max() < 1e-9
    for ours, theirs in zip(fused_gradients, plain_gradients, strict=True):
        assert (ours - theirs).abs().max() <= 1e-9 * max(1, theirs.abs().max())


def test_a_site_that_the_kernel_does_not_write_down_is_still_read(model, batch):
    kept = [sites.pattern(0), sites.scores(1), sites.z(0), sites.ln1_scale(0), sites.ln2_scale(1)]
    hooks = RunHooks(keep=kept)
    model.train().compute(*batch, hooks)
    assert (hooks.kept[sites.pattern(0)].sum(-1) - 1).abs().max() < 1e-9
    assert set(hooks.kept) == set(kept)


def test_nothing_but_training_uses_the_kernel(model, batch, monkeypatch):
    def forbidden(*_, **__):
        raise AssertionError("the fused kernel was called")

    for name in ("scaled_dot_product_attention", "layer_norm", "rms_norm"):
        monkeypatch.setattr(f"torch.nn.functional.{name}", forbidden)
    with torch.no_grad():
        model.train().compute(*batch)
    model.eval().compute(*batch).sum().backward()
    with pytest.raises(AssertionError, match="fused"):
        model.train().compute(*batch)


def test_the_kernel_is_the_fast_one():
    model = Transformer(Config.from_dict({**SIZES, "n_ctx": 13})).train()
    tokens = torch.zeros(2, 13, dtype=torch.long)
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        model.compute(tokens, torch.ones_like(tokens, dtype=torch.bool))
