"""Discovery and held-out half: whole clusters, and of every order some in both."""

from collections import defaultdict
from dataclasses import replace

import pytest

from interp import tasks
from interp.errors import UsageError


@pytest.mark.parametrize("n", [16, 30])
@pytest.mark.parametrize("name", tasks.names())
def test_neither_half_is_of_one_order_alone(tokenizer, name, n):
    try:
        task = tasks.build(name, tokenizer, n=n)
    except UsageError:
        pytest.skip(f"this tokenizer lacks the words of {name}")
    halves, clusters = defaultdict(set), defaultdict(set)
    for prompt in task.prompts:
        halves[prompt.order].add(prompt.half)
        clusters[prompt.order].add(prompt.cluster)
    # A cluster counts for the order of its first prompt, so few clusters may fall to one half.
    judged = [order for order, those in clusters.items() if len(those) > 3]
    assert judged
    assert all(halves[order] == {"discovery", "held_out"} for order in judged)
    by_cluster = defaultdict(set)
    for prompt in task.prompts:
        by_cluster[prompt.cluster].add(prompt.half)
    assert all(len(found) == 1 for found in by_cluster.values())


def test_what_confirms_shares_no_template_with_the_screen(tokenizer):
    task = tasks.build("ioi", tokenizer, n=16)
    fresh = task.confirmation
    assert {prompt.part for prompt in fresh.prompts} == {"confirmation"}
    templates = [{prompt.template for prompt in each.prompts} for each in (task, fresh)]
    assert not templates[0] & templates[1]


def test_a_file_confirms_on_its_held_out_half(tokenizer):
    task = tasks.build("ioi", tokenizer, n=16)
    given = replace(task, source=None, whole=())
    assert [p for p in given.kept if p.half == "held_out"] == list(given.confirmation.kept)
