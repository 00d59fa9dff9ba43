"""What a head does is said with its numbers, and no more than was measured."""

import numpy as np
import pandas as pd

from interp.circuits.roles import RULES, Roles
from interp.views.roles import SENTENCES, roles, sentence

ROW = {
    **{"component": "L2H0", "role": "name mover", "attends_to": "IO", "attention": 0.62},
    **{"previous_token": 0.1, "duplicate_token": np.nan, "induction": 0.3, "copying": 4.69},
    **{"effect": -2.0, "effect_low": -2.5, "effect_high": -1.5, "direct": -1.9, "path": np.nan},
}


def test_a_sentence_has_what_is_large_and_leaves_out_what_is_not():
    assert sentence(pd.Series(ROW), "logits") == (
        "**L2H0** attends from END to IO (0.62), from what is repeated to the token after where it came "
        "before (0.30); it raises the token at the answer's place by 4.7 sd; without it answer minus wrong "
        "changes by -2.00 [-2.50, -1.50] logits, -1.90 of it directly: name mover."
    )
    plain = ROW | {
        "role": "",
        "induction": 0.2,
        "copying": -1.0,
        "effect_low": np.nan,
        "path": -0.4,
    }
    assert sentence(pd.Series(plain), "nats") == (
        "**L2H0** attends from END to IO (0.62); without it answer minus wrong changes by -2.00 nats, -1.90 "
        "of it directly, and -0.40 through those that read it: no name."
    )


def test_heads_with_a_name_have_their_sentence_first_and_those_in_excess_are_counted():
    frame = pd.DataFrame(
        [ROW | {"effect": -float(i), "role": ""} for i in range(SENTENCES)] + [ROW]
    )
    things = {name: np.zeros((3, len(frame)), dtype=bool) for name in RULES}
    (section,) = roles(Roles((), frame, things))
    *said, more = section.blocks[0].text.splitlines()
    assert said[0].endswith("name mover.")
    assert len(said) == SENTENCES
    assert more == "- 1 more are in the table."


def test_the_largest_effects_come_first_and_every_rule_is_told():
    frame = pd.DataFrame([ROW | {"effect": 0.1, "role": ""}, ROW])
    things = {name: np.zeros((3, 2), dtype=bool) for name in RULES}
    things["name mover"][:, 1] = True
    (section,) = roles(Roles((), frame, things))
    said, table, text = section.blocks
    assert table.frame["effect"].tolist() == [-2.0, 0.1]
    assert list(table.frame.columns[:2]) == ["component", "role"]
    first, second = said.text.splitlines()
    assert first.endswith("name mover.")
    assert second.endswith("no name.")
    assert all(f"**{name}**" in text.text for name in RULES)
    assert roles(Roles((), pd.DataFrame(), {})) == []
