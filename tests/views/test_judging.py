"""How sums of scores are judged."""

import numpy as np
import pytest

import interp
from interp.circuits.sums import SumRule
from interp.views import judging


@pytest.mark.parametrize(
    ("missed", "steps", "passed"),
    [(1e-7, 0, True), (0.1, 0, False), (0.1, 5, True), (3.0, 5, False)],
)
def test_exact_sums_hold_to_rounding_and_integrated_ones_to_what_they_add_up_to(
    missed, steps, passed
):
    rule = SumRule(
        "eap", "edges and their sum", np.ones((2, 3)) + missed, np.ones((2, 3)), 2.0, steps
    )
    (check,) = judging.added_up([rule], interp.load("tiny-gpt2"))
    assert check.passed is passed
    assert check.value == pytest.approx(missed, rel=1e-3)
    assert ("5 steps" in check.note) is (steps == 5)
