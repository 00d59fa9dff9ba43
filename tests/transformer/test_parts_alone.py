"""Every part of the model beside one that a student writes: the component checks of Neel Nanda's Clean
Transformer demo, with copied weights and random input, both ways."""

import math

import pytest
import torch
from torch import nn

from interp.transformer import (
    MLP,
    Attention,
    Block,
    Config,
    Embed,
    LayerNorm,
    PosEmbed,
    Transformer,
    Unembed,
)

ACT = {
    "gelu": nn.functional.gelu,
    "gelu_new": lambda x: (
        0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    ),
    "silu": lambda x: x * torch.sigmoid(x),
}


def weight(*shape):
    return nn.Parameter(torch.zeros(shape, dtype=torch.float64))


class StudentsNorm(nn.Module):
    def __init__(self, config, kind=None, size=None):
        super().__init__()
        self.kind, self.eps = kind or config.norm, config.norm_eps
        if self.kind != "none":
            self.w = weight(size or config.d_model)
        if self.kind == "layernorm":
            self.b = weight(size or config.d_model)

    def forward(self, x):
        if self.kind == "none":
            return x
        if self.kind == "rmsnorm":
            return x / ((x * x).mean(-1, keepdim=True) + self.eps).sqrt() * self.w
        variance = x.var(-1, keepdim=True, unbiased=False)
        return (x - x.mean(-1, keepdim=True)) / (variance + self.eps).sqrt() * self.w + self.b


