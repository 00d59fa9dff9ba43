"""The corpus that needs no data: repeated, at distances and from places that vary."""

import pytest

from interp.errors import UsageError
from interp.training.data import Repeats


def repeats(**changed):
    settings = {"size": 900, "n_ctx": 64, "begin": 0, "first": 1, "shortest": 8, "longest": 32}
    return Repeats(**settings | {"seed": 0} | changed)


def period(row):
    """The smallest distance at which the end of the row repeats."""
    return next(step for step in range(1, len(row)) if row[-step:].equal(row[-2 * step : -step]))


def test_every_example_repeats_at_a_distance_of_its_own():
    rows = repeats().batch(0, 64)
    assert rows.shape == (64, 65)
    assert (rows[:, 0] == 0).all()
    assert (rows[:, 1:] > 0).all()
    # Only what is repeated twice within the row shows its distance at the end.
    found = [period(row[1:]) for row in rows if len(set(row.tolist())) < 30]
    assert len(set(found)) > 5
    assert all(8 <= each <= 32 for each in found)


def test_a_fixed_distance_is_the_same_in_every_example():
    rows = repeats(distance=16).batch(0, 32)[:, 1:]
    assert rows[:, 16:].equal(rows[:, :-16])


def test_a_batch_depends_on_seed_and_step_alone():
    assert repeats().batch(5, 4).equal(repeats().batch(5, 4))
    assert not repeats().batch(5, 4).equal(repeats().batch(6, 4))
    assert not repeats().batch(5, 4).equal(repeats(seed=1).batch(5, 4))
    assert not repeats().batch(5, 4).equal(repeats().validation(4))


def test_a_sequence_that_does_not_fit_twice_is_refused():
    with pytest.raises(UsageError, match="fit twice"):
        repeats(longest=40)
