"""Every fast product is its einsum, however the weights lie in memory."""

import pytest
import torch
from einops import rearrange
from fancy_einsum import einsum

from interp.transformer.layout import flat_in_place
from interp.transformer.project import project, read_heads, write_heads

BATCH, POS, HEAD, D_MODEL, D_HEAD, D_MLP = 5, 7, 6, 20, 8, 28


def drawn(*shape):
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def layouts(weight):
    """The same numbers, contiguous, transposed in memory, and as a slice of a larger tensor."""
    backwards = tuple(reversed(range(weight.ndim)))
    wide = torch.zeros(*weight.shape[:-1], 2 * weight.shape[-1], dtype=weight.dtype)
    wide[..., ::2] = weight
    found = {
        "contiguous": weight.clone(),
        "transposed": weight.permute(backwards).contiguous().permute(backwards),
        "slice": wide[..., ::2],
    }
    if weight.ndim == 3:
        found["rows of heads"] = weight.transpose(-1, -2).contiguous().transpose(-1, -2)
    return found


LAYOUTS = ["contiguous", "transposed", "slice", "rows of heads"]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("biased", [True, False])
def test_read_heads_is_its_einsum(layout, biased):
    x, W = drawn(BATCH, POS, D_MODEL), drawn(HEAD, D_MODEL, D_HEAD)
    b = drawn(HEAD, D_HEAD) if biased else None
    wanted = einsum("batch pos d_model, head d_model d_head -> batch pos head d_head", x, W)
    wanted = wanted if b is None else wanted + b
    torch.testing.assert_close(read_heads(x, layouts(W)[layout], b), wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("biased", [True, False])
def test_write_heads_is_its_einsum(layout, biased):
    z, W = drawn(BATCH, POS, HEAD, D_HEAD), drawn(HEAD, D_HEAD, D_MODEL)
    b = drawn(D_MODEL) if biased else None
    wanted = einsum("batch pos head d_head, head d_head d_model -> batch pos d_model", z, W)
    wanted = wanted if b is None else wanted + b
    for laid_out in layouts(z).values():
        torch.testing.assert_close(
            write_heads(laid_out, layouts(W)[layout], b), wanted, rtol=1e-12, atol=1e-12
        )


@pytest.mark.parametrize("layout", LAYOUTS[:3])
@pytest.mark.parametrize("biased", [True, False])
def test_project_is_its_einsum(layout, biased):
    x, W = drawn(BATCH, POS, D_MODEL), drawn(D_MODEL, D_MLP)
    b = drawn(D_MLP) if biased else None
    wanted = einsum("batch pos d_model, d_model d_mlp -> batch pos d_mlp", x, W)
    wanted = wanted if b is None else wanted + b
    torch.testing.assert_close(project(x, layouts(W)[layout], b), wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("leaf", ["W_Q", "W_K", "W_V", "W_O"])
def test_a_weight_laid_out_anew_is_the_same_weight(leaf, layout):
    weight = layouts(drawn(HEAD, D_MODEL, D_HEAD))[layout]
    assert torch.equal(flat_in_place(f"blocks.0.attn.{leaf}", weight), weight)


def test_the_flat_view_of_an_assigned_weight_is_no_copy(build):
    attn = build({}).block(1).attn
    for W in (attn.W_Q, attn.W_K, attn.W_V):
        flat = rearrange(W, "head d_model d_head -> (head d_head) d_model")
        assert flat.data_ptr() == W.data_ptr()
    flat = rearrange(attn.W_O, "head d_head d_model -> (head d_head) d_model")
    assert flat.data_ptr() == attn.W_O.data_ptr()


def test_weights_that_already_lie_flat_are_not_copied():
    reading = rearrange(
        drawn(HEAD * D_HEAD, D_MODEL), "(head d_head) d_model -> head d_model d_head", head=HEAD
    )
    writing = rearrange(
        drawn(D_MODEL, HEAD * D_HEAD).T, "(head d_head) d_model -> head d_head d_model", head=HEAD
    )
    assert flat_in_place("blocks.0.attn.W_Q", reading).data_ptr() == reading.data_ptr()
    assert flat_in_place("blocks.0.attn.W_O", writing).data_ptr() == writing.data_ptr()


@pytest.mark.parametrize("layout", ["contiguous", "transposed", "slice"])
def test_a_model_computes_the_same_however_its_weights_lie(build, architecture, tokens, layout):
    model, again = build(architecture), build(architecture)
    again.assign(
        {
            name: layouts(weight.detach())[layout] if weight.ndim > 1 else weight.detach()
            for name, weight in model.named_parameters()
        }
    )
    torch.testing.assert_close(
        again.run(tokens).logits, model.run(tokens).logits, rtol=1e-11, atol=1e-11
    )
