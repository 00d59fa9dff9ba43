"""Checkpoints of the HookedTransformer class that TransformerLens no longer has.

What they computed is written out below from TransformerLens's equations, one example and one head
at a time, sharing nothing with the transformer that runs them.
"""

import json
import math

import pytest
import torch
from safetensors.torch import save_file

import interp
from interp.errors import UnavailableError

# A config as `HookedTransformerConfig.to_dict` gives it, all of it; the cases change some of it.
BASE = {
    "n_layers": 3, "d_model": 20, "n_ctx": 17, "d_head": 6, "model_name": "custom", "n_heads": 4,
    "d_mlp": 28, "act_fn": "gelu_new", "d_vocab": 31, "eps": 1e-4, "use_attn_result": False,
    "use_attn_scale": True, "attn_scale": 6**0.5, "use_split_qkv_input": False,
    "use_hook_mlp_in": False, "use_attn_in": False, "use_local_attn": False,
    "original_architecture": None, "from_checkpoint": False, "checkpoint_index": None,
    "checkpoint_label_type": None, "checkpoint_value": None, "tokenizer_name": None,
    "window_size": None, "attn_types": None, "init_mode": "gpt2", "normalization_type": "LN",
    "device": "cpu", "n_devices": 1, "attention_dir": "causal", "attn_only": False, "seed": 5,
    "initializer_range": 0.18, "init_weights": True, "scale_attn_by_inverse_layer_idx": False,
    "positional_embedding_type": "standard", "final_rms": False, "d_vocab_out": 23,
    "parallel_attn_mlp": False, "rotary_dim": None, "n_params": 1234, "use_hook_tokens": False,
    "gated_mlp": False, "default_prepend_bos": True, "dtype": "torch.float32",
    "tokenizer_prepends_bos": None, "n_key_value_heads": None, "post_embedding_ln": False,
    "rotary_base": 10000, "trust_remote_code": False, "rotary_adjacent_pairs": False,
    "load_in_4bit": False, "num_experts": None, "experts_per_token": None,
    "relative_attention_max_distance": None, "relative_attention_num_buckets": None,
    "decoder_start_token_id": None, "tie_word_embeddings": False,
    "use_normalization_before_and_after": False, "attn_scores_soft_cap": -1.0,
    "output_logits_soft_cap": -1.0, "use_NTK_by_parts_rope": False,
    "NTK_by_parts_low_freq_factor": 1.0, "NTK_by_parts_high_freq_factor": 4.0,
    "NTK_by_parts_factor": 8.0, "ungroup_grouped_query_attention": False,
}  # fmt: skip

ROTARY = {"positional_embedding_type": "rotary", "rotary_dim": 4, "rotary_base": 300}
CASES = {
    "plain": {},
    "old-and-short": dict.fromkeys(("attn_scale", "n_key_value_heads", "rotary_base")),
    "attention-only": {"attn_only": True, "d_mlp": None, "act_fn": None},
    "attention-only-without-norm": {
        "attn_only": True, "d_mlp": None, "act_fn": None, "normalization_type": None,
        "n_layers": 2,
    },
    "relu-without-norm": {"act_fn": "relu", "normalization_type": None},
    "folded": {"normalization_type": "LNPre", "act_fn": "gelu"},
    "bidirectional": {"attention_dir": "bidirectional", "act_fn": "relu"},
    "rms-gated-rotary": ROTARY
    | {"normalization_type": "RMS", "gated_mlp": True, "act_fn": "silu", "n_key_value_heads": 2},
    "rms-folded-grouped": ROTARY
    | {"normalization_type": "RMSPre", "n_key_value_heads": 2, "final_rms": True},
    "rotary-by-parts": ROTARY
    | {"use_NTK_by_parts_rope": True, "NTK_original_ctx_len": 12, "NTK_by_parts_factor": 4.0},
    "parallel": ROTARY | {"parallel_attn_mlp": True, "act_fn": "gelu"},
    "unscaled": {"use_attn_scale": False},
    "other-scale": {"attn_scale": 5.0},
    "scaled-by-layer": {"scale_attn_by_inverse_layer_idx": True},
    "local": {"use_local_attn": True, "window_size": 3, "attn_types": ["global", "local", "local"]},
    "tied": {"tie_word_embeddings": True, "d_vocab_out": 31},
    "qk-norm": ROTARY | {"use_qk_norm": True, "normalization_type": "RMS"},
}  # fmt: skip


