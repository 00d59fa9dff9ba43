"""What norms divide by is read where it is said to be, padding left out."""

import numpy as np
import pytest
import torch

import interp
from interp import sites, stats, tasks
from interp.methods.attribute import wanted
from interp.methods.norms import scales
from interp.methods.rescaling import all_frozen, attributions
from interp.tasks.batches import whole
from interp.views import norms


@pytest.mark.parametrize("name", ["tiny-gpt2", "tiny-llama"])
def test_scales_are_those_of_the_first_the_last_and_the_positions_between(name):
    model = interp.load(name, dtype=torch.float64)
    task = tasks.build("ioi", model.tokenizer, 8, 0)
    prompts = whole(task)
    assert not prompts.real.all(), "prompts of several lengths"
    norm = sites.ln1_scale(1)
    run = prompts.run(model, keep=[norm])
    found = scales(run, norm)
    for row, prompt in enumerate(prompts.prompts):
        own = model.run([list(prompt.clean_tokens)], keep=[norm]).cache[norm][0, :, 0].numpy()
        assert float(found["first position"][row]) == pytest.approx(own[0])
        assert float(found["last token"][row]) == pytest.approx(own[-1])
        assert float(found["between"][row]) == pytest.approx(own[1:-1].mean())
    chart, _, table = norms.scales(model, run, task, [norm], 0)
    frame = table.frame.set_index("place")
    assert frame.scale["last token"] == pytest.approx(float(found["last token"].mean()), rel=0.2)
    assert 10 ** chart.series[1].y[0] == pytest.approx(frame.scale["last token"])


def test_a_prompt_of_two_tokens_has_nothing_between():
    model = interp.load("tiny-gpt2", dtype=torch.float64)
    norm = sites.ln1_scale(0)
    assert set(scales(model.run([[3, 4]], keep=[norm]), norm)) == {"first position", "last token"}


def test_direct_effects_add_up_with_nothing_of_the_norm_left_out_and_with_no_part_missing():
    for name, parts in (("tiny-gpt2", 4), ("tiny-llama", 3)):
        model = interp.load(name, dtype=torch.float64)
        prompts = whole(tasks.build("ioi", model.tokenizer, 8, 0))
        found = attributions(model, prompts.run(model, keep=wanted(model)), prompts)
        assert len(found) == parts
        assert [each.error < 1e-9 for each in found.values()] == [True, *[False] * (parts - 1)]


def test_the_slope_is_that_of_a_line_through_zero():
    one = np.array([1.0, -2.0, 3.0])
    assert stats.slope(one, 0.5 * one) == pytest.approx(0.5)
    assert np.isnan(stats.slope(0 * one, one))


def test_scales_frozen_to_their_own_run_change_nothing_and_those_of_another_do():
    model = interp.load("tiny-gpt2", dtype=torch.float64)
    task = tasks.build("ioi", model.tokenizer, 8, 0)
    prompts = whole(task)
    kept = [site for site in model.sites if site.kind in norms.NORMS]
    found = all_frozen(model, prompts.run(model, keep=kept, corrupted=True), prompts)
    assert found["clean"] == pytest.approx(found["corrupted"])
    assert found["what freezing adds"] == pytest.approx(0, abs=1e-9)
    other = all_frozen(model, prompts.run(model, keep=kept), prompts)
    assert other["corrupted"] == pytest.approx(found["corrupted"])
    assert np.abs(other["what freezing adds"]).min() > 1e-4
    frame = norms.all_frozen(other, task, 0).frame.set_index("run")
    assert list(frame.index) == list(other)
