"""Pictures take the numbers of any tensor."""

import numpy as np
import pandas as pd
import pytest
import torch

import interp
from interp import components, tasks
from interp.effects import Effects
from interp.report import Series
from interp.views import induction, pictures


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_a_tensor_of_any_format_becomes_its_numbers(dtype):
    given = torch.tensor([[0.5, -2.0]], dtype=dtype, requires_grad=True)
    assert pictures.array(given).tolist() == [[0.5, -2.0]]
    assert pictures.array(given).dtype == np.float64
    (one,) = pictures.maps({"a": given}, unit="logits").heatmaps
    assert (one.title, one.unit, one.row_axis, one.column_axis) == ("a", "logits", "layer", "head")
    assert one.values.tolist() == [[0.5, -2.0]]


def test_a_prompt_is_shown_as_its_tokens_with_the_reason_of_its_bos():
    model = interp.load("tiny-gpt2")
    strip, words = pictures.prompt(model, torch.tensor([[3, 4]]))
    assert list(strip.tokens) == model.to_str_tokens(torch.tensor([[3, 4]]))
    assert words.text == model.bos.sentence


def points(chart):
    return {each.name: (list(each.x), list(each.y)) for each in chart.series}


def test_each_column_is_a_line_over_the_same_x():
    chart = pictures.lines("Loss", [0, 2], {"first": [3, 2], "second": [3, 1]}, "step", "nats")
    assert (chart.kind, chart.x_label, chart.y_label) == ("line", "step", "nats")
    assert points(chart) == {"first": ([0, 2], [3, 2]), "second": ([0, 2], [3, 1])}


def test_each_value_of_a_column_is_a_line_in_the_order_of_the_rows():
    frame = pd.DataFrame({"way": ["b", "a", "b"], "step": [0, 0, 5], "bits": [3.0, 4.0, 2.0]})
    also = [Series("given", [0, 5], [9, 9])]
    chart = pictures.grouped(
        "Bits", frame, "way", ("step", "bits"), ("step", "bits per byte"), also
    )
    assert list(points(chart)) == ["b", "a", "given"]
    assert points(chart)["b"] == ([0, 5], [3, 2])
    assert (chart.x_label, chart.y_label) == ("step", "bits per byte")


def test_each_line_has_the_interval_of_its_own_rows():
    frame = pd.DataFrame({"part": ["a", "b"], "layer": [0, 0], "effect": [1.0, 2.0]})
    frame = frame.assign(ci_low=[0.5, 1.5], ci_high=[1.5, 2.5])
    a, b = pictures.grouped("Layers", frame, "part", ("layer", "effect"), ("layer", "")).series
    assert (list(a.low), list(a.high)) == ([0.5], [1.5])
    assert (list(b.low), list(b.high)) == ([1.5], [2.5])


@pytest.mark.parametrize("chosen", [[5, 0], [], range(12)])
def test_every_component_is_one_point_and_the_chosen_stand_apart(chosen):
    model = interp.load("tiny-gpt2")
    task = tasks.build("ioi", model.tokenizer, n=4)
    heads = components.heads(model)[:12]
    one, other = (
        Effects(np.random.default_rng(seed).normal(size=(12, task.n)), heads, task)
        for seed in range(2)
    )
    found = points(pictures.scatter("Beside", one, other, ("x", "y"), list(chosen)))
    assert sum(len(x) for x, _ in found.values()) == 12
    assert found.get("chosen", ([], []))[0] == [one.mean()[row] for row in chosen]
    if len(chosen) == 2:
        assert found["others"][1] == [other.mean()[row] for row in range(12) if row not in chosen]


def test_maps_of_scores_share_the_scale_from_0_to_1():
    values = {"previous_token, before": np.eye(2), "b": np.ones((2, 2)) / 2}
    [one, two] = induction.maps(values, "Means.").heatmaps
    assert one.title == "Previous token, before"
    assert (one.low, one.high, one.scale) == (two.low, two.high, two.scale) == (0, 1, "sequential")
    assert one.by_head
