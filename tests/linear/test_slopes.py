"""Rules change what flows back, not what is computed."""

import pytest
import torch

import interp
from interp import sites
from interp.linear import TRUE, frozen, slopes
from interp.metrics import LogitDifference

TOKENS = torch.tensor([[1, 5, 9, 2], [7, 3, 3, 8]])


@pytest.fixture(scope="module", params=["tiny-gpt2", "tiny-llama", "tiny-neox"])
def model(request):
    return interp.load(request.param, dtype=torch.float64)


@pytest.fixture(scope="module")
def metric():
    return LogitDifference(torch.tensor([4, 6]), torch.tensor([2, 1]))


def test_a_rule_changes_nothing_that_is_computed(model, metric):
    plain = model.run(TOKENS, logits_at=-1).logits[:, 0]
    expected = plain.gather(-1, metric.columns) @ torch.tensor([1.0, -1.0], dtype=plain.dtype)
    for rules in (TRUE, frozen("norm"), frozen("norm", "pattern")):
        torch.testing.assert_close(slopes(model, TOKENS, metric, rules=rules).metric, expected)


def test_a_frozen_norm_is_linear_in_the_last_stream(model, metric):
    """The final norm's scale a constant, the logit difference is the slope times the stream, and the
    constants of norm and unembedding."""
    found = slopes(model, TOKENS, metric, rules=frozen("norm"))
    kind, layer, slope = next(found.at_readers())
    assert (kind, layer) == ("logits", None)
    last = sites.resid_post(model.config.n_layers - 1)
    stream = found.kept[last]
    moved = stream + torch.randn(stream.shape, generator=torch.Generator().manual_seed(0)).to(
        stream
    )
    norm, scale = (
        model.ln_final,
        model.run(TOKENS, keep=[sites.final_scale()]).cache[sites.final_scale()],
    )

    def read(x):
        centred = x - x.mean(-1, keepdim=True) if norm.kind == "layernorm" else x
        normed = centred / scale * norm.w + (norm.b if norm.kind == "layernorm" else 0)
        both = model.unembed(normed[:, -1:])[:, 0].gather(-1, metric.columns)
        return both[:, 0] - both[:, 1]

    expected = read(moved) - read(stream)
    torch.testing.assert_close((slope[0] * (moved - stream)).sum((1, 2)), expected)


def test_a_frozen_pattern_lets_nothing_back_into_queries_and_keys(model, metric):
    kinds = [
        kind for kind, _, _ in slopes(model, TOKENS, metric, rules=frozen("pattern")).at_readers()
    ]
    assert {"q", "k"}.isdisjoint(kinds)
    assert {"v", "logits"} <= {*kinds}
