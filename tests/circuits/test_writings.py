"""Sums over what writers write are the obvious ones, however they are made."""

import numpy as np
import pytest
import torch

from interp.circuits import writings
from interp.circuits.writings import Writings


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("sizes", [[7], [3, 0, 4]])
@pytest.mark.parametrize("share", [0.02, 0.5])
@pytest.mark.parametrize("n_circuits", [1, 3])
def test_sums_are_those_over_all_that_is_written_so_far(
    monkeypatch, n_circuits, share, sizes, dtype
):
    monkeypatch.setattr(writings, "_AHEAD", 4)
    random = np.random.default_rng(0)
    n_readers, n_writers, d_model = 13, 9, 6
    chosen = random.random((n_readers, n_circuits, n_writers, len(sizes))) < share
    place = np.repeat(np.arange(len(sizes)), sizes)
    values = torch.from_numpy(random.normal(size=(n_writers, n_circuits, 7, d_model))).to(dtype)
    ablated = torch.from_numpy(random.normal(size=(n_writers, 1, 7, d_model))).to(dtype)
    written = Writings(chosen, sizes, values[0, 0])
    assert written.few == (share < 0.1)
    asked = ([0, 1], [2], [5, 3, 4], [6, 7, 8, 9, 10, 11], [12], [1, 12])
    for at, rows in enumerate(asked, 1):
        written.add(values[at - 1 : at], ablated[at - 1 : at])
        weights = torch.from_numpy(chosen[rows][:, :, :at][..., place]).to(dtype)
        expected = torch.einsum("rcwt,wctd->rctd", weights, (values - ablated)[:at])
        found = written.sums(rows)
        if found is None:
            assert not expected.any()
        else:
            torch.testing.assert_close(found, expected)
        torch.testing.assert_close(written.total(0), (values - ablated)[:at].sum(0))
