"""Corruptions of the same prompts beside each other: which run each row and line is of."""

import pytest
import torch

import interp
from interp import sites, tasks
from interp.components import Slice
from interp.methods.patch import At, patch_groups
from interp.views import patches

NAMES = {"position": "swap", "both": "flip"}


@pytest.fixture(scope="module")
def made():
    model = interp.load("tiny-gpt2", dtype=torch.float64)
    task = tasks.build("ioi", model.tokenizer, n=4)
    each = {name: task.corrupted_by(kind) for name, kind in NAMES.items()}
    groups = {
        place: [At(Slice(sites.resid_pre(layer)), place) for layer in range(2)]
        for place in ("S2", "END")
    }
    done = {name: patch_groups(model, one, groups, "noise") for name, one in each.items()}
    return model, each, done


def test_whole_prompts_are_the_clean_run_and_that_of_each_corruption(made):
    _, _, done = made
    frame = patches.whole_prompts({name: each["END"] for name, each in done.items()}).frame
    assert frame["turned round"].tolist() == ["clean", "position", "both"]
    assert frame.logit_difference.tolist() == pytest.approx(
        [
            done["both"]["END"].base.mean(),
            done["position"]["END"].source.mean(),
            done["both"]["END"].source.mean(),
        ]
    )


def test_each_position_has_a_line_a_corruption_and_the_table_their_points(made):
    *shown, table = patches.stream(made[2])
    assert [chart.title for chart in shown] == ["The stream at S2", "The stream at END"]
    frame = table.frame
    for chart, place in zip(shown, ("S2", "END"), strict=True):
        for series in chart.series:
            line = made[2][series.name][place].effects.mean()
            assert list(series.y) == pytest.approx(line.tolist())
            rows = (frame.label == place) & (frame.signal == series.name)
            assert frame[rows].effect.tolist() == pytest.approx(line.tolist())


def test_the_first_prompt_is_shown_in_every_form(made):
    model, each, _ = made
    text, *strips = patches.forms(model, each)
    assert "each in three forms" in text.text
    assert [strip.title for strip in strips] == [
        "Clean",
        "Position turned round",
        "Both turned round",
    ]
    first = each["both"].kept[0]
    assert list(strips[-1].tokens) == model.to_str_tokens(torch.tensor(first.corrupted_tokens))
