"""Settings that contradict each other are refused; the others survive being stored."""

import json

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
        ({"windows": [0, None]}, "at least 1 position"),
        ({"hidden_size": 20}, "no setting is called 'hidden_size'"),
        ({"n_head": 6}, "nearest names: n_heads"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(wrong, message):
    with pytest.raises(UsageError, match=message):
        Config.from_dict({**SIZES, **wrong})
