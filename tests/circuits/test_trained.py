"""A model that was trained on repeats, as `make train` trains one: its circuit is the induction circuit."""

import numpy as np
import pytest

from interp import tasks
from interp.circuits import Edge, Graph
from interp.circuits.audit import exact_effects
from interp.circuits.evaluate import evaluate
from interp.circuits.search import edge_scores, mean_scores, smallest
from interp.components import Logits
from interp.methods import induction, repetition
from interp.training import data
from interp.training.loop import Recipe, optimizer, train
from interp.training.presets import fresh, shape
from interp.transformer import Origin


@pytest.fixture(scope="module")
def trained():
    """The recipe of `make train` with a smaller vocabulary and context: some 20 seconds."""
    repeats = data.from_repeats(vocabulary=300, n_ctx=40, seed=0)
    size = {"layers": 2, "heads": 4, "width": 64, "positions": "rotary"}
    config = shape("attn-only", d_vocab=len(repeats.tokenizer), n_ctx=40, **size)
    model = fresh(config, 0, Origin("repeats", "gpt2", ""), lambda: repeats.tokenizer)
    recipe = Recipe(steps=700, batch=32, rate=5e-3, warmup=50, decay=0.01)
    for _ in train(model, repeats.source.batch, recipe, optimizer(model, recipe)):
        pass
    return model


@pytest.mark.slow
def test_the_circuit_of_a_model_trained_on_repeats_is_its_induction_circuit(trained):
    task, graph = tasks.build("induction", trained.tokenizer, n=32), Graph.of(trained)
    drawn = repetition.draw(trained, length=12, copies=2, count=16, seed=1)
    scores = induction.head_scores(trained, drawn)
    means = scores.means()
    before = scores.ranked("previous_token", below=1)[:2]
    inducing = [head for head in scores.ranked("induction")[:4] if head.layer == 1]
    assert means["previous_token"][0].max() > 0.5
    assert len(inducing) == 4
    assert means["induction"][1].min() > 0.5

    edges = mean_scores(graph, edge_scores(trained, graph, task, steps=5))
    found = smallest(trained, graph, task, edges, 0.8, fractions=(0.1, 0.2, 0.3, 0.4, 0.5))
    composed = [Edge(head, each, "k") for head in before for each in inducing]
    written = [Edge(each, Logits(), "logits") for each in inducing]
    kept = graph.mask(composed) & found.kept
    assert kept.sum() >= 4
    assert (graph.mask(written) & found.kept).sum() >= 3
    without = found.kept & ~graph.mask(composed)
    done = evaluate(trained, graph, task.confirmation, [found.kept, without, graph.allowed & ~kept])
    whole, cut, uncomposed = done.faithfulness().value
    assert 0.8 < whole < 1.2
    assert cut < 0.3
    assert uncomposed < 0.5

    # Of all that the keys of layer 1 read, what the previous-token heads write counts most, exactly.
    into = [cell for cell in graph.cells() if graph.readers[cell[0]].input == "k"]
    into = [cell for cell in into if graph.readers[cell[0]].layer == 1]
    exact = exact_effects(trained, graph, task, into).mean(-1)
    strongest = [graph.edge(*into[row]).writer for row in np.argsort(exact)[:4]]
    assert set(strongest) <= set(before)
