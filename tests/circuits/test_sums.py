"""The sums that the study prints: exact ones to rounding, integrated ones ever better with more steps."""

import pytest

from interp.circuits.methods import METHODS
from interp.circuits.sums import sum_rules


@pytest.mark.parametrize("name", ["eap", "clean-corrupted", "relp", "gim"])
def test_edges_into_a_reader_add_up_to_the_change_of_its_stream_times_the_slope(
    model, graph, task, name
):
    for ablation in ("resample", "zero") if name == "eap" else ("resample",):
        (rule,) = sum_rules(model, graph, task, METHODS[name], ablation)
        assert rule.found.shape == (len(graph.readers), 2)
        assert rule.residual < 1e-12 * rule.scale
        assert rule.scale > 1e-3
        assert rule.steps == 0


def test_integrated_scores_miss_less_with_more_steps(model, graph, task):
    if model.name not in ("tiny-llama", "tiny-neox"):
        pytest.skip("one of sequential and one of parallel blocks are enough")
    for name in ("eap-ig", "eap-ig-activations"):
        few, many = (
            sum_rules(model, graph, task, METHODS[name], steps=steps, prompts=1)[0]
            for steps in (1, 4)
        )
        assert many.residual < few.residual / 2
        assert (few.steps, many.steps) == (1, 4)


@pytest.mark.parametrize("model", ["tiny-gpt2"], indirect=True)
def test_a_score_that_is_amiss_is_seen(model, graph, task, monkeypatch):
    """The rule compares two ways: scores that leave a writer out do not add up."""
    from interp.circuits import methods

    whole = methods.eap

    def without_a_writer(*given, **more):
        scores = whole(*given, **more)
        scores.each[:, :, 1] = 0
        return scores

    monkeypatch.setattr(methods, "eap", without_a_writer)
    (rule,) = sum_rules(model, graph, task)
    assert rule.residual > 1e-3 * rule.scale


@pytest.mark.parametrize("model", ["tiny-gpt2"], indirect=True)
def test_an_average_has_the_sums_of_its_parts(model, graph, task):
    found = sum_rules(model, graph, task, METHODS["average"], steps=1, prompts=1)
    assert [rule.method for rule in found] == ["eap", "eap-ig", "clean-corrupted"]
