"""Pictures take the numbers of any tensor."""

import numpy as np
import pytest
import torch

import interp
from interp.views import pictures


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
