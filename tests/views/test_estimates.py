"""Estimates as rows: what a key names, the value, its interval and its number."""

import numpy as np
import pytest

from interp import stats
from interp.views import estimates


def test_a_row_has_what_its_key_names_and_the_numbers_of_its_estimate():
    first, second = (stats.mean(np.arange(8.0) + shift) for shift in (0, 1))
    frame = estimates.frame({("ewe", "own"): first, ("ewe", "given"): second}, ("a", "b"), "bits")
    assert list(frame.columns) == ["a", "b", "bits", "ci_low", "ci_high", "n"]
    assert frame[["a", "b"]].to_numpy().tolist() == [["ewe", "own"], ["ewe", "given"]]
    assert frame.bits.tolist() == pytest.approx([3.5, 4.5])
    assert frame.ci_low[1] == pytest.approx(float(first.low) + 1)
    assert frame.n.tolist() == [8, 8]


def test_a_key_of_one_name_needs_no_tuple():
    frame = estimates.frame({"clean": stats.mean(np.arange(4.0))}, ["prompts"])
    assert frame.iloc[0].to_dict().keys() == {"prompts", "value", "ci_low", "ci_high", "n"}
    assert frame.prompts.tolist() == ["clean"]