class StudentsEmbed(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.W_E = weight(config.d_vocab, config.d_model)

    def forward(self, tokens):
        return torch.stack([torch.stack([self.W_E[token] for token in row]) for row in tokens])


class StudentsPosEmbed(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.W_pos = weight(config.n_ctx, config.d_model)

    def forward(self, tokens):
        return torch.stack([self.W_pos[: tokens.shape[1]] for _ in tokens])


class StudentsAttention(nn.Module):
    def __init__(self, config, layer):
        super().__init__()
        self.config, self.layer = config, layer
        of_heads, of_kv_heads = config.n_heads, config.n_kv_heads
        self.W_Q = weight(of_heads, config.d_model, config.d_head)
        self.W_K = weight(of_kv_heads, config.d_model, config.d_head)
        self.W_V = weight(of_kv_heads, config.d_model, config.d_head)
        self.W_O = weight(of_heads, config.d_head, config.d_model)
        self.b_Q = weight(of_heads, config.d_head) if config.q_bias else None
        self.b_K = weight(of_kv_heads, config.d_head) if config.kv_bias else None
        self.b_V = weight(of_kv_heads, config.d_head) if config.kv_bias else None
        self.b_O = weight(config.d_model) if config.o_bias else None
        if config.qk_norm:
            self.q_norm = StudentsNorm(config, "rmsnorm", config.d_head)
            self.k_norm = StudentsNorm(config, "rmsnorm", config.d_head)

    def rotated(self, x):
        """Dimension j and its partner as one complex number, times e^(i · angle)."""
        config = self.config
        if config.positions != "rotary":
            return x
        half = config.rotary_dim // 2
        rows = []
        for position in range(x.shape[1]):
            angle = [
                position * config.rotary_base ** (-2 * j / config.rotary_dim) for j in range(half)
            ]
            by = torch.polar(torch.ones(half).double(), torch.tensor(angle, dtype=torch.float64))
            pairs = torch.complex(x[:, position, :half], x[:, position, half : 2 * half]) * by
            rows.append(torch.cat([pairs.real, pairs.imag, x[:, position, 2 * half :]], -1))
        return torch.stack(rows, 1)

    def visible(self, n_pos):
        reach = self.config.windows[self.layer] if self.config.windows else None
        return torch.tensor(
            [
                [
                    (key <= query or not self.config.causal)
                    and (reach is None or abs(query - key) < reach)
                    for key in range(n_pos)
                ]
                for query in range(n_pos)
            ]
        )

    def forward(self, x):
        out = 0 if self.b_O is None else self.b_O
        for head in range(self.config.n_heads):
            shared = head * self.config.n_kv_heads // self.config.n_heads
            q, k, v = x @ self.W_Q[head], x @ self.W_K[shared], x @ self.W_V[shared]
            q = q if self.b_Q is None else q + self.b_Q[head]
            k = k if self.b_K is None else k + self.b_K[shared]
            v = v if self.b_V is None else v + self.b_V[shared]
            if self.config.qk_norm:
                q, k = self.q_norm(q), self.k_norm(k)
            scores = self.rotated(q) @ self.rotated(k).transpose(1, 2) / self.config.d_head**0.5
            scores = scores.masked_fill(~self.visible(x.shape[1]), -torch.inf)
            out = out + scores.softmax(-1) @ v @ self.W_O[head]
        return out


class StudentsMLP(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.act = ACT[config.activation]
        self.W_in, self.W_out = (
            weight(config.d_model, config.d_mlp),
            weight(config.d_mlp, config.d_model),
        )
        self.b_in = weight(config.d_mlp) if config.mlp_bias else None
        self.b_out = weight(config.d_model) if config.mlp_bias else None
        self.W_gate = weight(config.d_model, config.d_mlp) if config.gated else None
        self.b_gate = weight(config.d_mlp) if config.gated and config.mlp_bias else None

    def forward(self, x):
        post = x @ self.W_in + (0 if self.b_in is None else self.b_in)
        if self.W_gate is None:
            post = self.act(post)
        else:
            post = self.act(x @ self.W_gate + (0 if self.b_gate is None else self.b_gate)) * post
        return post @ self.W_out + (0 if self.b_out is None else self.b_out)


class StudentsBlock(nn.Module):
    def __init__(self, config, layer):
        super().__init__()
        self.parallel, self.has_mlp = config.parallel, config.d_mlp > 0
        self.ln1, self.attn = StudentsNorm(config), StudentsAttention(config, layer)
        if self.has_mlp:
            self.ln2, self.mlp = StudentsNorm(config), StudentsMLP(config)

    def forward(self, resid):
        middle = resid + self.attn(self.ln1(resid))
        if not self.has_mlp:
            return middle
        return middle + self.mlp(self.ln2(resid if self.parallel else middle))


class StudentsUnembed(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.W_U = weight(config.d_model, config.d_vocab_out)
        self.b_U = weight(config.d_vocab_out) if config.unembed_bias else None

    def forward(self, x):
        return x @ self.W_U + (0 if self.b_U is None else self.b_U)


def parts(config):
    """The name of each part, the student's class built, ours built alone, and whether it reads tokens."""
    yield "embed", StudentsEmbed(config), Embed(config), True
    if config.positions == "learned":
        yield "pos_embed", StudentsPosEmbed(config), PosEmbed(config), True
    yield "ln_final", StudentsNorm(config), LayerNorm(config), False
    yield "unembed", StudentsUnembed(config), Unembed(config), False
    for layer in range(config.n_layers):
        block = f"blocks.{layer}"
        yield f"{block}.ln1", StudentsNorm(config), LayerNorm(config), False
        yield f"{block}.attn", StudentsAttention(config, layer), Attention(config, layer), False
        yield block, StudentsBlock(config, layer), Block(config, layer), False
        if config.d_mlp:
            yield f"{block}.mlp", StudentsMLP(config), MLP(config, layer), False


def drawn(config, reads_tokens, shape=(3, 7)):
    generator = torch.Generator().manual_seed(4)
    if reads_tokens:
        return torch.randint(0, config.d_vocab, shape, generator=generator)
    return torch.randn(*shape, config.d_model, generator=generator, dtype=torch.float64)


def assert_same(one, other, given):
    got, wanted = one(given), other(given)
    assert isinstance(got, torch.Tensor)
    torch.testing.assert_close(got, wanted, rtol=1e-10, atol=1e-10)


def test_every_part_equals_the_students_with_copied_weights(build, architecture):
    model = build(architecture)
    for name, students, _, reads_tokens in parts(model.config):
        ours = model.get_submodule(name)
        students.load_state_dict(ours.state_dict())
        assert_same(ours, students, drawn(model.config, reads_tokens))


def test_a_part_built_alone_takes_the_students_weights(build, architecture):
    config = build(architecture).config
    for name, students, alone, reads_tokens in parts(config):
        for number, weights in enumerate(students.parameters()):
            torch.nn.init.normal_(weights, generator=torch.Generator().manual_seed(number))
        alone.double().load_state_dict(students.state_dict())
        assert_same(alone, students, drawn(config, reads_tokens))
        alone.eval()
        with torch.no_grad():
            assert_same(alone, students, drawn(config, reads_tokens))
        assert alone.state_dict().keys() == students.state_dict().keys(), name


def test_every_part_of_a_model_takes_the_students_weights(build, architecture):
    model = build(architecture)
    for name, students, _, reads_tokens in parts(model.config):
        for number, weights in enumerate(students.parameters()):
            torch.nn.init.normal_(weights, generator=torch.Generator().manual_seed(number))
        model.get_submodule(name).load_state_dict(students.state_dict())
        assert_same(model.get_submodule(name), students, drawn(model.config, reads_tokens))


def test_the_parts_put_together_are_the_model(build, architecture, tokens):
    model = build(architecture)
    resid = model.embed(tokens)
    if model.config.positions == "learned":
        resid = resid + model.pos_embed(tokens)
    for layer in range(model.config.n_layers):
        resid = model.block(layer)(resid)
    torch.testing.assert_close(model.unembed(model.ln_final(resid)), model(tokens))


def test_a_block_is_its_norms_attention_and_mlp(build):
    block = build({}).block(0)
    resid = drawn(block.config, False)
    middle = resid + block.attn(block.ln1(resid))
    torch.testing.assert_close(block(resid), middle + block.mlp(block.ln2(middle)))


def test_a_tied_unembedding_is_one_weight_in_the_state_dict_of_the_model(build, tokens):
    model, other = build({}), build({}, seed=1)
    weights = model.state_dict()
    assert torch.equal(weights["unembed.W_U"], weights["embed.W_E"].T)
    assert "unembed.W_U" not in dict(model.named_parameters())
    other.load_state_dict(weights)
    assert torch.equal(other(tokens), model(tokens))
    del weights["unembed.W_U"]
    build({}, seed=1).load_state_dict(weights)
    weights["unembed.W_U"] = weights["embed.W_E"].T + 1
    with pytest.raises(RuntimeError, match="must be the tied embedding's W_E transposed"):
        other.load_state_dict(weights)
    with pytest.raises(
        RuntimeError, match=r"unembed.W_U must have shape \[20, 37\], got \[37, 20\]"
    ):
        other.load_state_dict({**weights, "unembed.W_U": weights["embed.W_E"]})


def test_positions_are_those_of_tokens_or_of_a_residual_stream(build, tokens):
    model = build({})
    resid = drawn(model.config, False, tokens.shape)
    assert torch.equal(model.pos_embed(resid), model.pos_embed(tokens))
    later = torch.arange(1, 8).expand(tokens.shape)
    assert torch.equal(model.pos_embed(tokens, later), model.pos_embed.W_pos[later])


def test_parts_of_a_fresh_model_are_callable_on_a_residual_stream():
    model = Transformer(
        Config(n_layers=2, n_heads=3, d_model=12, d_head=4, d_vocab=9, n_ctx=6, d_mlp=5)
    )
    resid = torch.randn(2, 5, 12)
    block = model.block(0)
    for part in (block, block.ln1, block.attn, block.mlp, model.ln_final):
        assert part(resid).shape == resid.shape
        assert part(resid).isfinite().all()
