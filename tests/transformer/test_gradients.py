"""Gradients with grad=True are those of finite differences; without it there are none."""

import pytest
import torch

from interp import edits, sites
from interp.errors import UsageError
from interp.transformer.inputs import INPUTS

STEP = 1e-6


def read(logits):
    """One number of a run that every activation matters to."""
    weights = torch.linspace(-1, 1, logits[:, -1].numel(), dtype=logits.dtype)
    return (logits[:, -1].flatten() * weights).sum()


def direction(like):
    generator = torch.Generator().manual_seed(like.numel())
    return torch.randn(like.shape, generator=generator, dtype=like.dtype)


@pytest.mark.parametrize("family", ["gpt2", "neox", "qwen3", "attention_only"])
def test_gradients_at_every_site_equal_finite_differences(build, architectures, tokens, family):
    model, tokens = build(architectures[family]), tokens[:3, :5]
    found = []
    for kinds in (INPUTS, tuple(set(sites.KINDS) - set(INPUTS))):
        run = model.run(tokens, keep=lambda site, kinds=kinds: site.kind in kinds, grad=True)
        gradients = torch.autograd.grad(read(run.logits), list(run.cache.values()))
        found += list(zip(run.cache.items(), gradients, strict=True))
    assert len(found) == len(model.sites)
    for (site, activation), gradient in found:
        along = direction(activation)
        moved = [
            read(model.run(tokens, [edits.add(site, along, scale=step)]).logits)
            for step in (STEP, -STEP)
        ]
        measured = (moved[0] - moved[1]) / (2 * STEP)
        torch.testing.assert_close(
            (gradient * along).sum(),
            measured,
            rtol=1e-5,
            atol=1e-6,
            msg=lambda text, site=site: f"{site.name}: {text}",
        )


@pytest.mark.parametrize("family", ["neox", "qwen3", "encoder"])
def test_gradients_of_every_weight_equal_finite_differences(build, architectures, tokens, family):
    model, tokens = build(architectures[family]), tokens[:3, :5]
    read(model.run(tokens, grad=True).logits).backward()
    for name, weight in model.named_parameters():
        along = direction(weight)
        moved = []
        for step in (STEP, -STEP):
            with torch.no_grad():
                weight += step * along
                moved.append(read(model.run(tokens).logits))
                weight -= step * along
        torch.testing.assert_close(
            (weight.grad * along).sum(),
            (moved[0] - moved[1]) / (2 * STEP),
            rtol=1e-5,
            atol=1e-6,
            msg=lambda text, name=name: f"{name}: {text}",
        )


def test_keeping_with_gradients_changes_no_gradient(build, architecture, tokens):
    model = build(architecture)
    weights = list(model.parameters())
    plain = torch.autograd.grad(read(model.run(tokens, grad=True).logits), weights)
    for keep in (
        lambda site: site.kind in INPUTS,
        lambda site: site.kind not in INPUTS,
    ):
        run = model.run(tokens, keep=keep, grad=True)
        kept = torch.autograd.grad(read(run.logits), weights)
        for one, other in zip(plain, kept, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


def test_inputs_of_heads_and_the_inside_of_their_norm_have_gradients_in_two_runs(build, tokens):
    model = build({})
    with pytest.raises(UsageError, match="both were asked for in layer 1"):
        model.run(tokens, keep=[sites.q_input(1), sites.ln1_scale(1)], grad=True)
    assert len(model.run(tokens, keep=[sites.q_input(1), sites.ln1_scale(1)]).cache) == 2


def test_gradients_reach_the_value_of_an_edit(build, tokens):
    model, site = build({}), sites.resid_pre(1)
    vector = torch.zeros(20, dtype=torch.float64, requires_grad=True)
    run = model.run(tokens, [edits.add(site, vector, positions=2)], keep=[site], grad=True)
    (by_vector, by_stream) = torch.autograd.grad(read(run.logits), [vector, run.cache[site]])
    torch.testing.assert_close(by_vector, by_stream[:, 2].sum(0), rtol=1e-10, atol=1e-10)


def test_without_grad_nothing_is_attached_to_a_graph(build, tokens):
    model = build({})
    run = model.run(tokens, [edits.zero(sites.z(0), heads=1)], keep=lambda site: True)
    assert not run.logits.requires_grad
    assert not any(activation.requires_grad for activation in run.cache.values())
    with torch.no_grad():
        attached = model.run(tokens, keep=[sites.z(0)], grad=True)
    assert attached.logits.requires_grad
    assert attached.cache[sites.z(0)].requires_grad
    assert model(tokens).requires_grad


@pytest.mark.parametrize("tied", [True, False])
def test_a_model_trains(build, tokens, tied):
    model = build({"tied": tied, "norm": "rmsnorm", "positions": "rotary", "gated": True})
    names = dict(model.named_parameters())
    assert ("unembed.W_U" in names) != tied
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    losses = []
    for _ in range(10):
        optimizer.zero_grad()
        logits = model(tokens)[:, :-1]
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
        loss.backward()
        assert all(weight.grad is not None for weight in names.values())
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2
    assert model.dtype == torch.float64


def test_a_tied_embedding_gets_the_gradients_of_both_its_uses(build, tokens):
    tied, free = build({"tied": True}), build({"tied": False})
    weights = {name: weight.detach().clone() for name, weight in tied.named_parameters()}
    free.assign({**weights, "unembed.W_U": weights["embed.W_E"].T.clone()})
    for model in (tied, free):
        read(model(tokens)).backward()
    torch.testing.assert_close(
        tied.embed.W_E.grad,
        free.embed.W_E.grad + free.unembed.W_U.grad.T,
        rtol=1e-10,
        atol=1e-10,
    )
