"""What is written to the residual stream is shown whole: shares add up to 1, and to those of their layers."""

import numpy as np
import pytest
import torch

import interp
from interp import sites
from interp.methods.decompose import decompose, needs
from interp.methods.identities.head_sum import head_sum
from interp.views import writes

TOKENS = [[3, 1, 4, 1, 5]]


@pytest.fixture(scope="module", params=["tiny-gpt2", "tiny-llama", "tiny-attn-only"])
def made(request):
    model = interp.load(request.param, dtype=torch.float64)
    n_layers = model.config.n_layers
    end = sites.resid_post(n_layers - 1)
    kept = [*needs(model, end), *map(sites.attn_out, range(n_layers))]
    run = model.run(TOKENS, keep=kept)
    return (
        model,
        [head_sum(model, run, layer) for layer in range(n_layers)],
        decompose(model, run, end),
    )


def test_both_sums_are_what_the_model_wrote_and_swapped_rows_are_not(made):
    model, sums, _ = made
    for layer, each in enumerate(sums):
        found = each.differences
        assert found["relative_difference"] < 1e-12
        assert found["difference_from_model"] < 1e-12
        z_last = sum(
            each.head_out[0, -1, head] for head in range(model.config.n_heads)
        )  # the obvious loop
        torch.testing.assert_close(z_last + each.bias, each.attn_out[0, -1])
        assert found["permuted_difference"] > 0.05, layer
        assert (each.head_share.sum(-1) + each.bias_share - 1).abs().max() < 1e-12


def test_the_algebra_adds_up_row_by_row(made):
    model, sums, _ = made
    _, table = writes.algebra(sums[1], 1, " a")
    rows = table.frame.set_index("written by")
    heads = rows.filter(like="L1H", axis=0)
    assert len(heads) == model.config.n_heads
    np.testing.assert_allclose(heads.sum() + rows.loc["b_O"], rows.loc["written by the model"])


def test_every_component_has_a_share_of_the_final_stream_and_every_layer_what_its_own_have(made):
    model, _, stream = made
    chart, table = writes.stream(stream, model.config.n_layers)
    assert table.frame.share.sum() == pytest.approx(1)
    series = {each.name: np.array(each.y) for each in chart.series}
    assert sum(each.sum() for each in series.values()) == pytest.approx(1)
    mine = table.frame[
        table.frame.component.str.startswith("L1") & table.frame.kind.isin(["head", "attn_bias"])
    ]
    assert series["attention"][2] == pytest.approx(mine.share.sum())
    assert series["embedding"][1:].tolist() == [0] * model.config.n_layers
    assert series["MLP"].any() == bool(model.config.d_mlp)


def test_shares_of_heads_are_those_of_their_rows(made):
    model, sums, _ = made
    frame = writes.head_shares(sums).set_index(["layer", "head"])
    assert len(frame) == model.config.n_layers * model.config.n_heads
    expected = sums[1].head_share[0, :, 2]
    assert frame.share[1, 2] == pytest.approx(float(expected[1:].mean()))
    assert frame.share_first_position[1, 2] == pytest.approx(float(expected[0]))
