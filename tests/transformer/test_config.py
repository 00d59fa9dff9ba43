"""Settings that contradict each other are refused; the others survive being stored."""

import json

import numpy as np
import pytest

from interp.errors import UsageError
from interp.transformer import Config

SIZES = {"n_layers": 2, "n_heads": 6, "d_model": 20, "d_head": 8, "d_vocab": 37, "n_ctx": 13}


def test_settings_survive_json(grid):
    for settings in grid:
        config = Config.from_dict({**SIZES, **settings})
        assert Config.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_what_is_left_out_follows_from_the_rest():
    config = Config(**SIZES, positions="rotary", n_kv_heads=3)
    assert (config.group, config.rotary_dim, config.d_vocab_out) == (2, 8, 37)
    assert config.attn_scale == 8**0.5
    assert Config(**SIZES).n_kv_heads == 6


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"n_layers": 0}, "n_layers must be at least 1, got 0"),
        ({"d_mlp": -1}, "d_mlp must be 0"),
        ({"n_kv_heads": 4}, "n_heads must be a multiple of n_kv_heads, got 6 and 4"),
        ({"positions": "rotary", "rotary_dim": 3}, "rotary_dim must be even"),
        ({"positions": "rotary", "rotary_dim": 10}, "at most d_head 8"),
        ({"d_vocab_out": 40}, "tied unembedding"),
        ({"windows": [3]}, "one entry for each of 2 layers, got 1"),
        ({"windows": [0, None]}, "a window of positions must be at least 1, got 0"),
        ({"hidden_size": 20}, "no setting is called 'hidden_size'"),
        ({"n_head": 6}, "nearest names: n_heads"),
        ({"n_layers": 10**9}, "n_layers must be at most 10,000, got 1000000000"),
        ({"d_vocab": 10**11}, "d_vocab must be at most 2,147,483,647"),
        ({"d_vocab": 2**31 - 1, "d_model": 2**20}, "fits into no memory"),
        ({"n_heads": 6.0}, "n_heads must be an integer, got 6.0"),
        ({"n_heads": True}, "n_heads must be an integer, got True"),
        ({"n_heads": "6"}, "n_heads must be an integer, got '6'"),
        ({"n_heads": -6}, "n_heads must be at least 1, got -6"),
        ({"n_kv_heads": -3}, "n_kv_heads must be 0"),
        ({"d_head": None}, "d_head must be an integer, got None"),
        ({"n_ctx": 10**4000}, "n_ctx must be at most"),
        ({"norm_eps": -1e-5}, "norm_eps must be a finite number of at least 0, got -1e-05"),
        ({"norm_eps": float("nan")}, "norm_eps must be a finite number .* got nan"),
        ({"norm_eps": "small"}, "norm_eps must be a number, got 'small'"),
        ({"norm_eps": 10**400}, "norm_eps must be a finite number"),
        ({"rotary_base": 0}, "rotary_base must be a finite number above 0, got 0"),
        ({"attn_scale": float("inf")}, "attn_scale must be a finite number"),
        ({"tied": "no"}, "tied must be true or false, got 'no'"),
        ({"gated": 1}, "gated must be true or false, got 1"),
        ({"norm": ["layernorm"]}, "norm must be one of layernorm, rmsnorm, none"),
        ({"activation": None}, "activation must be one of"),
        ({"windows": 5}, "windows must be a list, got 5"),
        ({"windows": [1.5, None]}, "a window of positions must be an integer"),
        (
            {"rotary_scaling": {"kind": "yarn", "factor": 2}},
            "kind must be one of linear, llama3, got 'yarn'",
        ),
        ({"rotary_scaling": {"kind": "linear"}}, "factor of rotary_scaling is missing"),
        (
            {"rotary_scaling": {"kind": "linear", "factor": 0}},
            "factor must be a finite number above",
        ),
        (
            {"rotary_scaling": {"kind": "linear", "factor": 2, "x": 1}},
            "rotary_scaling is called 'x'",
        ),
        (
            {"rotary_scaling": {"kind": "llama3", "factor": 2, "low_freq_factor": 4.0}},
            "above low_freq",
        ),
        ({"rotary_scaling": 3}, "rotary_scaling must be"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(wrong, message):
    with pytest.raises(UsageError, match=message):
        Config.from_dict({**SIZES, **wrong})


def test_a_size_that_is_missing_is_named():
    for kept in SIZES:
        with pytest.raises(UsageError, match=f"the setting {kept} is missing"):
            Config.from_dict({name: size for name, size in SIZES.items() if name != kept})


@pytest.mark.parametrize("data", [None, [], "settings", 3])
def test_what_is_no_settings_at_all_is_refused(data):
    with pytest.raises(UsageError, match="must be an object of names and values"):
        Config.from_dict(data)


def test_sizes_of_other_libraries_become_plain_numbers():
    sizes = {name: np.int64(size) for name, size in SIZES.items()}
    config = Config.from_dict({**sizes, "norm_eps": np.float32(0.5)})
    assert config == Config(**SIZES, norm_eps=0.5)
    assert json.loads(json.dumps(config.to_dict()))["n_layers"] == 2
