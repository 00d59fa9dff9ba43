"""The whole forward pass beside a slow one, written from the equations one number at a time."""

import cmath
import math

import numpy as np
import pytest
import torch

from interp import sites

ACTIVATIONS = {
    "gelu": lambda x: 0.5 * x * (1 + math.erf(x / math.sqrt(2))),
    "gelu_new": lambda x: 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "relu": lambda x: max(x, 0.0),
    "silu": lambda x: x / (1 + math.exp(-x)),
}


class Oracle:
    """One prompt through the model: no batches, no tricks."""

    def __init__(self, model):
        self.config = model.config
        self.weights = {
            name: value.detach().numpy().astype(np.float64)
            for name, value in model.named_parameters()
        }
        self.seen = {}

    def weight(self, name):
        return self.weights.get(name, 0.0)

    def note(self, kind, layer, value):
        self.seen[kind, layer] = np.array(value)
        return value

    def logits(self, tokens):
        config = self.config
        stream = [self.weights["embed.W_E"][token] for token in tokens]
        self.note("embed", None, stream)
        if config.positions == "learned":
            places = self.note(
                "pos_embed", None, [self.weights["pos_embed.W_pos"][p] for p in range(len(tokens))]
            )
            stream = [x + place for x, place in zip(stream, places, strict=True)]
        for layer in range(config.n_layers):
            self.note("resid_pre", layer, stream)
            for name in ("attn_in", "q_input", "k_input", "v_input"):
                copies = config.n_heads if name in ("attn_in", "q_input") else config.n_kv_heads
                if name != "attn_in" or config.n_kv_heads == config.n_heads:
                    self.note(name, layer, [[x] * copies for x in stream])
            written = self.attention(layer, self.normed(stream, layer, "ln1"))
            after = [x + y for x, y in zip(stream, written, strict=True)]
            if config.d_mlp:
                if not config.parallel:
                    self.note("resid_mid", layer, after)
                read = stream if config.parallel else after
                self.note("mlp_in", layer, read)
                added = self.mlp(layer, self.normed(read, layer, "ln2"))
                after = [x + y for x, y in zip(after, added, strict=True)]
            stream = self.note("resid_post", layer, after)
        last = self.normed(stream, None, "final")
        unembed = self.weights["embed.W_E"].T if config.tied else self.weights["unembed.W_U"]
        return self.note("logits", None, [x @ unembed + self.weight("unembed.b_U") for x in last])

    def normed(self, stream, layer, which):
        kind = self.config.norm
        if kind == "none":
            return stream
        name = "ln_final" if which == "final" else f"blocks.{layer}.{which}"
        if kind == "layernorm":
            stream = [x - sum(x) / len(x) for x in stream]
        scales = [math.sqrt(sum(x * x) / len(x) + self.config.norm_eps) for x in stream]
        self.note(f"{which}_scale", layer, [[scale] for scale in scales])
        stream = [x / scale for x, scale in zip(stream, scales, strict=True)]
        self.note(f"{which}_normalized", layer, stream)
        return [x * self.weights[f"{name}.w"] + self.weight(f"{name}.b") for x in stream]

    def read(self, stream, layer, letter):
        """[pos][head] -> what this head's matrix reads."""
        matrix = self.weights[f"blocks.{layer}.attn.W_{letter}"]
        bias = self.weights.get(f"blocks.{layer}.attn.b_{letter}", [0.0] * len(matrix))
        return [[x @ W + b for W, b in zip(matrix, bias, strict=True)] for x in stream]

    def placed(self, heads, layer, letter):
        """Queries or keys after their own norm and rotation."""
        if self.config.qk_norm:
            w = self.weights[f"blocks.{layer}.attn.{letter}_norm.w"]
            scales = [
                [math.sqrt(sum(x * x) / len(x) + self.config.norm_eps) for x in row]
                for row in heads
            ]
            self.note(f"{letter}_scale", layer, [[[scale] for scale in row] for row in scales])
            heads = [
                [x / scale * w for x, scale in zip(row, scale_row, strict=True)]
                for row, scale_row in zip(heads, scales, strict=True)
            ]
        if self.config.positions != "rotary":
            return heads
        turned = [[self.turned(x, place) for x in row] for place, row in enumerate(heads)]
        return self.note(f"rot_{letter}", layer, turned)

    def turned(self, x, place):
        """Dimensions i and i + half are one complex number, which turns."""
        half = self.config.rotary_dim // 2
        out = x.copy()
        for i in range(half):
            number = complex(x[i], x[i + half]) * cmath.exp(1j * place * self.frequency(i))
            out[i], out[i + half] = number.real, number.imag
        return out

    def frequency(self, i):
        plain = self.config.rotary_base ** (-2 * i / self.config.rotary_dim)
        scaling = self.config.rotary_scaling
        if scaling is None:
            return plain
        if scaling.kind == "linear":
            return plain / scaling.factor
        wavelength = 2 * math.pi / plain
        longest = scaling.original_n_ctx / scaling.low_freq_factor
        shortest = scaling.original_n_ctx / scaling.high_freq_factor
        if wavelength > longest:
            return plain / scaling.factor
        if wavelength < shortest:
            return plain
        smooth = (scaling.original_n_ctx / wavelength - scaling.low_freq_factor) / (
            scaling.high_freq_factor - scaling.low_freq_factor
        )
        return (1 - smooth) * plain / scaling.factor + smooth * plain

    def attention(self, layer, stream):
        config = self.config
        q, k, v = (self.read(stream, layer, letter) for letter in "QKV")
        for letter, value in (("q", q), ("k", k), ("v", v)):
            self.note(letter, layer, value)
        q, k = self.placed(q, layer, "q"), self.placed(k, layer, "k")
        n_pos, window = len(stream), (config.windows or [None] * config.n_layers)[layer]
        divisor = config.attn_scale * (layer + 1 if config.attn_scale_by_layer else 1)
        scores = np.full((config.n_heads, n_pos, n_pos), -math.inf)
        pattern = np.zeros_like(scores)
        z = np.zeros((n_pos, config.n_heads, config.d_head))
        for head in range(config.n_heads):
            shared = head // (config.n_heads // config.n_kv_heads)
            for query in range(n_pos):
                seen = [
                    key
                    for key in range(n_pos)
                    if (key <= query or not config.causal)
                    and (window is None or abs(query - key) < window)
                ]
                for key in seen:
                    scores[head, query, key] = sum(q[query][head] * k[key][shared]) / divisor
                total = sum(math.exp(scores[head, query, key]) for key in seen)
                for key in seen:
                    pattern[head, query, key] = math.exp(scores[head, query, key]) / total
                    z[query, head] += pattern[head, query, key] * v[key][shared]
        self.note("scores", layer, scores)
        self.note("pattern", layer, pattern)
        self.note("z", layer, z)
        W_O = self.weights[f"blocks.{layer}.attn.W_O"]
        head_out = [[z[p, h] @ W_O[h] for h in range(config.n_heads)] for p in range(n_pos)]
        self.note("head_out", layer, head_out)
        bias = self.weight(f"blocks.{layer}.attn.b_O")
        return self.note("attn_out", layer, [sum(heads) + bias for heads in head_out])

    def mlp(self, layer, stream):
        name = f"blocks.{layer}.mlp"
        act = np.vectorize(ACTIVATIONS[self.config.activation])
        pre = [x @ self.weights[f"{name}.W_in"] + self.weight(f"{name}.b_in") for x in stream]
        if self.config.gated:
            self.note("mlp_pre_linear", layer, pre)
            gate_in = [
                x @ self.weights[f"{name}.W_gate"] + self.weight(f"{name}.b_gate") for x in stream
            ]
            self.note("mlp_pre", layer, gate_in)
            gate = self.note("gate", layer, [act(x) for x in gate_in])
            post = [x * y for x, y in zip(gate, pre, strict=True)]
        else:
            self.note("mlp_pre", layer, pre)
            post = [act(x) for x in pre]
        self.note("mlp_post", layer, post)
        out = [x @ self.weights[f"{name}.W_out"] + self.weight(f"{name}.b_out") for x in post]
        return self.note("mlp_out", layer, out)