def shapes(config):
    """Every parameter of a HookedTransformer of this config."""
    d_model, d_head, n_heads = (config[name] for name in ("d_model", "d_head", "n_heads"))
    norm, n_kv_heads = config["normalization_type"], config.get("n_key_value_heads")
    found = {"embed.W_E": (config["d_vocab"], d_model)}
    if config["positional_embedding_type"] == "standard":
        found["pos_embed.W_pos"] = (config["n_ctx"], d_model)
    norms = ["ln_final"]
    for layer in range(config["n_layers"]):
        block = f"blocks.{layer}."
        grouped, n_keys = ("_", n_kv_heads) if n_kv_heads else ("", n_heads)
        for letter, under, n in (
            ("Q", "", n_heads),
            ("K", grouped, n_keys),
            ("V", grouped, n_keys),
        ):
            found[f"{block}attn.{under}W_{letter}"] = (n, d_model, d_head)
            found[f"{block}attn.{under}b_{letter}"] = (n, d_head)
        found[f"{block}attn.W_O"], found[f"{block}attn.b_O"] = (
            (n_heads, d_head, d_model),
            (d_model,),
        )
        if config.get("use_qk_norm"):
            found[f"{block}attn.q_norm.w"] = found[f"{block}attn.k_norm.w"] = (d_head,)
        norms += [f"{block}ln1"] if config["attn_only"] else [f"{block}ln1", f"{block}ln2"]
        if not config["attn_only"]:
            d_mlp = config["d_mlp"]
            found |= {f"{block}mlp.W_in": (d_model, d_mlp), f"{block}mlp.W_out": (d_mlp, d_model)}
            found |= {f"{block}mlp.b_in": (d_mlp,), f"{block}mlp.b_out": (d_model,)}
            if config["gated_mlp"]:
                found[f"{block}mlp.W_gate"] = (d_model, d_mlp)
    for name in norms if norm in ("LN", "RMS") else ():
        found[f"{name}.w"] = (d_model,)
        if norm == "LN":
            found[f"{name}.b"] = (d_model,)
    found["unembed.b_U"] = (config["d_vocab_out"],)
    if not config["tie_word_embeddings"]:
        found["unembed.W_U"] = (d_model, config["d_vocab_out"])
    return found


def draw(config):
    """Random weights, and the buffers that a state dict has beside them."""
    generator = torch.Generator().manual_seed(11)
    state = {}
    for name, shape in shapes(config).items():
        values = torch.randn(shape, generator=generator, dtype=torch.float64)
        state[name] = 1 + 0.3 * values if name.endswith(".w") else 0.4 * values
        if config["gated_mlp"] and name.endswith("mlp.b_in"):
            state[name] = torch.zeros_like(values)
    for layer in range(config["n_layers"]):
        state[f"blocks.{layer}.attn.mask"] = torch.ones(17, 17, dtype=torch.bool).tril()
        state[f"blocks.{layer}.attn.IGNORE"] = torch.tensor(-math.inf)
        if config["positional_embedding_type"] == "rotary":
            state[f"blocks.{layer}.attn.rotary_sin"] = torch.zeros(17, 4)
            state[f"blocks.{layer}.attn.rotary_cos"] = torch.ones(17, 4)
    return state


def oracle(config, state, tokens):
    """Logits [pos d_vocab_out] of one prompt."""
    resid = torch.stack([state["embed.W_E"][token] for token in tokens])
    if config["positional_embedding_type"] == "standard":
        resid = resid + state["pos_embed.W_pos"][: len(tokens)]
    for layer in range(config["n_layers"]):
        block = f"blocks.{layer}."
        attn_out = attention(config, state, block, layer, norm(config, state, f"{block}ln1", resid))
        if config["attn_only"]:
            resid = resid + attn_out
        elif config["parallel_attn_mlp"]:
            resid = (
                resid
                + attn_out
                + mlp(config, state, block, norm(config, state, f"{block}ln2", resid))
            )
        else:
            resid = resid + attn_out
            resid = resid + mlp(config, state, block, norm(config, state, f"{block}ln2", resid))
    last = norm(config, state, "ln_final", resid)
    W_U = state["unembed.W_U"] if "unembed.W_U" in state else state["embed.W_E"].T
    return last @ W_U + state["unembed.b_U"]


