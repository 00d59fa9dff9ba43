"""Packed weights: the same products to rounding, gone afterwards, and nothing to do with gradients."""

import gc
import weakref

import psutil
import pytest
import torch

from interp.transformer.packing import packed

NEEDS_ONEDNN = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(), reason="this PyTorch has no oneDNN"
)
TOKENS = torch.randint(0, 50, (4, 9), generator=torch.Generator().manual_seed(0))


def carrying(model):
    return [name for name, weight in model.named_parameters() if hasattr(weight, "interp_packed")]


def test_packed_weights_give_the_same_logits_to_rounding(lab, family):
    model = lab.model(lab.families[family], torch.float32)
    plain = model.run(TOKENS, keep="all")
    with packed(model):
        fast = model.run(TOKENS, keep="all")
    again = model.run(TOKENS, keep="all")
    assert torch.equal(plain.logits, again.logits)
    for site in plain.cache:
        torch.testing.assert_close(fast.cache[site], plain.cache[site], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(fast.logits, plain.logits, rtol=1e-4, atol=1e-5)


@NEEDS_ONEDNN
def test_copies_exist_inside_and_nowhere_afterwards(lab, family):
    model = lab.model(lab.families[family], torch.float32)
    with packed(model):
        every = carrying(model)
        with packed(model):
            assert carrying(model) == every
        assert carrying(model) == every
        assert "blocks.0.attn.W_Q" in every
    assert carrying(model) == []
    with packed(model, unembedding=False):
        assert not {"embed.W_E", "unembed.W_U"} & {*carrying(model)}

    with pytest.raises(ValueError, match="on purpose"), packed(model):
        raise ValueError("on purpose")
    assert carrying(model) == []


def test_other_types_are_left_alone(lab):
    for dtype in (torch.float64, torch.bfloat16):
        model = lab.model({}, dtype)
        with packed(model):
            assert carrying(model) == []


def test_the_memory_of_the_copies_comes_back(lab):
    model = lab.model({"d_model": 512, "d_mlp": 8192, "n_layers": 3, "d_head": 64}, torch.float32)
    process = psutil.Process()

    def opened():
        with packed(model):
            found = [getattr(weight, "interp_packed", None) for weight in model.parameters()]
            copies = [weakref.ref(each) for each in found if each is not None]
            del found
        gc.collect()
        return copies, process.memory_info().rss

    copies, once = opened()
    assert bool(copies) == torch.backends.mkldnn.is_available()
    assert [copy() for copy in copies if copy() is not None] == []
    # What is free the C library may keep for the next time: it must do for the next ten.
    weights = sum(weight.numel() * 4 for name, weight in model.named_parameters() if "W_" in name)
    assert max(opened()[1] for _ in range(10)) - once < 3 * weights


def test_gradients_are_those_of_the_weights_themselves(lab, family):
    model = lab.model(lab.families[family], torch.float32)

    def gradients():
        model.zero_grad()
        model(TOKENS).log_softmax(-1)[..., 3].sum().backward()
        return {name: weight.grad.clone() for name, weight in model.named_parameters()}

    plain = gradients()
    with packed(model):
        inside = gradients()
    assert plain.keys() == inside.keys()
    assert all(torch.equal(plain[name], inside[name]) for name in plain)
    assert all(gradient.any() for name, gradient in plain.items() if "W_" in name)


def test_weights_changed_between_two_contexts_are_packed_anew(lab):
    model = lab.model({}, torch.float32)
    with packed(model):
        model.run(TOKENS)
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(1.1)
    with packed(model):
        fast = model.run(TOKENS).logits
    torch.testing.assert_close(fast, model.run(TOKENS).logits, rtol=1e-4, atol=1e-5)