def test_logits_and_every_site_equal_the_slow_oracle(build, settings, tokens):
    model = build(settings)
    tokens = tokens[:2]
    run = model.run(tokens, keep=lambda site: True)
    for example, prompt in enumerate(tokens.tolist()):
        oracle = Oracle(model)
        logits = oracle.logits(prompt)
        np.testing.assert_allclose(run.logits[example].numpy(), logits, rtol=1e-10, atol=1e-10)
        assert set(oracle.seen) == {(site.kind, site.layer) for site in run.cache}
        for site, activation in run.cache.items():
            np.testing.assert_allclose(
                activation[example].numpy(),
                oracle.seen[site.kind, site.layer],
                rtol=1e-10,
                atol=1e-10,
                err_msg=site.name,
            )


def test_calling_the_model_equals_running_it(build, architecture, tokens):
    model = build(architecture)
    assert torch.equal(model(tokens), model.run(tokens).logits)
    mask = torch.ones_like(tokens)
    mask[1, 4:] = 0
    assert torch.equal(model(tokens, mask), model.run(tokens, attention_mask=mask).logits)


def test_a_prompt_as_long_as_the_context_runs(build, architecture):
    model = build(architecture)
    tokens = torch.arange(13)[None]
    np.testing.assert_allclose(
        model.run(tokens).logits[0].numpy(),
        Oracle(model).logits(tokens[0].tolist()),
        rtol=1e-10,
        atol=1e-10,
    )


def test_logits_at_are_the_logits_of_those_positions(build, architecture, tokens):
    model = build(architecture)
    whole = model.run(tokens).logits
    rows = torch.arange(5)
    per_example = torch.tensor([0, 3, 6, 2, 5])
    two_each = torch.tensor([[0, 1], [2, 6], [3, 3], [5, 4], [6, 0]])

    def at(where):
        return model.run(tokens, logits_at=where).logits

    for got, wanted in (
        (at(2), whole[:, [2]]),
        (at(-1), whole[:, [6]]),
        (at([1, -2, 4]), whole[:, [1, 5, 4]]),
        (at(per_example), whole[rows, per_example][:, None]),
        (at(two_each), whole[rows[:, None], two_each]),
    ):
        torch.testing.assert_close(got, wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("layer", [0, 1])
def test_the_sites_around_a_layer_are_its_inputs_and_outputs(build, architecture, tokens, layer):
    model = build(architecture)
    cache = model.run(tokens, keep="all").cache
    parts = cache[sites.resid_pre(layer)] + cache[sites.attn_out(layer)]
    if model.config.d_mlp:
        parts = parts + cache[sites.mlp_out(layer)]
    torch.testing.assert_close(parts, cache[sites.resid_post(layer)], rtol=1e-12, atol=1e-12)
