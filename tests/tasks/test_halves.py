"""Discovery and held-out half: whole clusters, and of every order some in both."""

from collections import defaultdict

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