def norm(config, state, name, x):
    kind = config["normalization_type"]
    if kind is None:
        return x
    if kind.startswith("LN"):
        x = x - x.mean(-1, keepdim=True)
    x = x / ((x**2).mean(-1, keepdim=True) + config["eps"]).sqrt()
    if kind == "LN":
        return x * state[f"{name}.w"] + state[f"{name}.b"]
    return x * state[f"{name}.w"] if kind == "RMS" else x


def attention(config, state, block, layer, x):
    grouped = "_" if f"{block}attn._W_K" in state else ""
    out = state[f"{block}attn.b_O"].expand_as(x).clone()
    scale = (config.get("attn_scale") or 6**0.5) if config["use_attn_scale"] else 1.0
    if config["scale_attn_by_inverse_layer_idx"]:
        scale *= layer + 1
    for head in range(config["n_heads"]):
        key_head = head
        if grouped:
            key_head = head // (config["n_heads"] // config["n_key_value_heads"])
        q = x @ state[f"{block}attn.W_Q"][head] + state[f"{block}attn.b_Q"][head]
        k, v = (
            x @ state[f"{block}attn.{grouped}W_{letter}"][key_head]
            + state[f"{block}attn.{grouped}b_{letter}"][key_head]
            for letter in "KV"
        )
        if config.get("use_qk_norm"):
            q, k = (
                it / ((it**2).mean(-1, keepdim=True) + config["eps"]).sqrt()
                * state[f"{block}attn.{letter}_norm.w"]
                for it, letter in ((q, "q"), (k, "k"))
            )  # fmt: skip
        if config["positional_embedding_type"] == "rotary":
            q, k = (
                torch.stack([turn(config, it[pos], pos) for pos in range(len(x))]) for it in (q, k)
            )
        for query in range(len(x)):
            seen = [
                key
                for key in range(len(x))
                if config["attention_dir"] == "bidirectional"
                or (key <= query and query - key < reach(config, layer))
            ]
            pattern = torch.stack([q[query] @ k[key] / scale for key in seen]).softmax(0)
            out[query] += (pattern @ v[seen]) @ state[f"{block}attn.W_O"][head]
    return out


def reach(config, layer):
    local = config["use_local_attn"] and config["attn_types"][layer] == "local"
    return config["window_size"] if local else math.inf


