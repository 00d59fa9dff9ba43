"""A section's blocks of the chosen components are of one test, so that no two can disagree."""

import numpy as np

from interp.views import chosen


def test_a_section_of_the_chosen_has_them_confirmed_by_prompt_and_held_out(confirmed, screen):
    found = chosen.blocks(confirmed, "top_heads", {"resample": screen}, rank=[1, 2])
    table, prompts, held_out, halves = found
    assert [table.name, held_out.name, halves.name] == ["confirmed", "top_heads", "halves"]
    assert table.frame.to_dict("list") == confirmed.frame.to_dict("list")
    np.testing.assert_array_equal(prompts.values, confirmed.fresh.values)
    assert held_out.title == "The same heads on the held-out half of the screen"
    assert list(held_out.frame.drop(columns="rank")) == list(confirmed.selection.frame())
    assert held_out.frame["rank"].tolist() == [1, 2]
    assert list(halves.frame["scores"]) == ["resample"]


def test_without_kinds_of_effects_no_halves_are_compared(confirmed):
    names = [
        block.name for block in chosen.blocks(confirmed, "top_paths", {}) if hasattr(block, "name")
    ]
    assert names == ["confirmed", "top_paths"]
