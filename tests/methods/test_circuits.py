"""Factored circuits beside the dense matrices that they stand for."""

import pytest
import torch

from interp import sites
from interp.errors import NotApplicable
from interp.methods import circuits, composition
from interp.transformer import Config, Transformer

SIZES = {
    "n_layers": 3,
    "n_heads": 4,
    "n_kv_heads": 2,
    "d_model": 20,
    "d_head": 6,
    "d_mlp": 28,
    "d_vocab": 37,
    "n_ctx": 13,
}
MODELS = {
    "gpt2": {},
    "llama": {"norm": "rmsnorm", "positions": "rotary", "gated": True, "activation": "silu"},
    "bare": {"norm": "none", "positions": "none", "tied": False},
    "partly rotary": {"positions": "rotary", "rotary_dim": 4, "parallel": True, "tied": False},
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


def dense(factors):
    return factors.left @ factors.right


def through(norm, W):
    """The norm's linear part as a matrix, before W."""
    size = W.shape[-2]
    linear = torch.eye(size, dtype=W.dtype)
    if norm.kind == "layernorm":
        linear = linear - 1 / size
    return linear @ (torch.diag(norm.w) if norm.kind != "none" else linear) @ W


def by_hand(model, layer, offset=0):
    """W_OV and W_QK [head d_model d_model] of a layer, multiplied out."""
    block, group = model.block(layer), model.config.group
    W_V, W_K, W_Q = (getattr(block.attn, f"W_{name}") for name in "VKQ")
    ov = through(block.ln1, W_V.repeat_interleave(group, 0)) @ block.attn.W_O
    q, k = through(block.ln1, W_Q), through(block.ln1, W_K.repeat_interleave(group, 0))
    turn = torch.eye(q.shape[-1], dtype=q.dtype)
    if model.config.positions == "rotary":
        half = model.config.rotary_dim // 2
        for pair in range(half):
            angle = torch.tensor(offset / model.config.rotary_base ** (pair / half))
            turn[pair, pair] = turn[pair + half, pair + half] = angle.cos()
            turn[pair, pair + half], turn[pair + half, pair] = angle.sin(), -angle.sin()
    return ov, q @ turn @ k.mT


def test_circuits_are_their_dense_products(model):
    for layer in range(3):
        for offset in (0, 3):
            ov, qk = by_hand(model, layer, offset)
            torch.testing.assert_close(
                dense(circuits.query_key(model, layer, offset)), qk, rtol=1e-6, atol=1e-6
            )
        torch.testing.assert_close(dense(circuits.output_value(model, layer)), ov)
        norms = circuits.output_value(model, layer).norm
        torch.testing.assert_close(norms, torch.linalg.matrix_norm(ov))


def test_a_qk_circuit_gives_the_models_scores(model):
    """Without biases a score is the bilinear form of the normalized streams, over the head's scale."""
    for block in model.blocks:
        for name, bias in block.named_parameters():
            if name.rpartition(".")[2].startswith("b"):
                bias.data.zero_()
    tokens = torch.tensor([[3, 8, 21, 5, 30, 11]])
    run = model.run(tokens, keep="all")
    normed = run.cache[
        (sites.resid_pre if model.config.norm == "none" else sites.ln1_normalized)(2)
    ][0]
    scores = run.cache[sites.scores(2)][0] * model.block(2).attn.scale
    for query, key in ((5, 5), (5, 2), (3, 0)):
        circuit = dense(circuits.query_key(model, 2, query - key))
        torch.testing.assert_close(
            scores[:, query, key], normed[query] @ circuit @ normed[key], rtol=1e-5, atol=1e-6
        )


def test_ov_circuits_write_what_the_heads_write(model):
    kept = [sites.pattern(1), sites.head_out(1), sites.resid_pre(1)]
    kept += [] if model.config.norm == "none" else [sites.ln1_normalized(1)]
    run = model.run(torch.tensor([[3, 8, 21, 5], [1, 2, 3, 4]]), keep=kept)
    torch.testing.assert_close(circuits.writes(model, run, 1), run.cache[sites.head_out(1)])


@pytest.mark.parametrize("kind", ["Q", "K", "V"])
def test_compositions_are_norms_of_dense_products(model, kind):
    found = composition.compositions(model, kind, offset=2, rotations=1).scores
    for early in range(3):
        for late in range(3):
            if early >= late:
                assert found[early, :, late].isnan().all()
                continue
            ov, (ov_late, qk) = by_hand(model, early)[0], by_hand(model, late, 2)
            later = {"Q": qk, "K": qk.mT, "V": ov_late}[kind]
            for a in range(4):
                for b in range(4):
                    product = torch.linalg.matrix_norm(ov[a] @ later[b])
                    apart = torch.linalg.matrix_norm(ov[a]) * torch.linalg.matrix_norm(later[b])
                    torch.testing.assert_close(
                        found[early, a, late, b].double(), product / apart, rtol=1e-5, atol=1e-6
                    )


def test_a_random_rotation_leaves_one_over_the_root_of_the_width():
    found = composition.compositions(build(MODELS["llama"]), "V", rotations=200).baseline
    assert float(found.square().mean().sqrt()) == pytest.approx(20**-0.5, rel=0.05)


@pytest.mark.parametrize("start", ["W_E", "after the first MLP"])
def test_copying_is_that_of_the_whole_vocabularys_matrix(model, start):
    tokens = circuits.vocabulary(model, start)
    middle = circuits.copying_middle(tokens)
    embedded = model.embed.W_E
    if start != "W_E":
        block = model.block(0)
        embedded = embedded + block.mlp(block.ln2(embedded[None]))[0]
    if model.config.norm == "layernorm":
        embedded = embedded - embedded.mean(-1, keepdim=True)
    if model.config.norm != "none":
        embedded = (
            embedded / (embedded.square().mean(-1, keepdim=True) + model.config.norm_eps).sqrt()
        )
    W_U = through(model.ln_final, model.unembed.matrix)
    W_U = W_U - W_U.mean(-1, keepdim=True)
    for layer in range(3):
        whole = embedded @ by_hand(model, layer)[0] @ W_U
        values = torch.linalg.eigvals(whole)
        wanted = values.real.sum(-1) / values.abs().sum(-1)
        found = circuits.eigenvalue_score(circuits.output_value(model, layer), middle)
        torch.testing.assert_close(found.double(), wanted, rtol=1e-5, atol=1e-5)
        sample = torch.tensor([4, 30, 11, 8, 2])
        some = whole[:, sample][..., sample]
        accuracy = (some.argmax(-1) == torch.arange(5)).double().mean(-1)
        own = circuits.copying_accuracy(circuits.output_value(model, layer), tokens, sample)
        torch.testing.assert_close(own.double(), accuracy)


def test_a_copying_head_scores_one_and_a_shuffled_one_does_not():
    model = build({"norm": "none", "d_vocab": 6, "d_model": 6, "positions": "none", "tied": False})
    model.embed.W_E.data = torch.eye(6).double()
    model.unembed.W_U.data = torch.eye(6).double()
    attn = model.block(0).attn
    attn.W_V.data[0] = torch.eye(6)
    attn.W_O.data[0], attn.W_O.data[1] = torch.eye(6), -torch.eye(6)
    tokens = circuits.vocabulary(model, "W_E")
    score = circuits.eigenvalue_score(
        circuits.output_value(model, 0), circuits.copying_middle(tokens)
    )
    assert float(score[0]) == pytest.approx(1)
    assert float(score[1]) == pytest.approx(-1)
    moved = circuits.copying_middle(tokens, torch.roll(torch.arange(6), 1))
    assert abs(float(circuits.eigenvalue_score(circuits.output_value(model, 0), moved)[0])) < 0.5


def test_q_k_norm_has_no_fixed_form_and_is_refused():
    model = build({"qk_norm": True, "norm": "rmsnorm", "positions": "rotary"})
    for refused in (
        lambda: circuits.query_key(model, 0),
        lambda: composition.compositions(model, "K"),
    ):
        with pytest.raises(NotApplicable, match="no fixed bilinear form"):
            refused()
    assert composition.compositions(model, "V").scores.isfinite().any()