def turn(config, vector, pos):
    """One vector of a head, its first `rotary_dim` entries turned in pairs half of that apart."""
    n, out = config["rotary_dim"], vector.clone()
    for i in range(n // 2):
        frequency = (config.get("rotary_base") or 10000) ** (-2 * i / n)
        if config["use_NTK_by_parts_rope"]:
            frequency = by_parts(config, frequency)
        cos, sin = math.cos(pos * frequency), math.sin(pos * frequency)
        first, second = vector[i], vector[i + n // 2]
        out[i], out[i + n // 2] = first * cos - second * sin, second * cos + first * sin
    return out


def by_parts(config, frequency):
    low, high = config["NTK_by_parts_low_freq_factor"], config["NTK_by_parts_high_freq_factor"]
    factor, context = config["NTK_by_parts_factor"], config["NTK_original_ctx_len"]
    wavelength = 2 * math.pi / frequency
    if wavelength < context / high:
        return frequency
    if wavelength > context / low:
        return frequency / factor
    smooth = (context / wavelength - low) / (high - low)
    return (1 - smooth) * frequency / factor + smooth * frequency


def mlp(config, state, block, x):
    gelu_new = math.sqrt(2 / math.pi)
    act = {
        "relu": lambda x: x.clamp(min=0),
        "silu": lambda x: x / (1 + (-x).exp()),
        "gelu": lambda x: 0.5 * x * (1 + torch.erf(x / math.sqrt(2))),
        "gelu_new": lambda x: 0.5 * x * (1 + torch.tanh(gelu_new * (x + 0.044715 * x**3))),
    }[config["act_fn"]]
    pre = x @ state[f"{block}mlp.W_in"]
    if config["gated_mlp"]:
        post = act(x @ state[f"{block}mlp.W_gate"]) * pre + state[f"{block}mlp.b_in"]
    else:
        post = act(pre + state[f"{block}mlp.b_in"])
    return post @ state[f"{block}mlp.W_out"] + state[f"{block}mlp.b_out"]


def save(folder, config, state, suffix=".pt"):
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    if suffix == ".safetensors":
        save_file(state, folder / "model.safetensors")
    else:
        torch.save(state, folder / f"model_final{suffix}")
    return str(folder)


@pytest.mark.parametrize("case", CASES)
def test_logits_are_what_the_old_class_computed(case, tmp_path):
    config = BASE | CASES[case]
    if case == "old-and-short":
        config = {name: it for name, it in config.items() if it is not None or name == "d_mlp"}
    state = draw(BASE | CASES[case])
    model = interp.load(save(tmp_path / "old", config, state), dtype=torch.float64)
    tokens = torch.tensor([3, 30, 7, 7, 0, 12, 25])
    expected = oracle(BASE | CASES[case], state, tokens.tolist())
    assert expected.std() > 0.3
    assert (model.run(tokens).logits[0] - expected).abs().max() <= 1e-9


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".safetensors"])
def test_every_format_of_the_state_dict_gives_the_same_model(suffix, tmp_path):
    state = {name: it.float() for name, it in draw(BASE).items() if it.is_floating_point()}
    model = interp.load(save(tmp_path / "old", BASE, state, suffix))
    logits = model.run(torch.arange(9)).logits[0]
    assert (logits - oracle(BASE, state, range(9))).abs().max() <= 1e-4
    assert model.family == "hooked_transformer"
    with pytest.raises(interp.errors.UsageError, match="has no tokenizer"):
        model.run("text")


def test_a_folded_checkpoint_says_so(tmp_path):
    config = BASE | CASES["folded"]
    model = interp.load(save(tmp_path / "old", config, draw(config)))
    assert any("folded" in note for note in model.origin.notes)
    assert not interp.load(save(tmp_path / "plain", BASE, draw(BASE))).origin.notes


def test_a_tokenizer_beside_the_weights_is_used(tmp_path):
    config = BASE | {"d_vocab": 2000}
    folder = save(tmp_path / "old", config, draw(config))
    interp.load("tiny-gpt2").tokenizer.save_pretrained(folder)
    model = interp.load(folder)
    assert model.to_str_tokens("Mary went home") == ["Mary", " went", " home"]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"act_fn": "solu_ln"}, "act_fn 'solu_ln'"),
        ({"positional_embedding_type": "shortformer"}, "positional_embedding_type = 'shortformer'"),
        ({"positional_embedding_type": "alibi"}, "positional_embedding_type = 'alibi'"),
        (ROTARY | {"rotary_adjacent_pairs": True}, "rotary_adjacent_pairs"),
        ({"final_rms": True}, "final_rms"),
        ({"normalization_type": "DyT"}, "normalization_type"),
        ({"attention_dir": "backwards"}, "attention_dir"),
        ({"attn_scores_soft_cap": 30.0}, "attn_scores_soft_cap"),
        ({"output_logits_soft_cap": 30.0}, "output_logits_soft_cap"),
        ({"num_experts": 4, "experts_per_token": 2}, "experts_per_token"),
        ({"post_embedding_ln": True}, "post_embedding_ln"),
        ({"use_normalization_before_and_after": True}, "use_normalization_before_and_after"),
        ({"load_in_4bit": True}, "load_in_4bit"),
        ({"relative_attention_num_buckets": 32}, "relative_attention_num_buckets"),
        ({"use_local_attn": True, "window_size": 3, "attn_types": ["strided"] * 3}, "attn_types"),
        ({"a_setting_of_tomorrow": 1}, "a_setting_of_tomorrow"),
        ({"d_vocab": "many"}, "d_vocab must be an integer"),
        ({"n_key_value_heads": 3}, "n_heads must be a multiple"),
    ],
)
def test_a_setting_that_cannot_be_honoured_is_refused_by_name(change, named, tmp_path):
    folder = save(tmp_path / "old", BASE | change, draw(BASE))
    with pytest.raises(UnavailableError, match=named) as refused:
        interp.load(folder)
    assert "\n" not in str(refused.value)


