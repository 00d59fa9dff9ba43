"""Heads that were built to play a role are named for it, and no others."""

import numpy as np
import planted
import pytest

from interp import components
from interp.circuits.roles import RULES, named, roles


def every(model, task):
    return roles(model, task, components.heads(model))


@pytest.mark.parametrize("grouped", [False, True])
def test_the_heads_of_an_induction_circuit_are_named_and_no_others(grouped):
    of = planted.induction(grouped)
    found = every(of.model, of.task).frame.set_index("component")
    before, inducing = ("L0H2", "L1H1") if grouped else ("L0H1", "L1H2")
    names = found["role"][found["role"] != ""].to_dict()
    assert names == {before: "previous token", inducing: "induction"}
    p, even = planted.share(20.0), 1 / planted.N_CTX
    head, follower = found.loc[before], found.loc[inducing]
    assert head["previous_token"] == pytest.approx(1)
    assert head["share"] == pytest.approx(1)
    assert head["path"] == pytest.approx(even - p)
    assert head["effect"] == pytest.approx(even - p)
    assert head["direct"] == pytest.approx(0)
    assert follower["induction"] == pytest.approx(p)
    # One of 23 tokens raised above the mean, in standard deviations of one among so many.
    assert follower["copying"] == pytest.approx(22**0.5)
    assert follower["direct"] == pytest.approx(follower["effect"])


def test_the_heads_that_move_a_name_are_named_and_no_others():
    model, task = planted.movers()
    found = every(model, task)
    assert found.names == [
        *("duplicate token", ""),
        *("S-inhibition", ""),
        *("name mover", "negative name mover"),
    ]
    frame = found.frame.set_index("component")
    assert frame["share"]["L0H0"] == pytest.approx(1)
    assert frame["share"]["L1H0"] == pytest.approx(1)
    assert frame["attends_to"]["L1H0"] == "s"
    assert frame["direct"]["L2H0"] == pytest.approx(-3 * frame["direct"]["L2H1"])


def test_interventions_are_on_fresh_prompts_and_without_an_effect_there_is_no_name():
    """On fresh prompts whose corrupted ones are the same, nothing that is removed does anything."""
    model, task = planted.movers()
    same = [(each.clean_tokens, each.clean_tokens) for each in task.prompts]
    answers, wrong = zip(*((it.answer_token, it.wrong_token) for it in task.prompts), strict=True)
    fresh = planted.prompts(same, answers, wrong, {"x": 1, "y": 2, "s": 3})
    found = roles(model, task, components.heads(model), fresh=fresh)
    assert found.names == [""] * 6
    assert found.found["name mover"][:, 4].tolist() == [True, True, False]
    assert (found.frame["effect"] == 0).all()


def test_a_name_is_the_first_rule_of_which_all_three_things_are_found():
    yes, no = [True, True], [False, True]
    found = {
        "name mover": np.array([yes, yes, no]),
        "induction": np.array([yes, yes, yes]),
    }
    assert named(found, 2) == ["induction", "name mover"]
    assert set(found) < set(RULES)