def test_rotary_pairs_of_versions_that_did_not_say_are_not_guessed(tmp_path):
    config = {name: it for name, it in (BASE | ROTARY).items() if name != "rotary_adjacent_pairs"}
    with pytest.raises(UnavailableError, match="rotary_adjacent_pairs"):
        interp.load(save(tmp_path / "custom", config, draw(BASE | ROTARY)))
    converted = config | {"original_architecture": "GPTNeoXForCausalLM"}
    model = interp.load(save(tmp_path / "neox", converted, draw(BASE | ROTARY)))
    assert model.family == "GPTNeoXForCausalLM"


# What a HookedTransformerConfig has where it is told nothing.
MEANT = {
    "n_heads": 4, "eps": 1e-5, "use_attn_scale": True, "attn_scale": 6**0.5, "use_local_attn": False,
    "window_size": None, "attn_types": None, "normalization_type": "LN", "attention_dir": "causal",
    "attn_only": False, "scale_attn_by_inverse_layer_idx": False, "gated_mlp": False,
    "positional_embedding_type": "standard", "final_rms": False, "d_vocab_out": 31, "d_mlp": 96,
    "parallel_attn_mlp": False, "n_key_value_heads": None, "rotary_base": 10000, "d_vocab": 31,
    "tie_word_embeddings": False, "attn_scores_soft_cap": -1.0, "output_logits_soft_cap": -1.0,
    "use_NTK_by_parts_rope": False, "original_architecture": None,
}  # fmt: skip


@pytest.mark.parametrize("name", [*MEANT, "all of them"])
def test_what_a_config_does_not_say_is_what_the_class_had_there(name, tmp_path):
    whole = BASE | MEANT | {"d_model": 24}
    said = {each: it for each, it in whole.items() if each != name}
    if name == "all of them":
        said = {each: it for each, it in whole.items() if each not in MEANT}
    state = draw(whole)
    model = interp.load(save(tmp_path / "old", said, state), dtype=torch.float64)
    tokens = [3, 30, 7, 7, 0, 12, 25]
    expected = oracle(whole, state, tokens)
    assert (model.run(torch.tensor(tokens)).logits[0] - expected).abs().max() <= 1e-9


def test_no_norm_is_what_a_config_says_and_not_what_it_leaves_out(tmp_path):
    config = BASE | {"normalization_type": None}
    state = draw(config)
    assert interp.load(save(tmp_path / "said", config, state)).config.norm == "none"
    del config["normalization_type"]
    with pytest.raises(UnavailableError, match=r"lacks the tensor 'blocks\.0\.ln1\.w'"):
        interp.load(save(tmp_path / "unsaid", config, state))


def test_a_bias_inside_a_gated_mlp_is_refused(tmp_path):
    config = BASE | CASES["rms-gated-rotary"]
    state = draw(config)
    state["blocks.1.mlp.b_in"][2] = 0.1
    with pytest.raises(UnavailableError, match=r"blocks\.1\.mlp\.b_in is not zero"):
        interp.load(save(tmp_path / "old", config, state))


def test_weights_and_config_have_to_belong_together(tmp_path):
    state = draw(BASE)
    del state["blocks.2.ln1.w"]
    with pytest.raises(UnavailableError, match=r"lacks the tensor 'blocks\.2\.ln1\.w'"):
        interp.load(save(tmp_path / "folded", BASE, state))
    with pytest.raises(UnavailableError, match="does not use, the first is"):
        interp.load(save(tmp_path / "shallow", BASE | {"n_layers": 2}, draw(BASE)))
    folder = tmp_path / "two"
    save(folder, BASE, draw(BASE))
    save(folder, BASE, draw(BASE), ".pth")
    with pytest.raises(UnavailableError, match=r"must hold one state dict .* got model_final\.pt,"):
        interp.load(str(folder))
