"""Circuits that were built by hand: every method finds what is there, as large as it is, and nothing else."""

import numpy as np
import planted
import pytest

from interp.circuits.acdc import acdc
from interp.circuits.audit import agreement, audited, exact_effects
from interp.circuits.evaluate import evaluate
from interp.circuits.exact import edge_effects
from interp.circuits.greedy import greedy
from interp.circuits.integrated import eap_ig_activations
from interp.circuits.search import edge_scores, mean_scores, smallest, strongest
from interp.circuits.written import ablation_values
from interp.metrics import logit_difference
from interp.tasks.batches import by_length

NEAR = 1e-9
BUILT = {
    "learned": planted.induction,
    "grouped": lambda: planted.induction(grouped=True),
    "or": lambda: planted.gate("or"),
    "and": lambda: planted.gate("and"),
    "looked up": planted.looked_up,
}


@pytest.fixture(scope="module", params=BUILT)
def built(request):
    return BUILT[request.param]()


@pytest.fixture(scope="module", params=[False, True], ids=["learned", "grouped"])
def induction(request):
    return planted.induction(request.param)


@pytest.fixture(scope="module", params=["or", "and"])
def gate(request):
    return request.param, planted.gate(request.param)


def removed(of, task=None, ablation="resample"):
    """The exact effect of every edge, mean over prompts, in the order of the cells."""
    cells = of.graph.cells()
    return exact_effects(of.model, of.graph, task or of.task, cells, ablation).mean(-1)


def scored(of, task=None, steps=0):
    """The score of every edge, in the order of the cells."""
    means = mean_scores(of.graph, edge_scores(of.model, of.graph, task or of.task, steps=steps))
    return np.array([means[cell] for cell in of.graph.cells()])


def named(of, values):
    """The values that are not zero, by their edges."""
    cells = of.graph.cells()
    return {
        str(of.graph.edge(*cell)): pytest.approx(float(value), abs=NEAR)
        for cell, value in zip(cells, values, strict=True)
        if abs(value) > NEAR
    }


def done(of, masks, task=None):
    """Faithfulness, divergence and metric of circuits, means over prompts."""
    found = evaluate(of.model, of.graph, task or of.task, masks)
    return found.faithfulness().value, found.kl.mean(-1), found.metric.mean(-1)


def without(mask, *cells):
    mask = mask.copy()
    for cell in cells:
        mask[cell] = False
    return mask


def test_exact_effects_are_those_that_were_built_and_no_other_edge_has_any(built):
    np.testing.assert_allclose(removed(built), built.expected(), atol=NEAR)


def test_the_circuit_alone_is_the_model_and_all_else_is_nothing(built):
    share, _, _ = done(built, [built.circuit(), built.graph.allowed & ~built.circuit()])
    np.testing.assert_allclose(share, [1, 0], atol=NEAR)


def test_removed_from_the_circuit_alone_an_edge_does_what_it_does_in_the_model(built):
    circuit = built.circuit()
    masks = [circuit, *(without(circuit, cell) for cell in built.cells())]
    _, _, metric = done(built, masks)
    np.testing.assert_allclose(metric[1:] - metric[0], [*built.effects.values()], atol=NEAR)


def test_a_gate_is_not_what_its_edges_are_one_by_one(gate):
    """Either input of an OR can go and not both; restored by itself each does all. Of an AND none can go, and
    restored by itself each does nothing."""
    kind, of = gate
    circuit, (*inputs, out) = of.circuit(), of.cells()
    first, second = (inputs[0], inputs[2]), (inputs[1], inputs[3])
    masks = [circuit & False for _ in range(2)]
    for mask, path in zip(masks, (first, second), strict=True):
        for cell in (*path, out):
            mask[cell] = True
    share, _, _ = done(of, [*masks, without(circuit, *inputs[:2])])
    np.testing.assert_allclose(share, [1, 1, 0] if kind == "or" else [0, 0, 0], atol=NEAR)
    one = 1.0 if kind == "or" else 0.0
    restored = {str(of.graph.edge(*cell)): one for cell in inputs if one}
    restored[str(of.graph.edge(*out))] = 1.0
    assert named(of, removed(of, planted.turned(of.task))) == restored


def test_first_order_scores_of_a_gate_are_its_slopes(gate):
    """In a run an OR is flat and an AND is steep, so that EAP is exact for one edge at a time in either
    direction; averaged over the way from one run to the other each input has half, for both gates."""
    _, of = gate
    for task in (of.task, planted.turned(of.task)):
        np.testing.assert_allclose(scored(of, task), removed(of, task), atol=NEAR)
    inputs = [str(of.graph.edge(*cell)) for cell in of.cells()[:4]]
    halves = dict.fromkeys(inputs, -0.5) | {"L0 MLP → logits.logits": -1.0}
    assert named(of, scored(of, steps=4)) == halves


def test_scores_of_what_is_linear_are_its_effects():
    of = planted.looked_up()
    for steps in (0, 3):
        np.testing.assert_allclose(scored(of, steps=steps), of.expected(), atol=NEAR)


def test_scores_of_saturated_attention_are_nothing_and_their_order_is_right(induction):
    """On the clean prompt attention has 1 - 1e-8 of what there is to have: its slope is p(1 - p), whatever
    it would lose. EAP names all five edges, and says of three that they do a millionth of what they do."""
    p = planted.share(20.0)
    flat = -20 * p * (1 - p)
    scores, exact = scored(induction), np.array(induction.expected())
    small = {name for name, value in induction.effects.items() if value > -0.9}
    wanted = {name: flat if name in small else -p for name in induction.effects}
    assert named(induction, scores) == wanted
    assert len(small) == 3
    assert 0 < abs(flat) < 1e-5 < 0.8 < abs(exact[exact < 0]).min()
    # Every true edge before every other: an area of 1 under the ROC.
    assert scores[exact < 0].max() < scores[exact == 0].min()


def test_integrated_gradients_of_saturated_attention_are_the_mean_slope_on_the_way(induction):
    """At t of the way query and key are t of what they are on the clean prompt, the score t² of it, and what
    the place attended to holds of the answer is t."""
    steps = np.arange(1, 6) / 5
    p = np.array([planted.share(20 * t * t) for t in steps])
    attended = float(-(20 * steps**2 * p * (1 - p)).mean())
    wanted = {name: attended for name, value in induction.effects.items() if value > -0.9}
    keys = [name for name in induction.effects if name not in wanted]
    wanted |= {keys[0]: float(-p.mean()), keys[1]: -planted.share(20.0)}
    assert named(induction, scored(induction, steps=5)) == wanted


def test_an_audit_sees_what_an_order_hides(induction):
    """One third of the graph is its strongest edges: their scores are off by all that attention does."""
    of, task = induction, induction.task
    means = mean_scores(of.graph, edge_scores(of.model, of.graph, task))
    audit = audited(of.model, of.graph, task, means, 30)
    strongest_ = agreement(audit, of.graph.n_edges).set_index("kind").loc["strongest"]
    lost = planted.share(20.0) - 1 / planted.N_CTX
    assert strongest_["largest_error"] == pytest.approx(lost, abs=1e-5)
    off = audit[(audit["score"].abs() < 1e-5) & (audit["exact"].abs() > 0.8)]
    assert set(off["writer"] + " → " + off["reader"] + "." + off["input"]) == {
        name for name, value in of.effects.items() if value > -0.9
    }


def test_what_carries_the_same_on_both_prompts_is_seen_when_nothing_is_put_in_its_place(induction):
    """The distractor writes half a logit of the wrong token whatever the prompt."""
    of = induction
    readers = {"L1H0 → logits.logits", "L1H3 → logits.logits"}
    cells, zero = of.graph.cells(), removed(of, ablation="zero")
    found = {str(of.graph.edge(*cell)): value for cell, value in zip(cells, zero, strict=True)}
    (told,) = [name for name in readers & found.keys() if abs(found[name]) > NEAR]
    assert found[told] == pytest.approx(0.5)
    assert told not in of.effects


@pytest.mark.parametrize("steps", [0, 5])
def test_the_strongest_edges_are_the_circuit_and_the_smallest_that_is_enough_is_it(built, steps):
    of, wanted = built, built.circuit()
    if steps == 0 and 0 in of.effects.values():
        # Of an OR gate EAP scores no input, rightly: either can go.
        assert list(named(of, scored(of))) == [str(of.graph.edge(*of.cells()[-1]))]
        return
    means = mean_scores(of.graph, edge_scores(of.model, of.graph, of.task, steps=steps))
    sizes = [n / of.graph.n_edges for n in (2, wanted.sum(), of.graph.n_edges - 1)]
    assert (strongest(of.graph, means, sizes[1]) == wanted).all()
    found = smallest(of.model, of.graph, of.task, means, 0.8, fractions=sizes)
    assert (found.kept == wanted).all()


def test_exact_effects_of_edges_in_closed_form_are_those_that_were_built(built):
    found = edge_effects(built.model, built.graph, built.task)
    np.testing.assert_allclose(found.values.mean(-1), built.expected(), atol=NEAR)


@pytest.mark.parametrize("search", [acdc, greedy])
def test_removal_leaves_the_circuit_and_of_two_that_do_the_same_one(built, search):
    """Edges of a path that an OR gate does not need go with it."""
    done = search(built.model, built.graph, built.task, 0.01, metric=logit_difference)
    left, wanted = built.graph.pruned(done.kept), built.circuit()
    if 0 not in built.effects.values():
        assert (done.kept == wanted).all()
        return
    (first, second, of_first, of_second, out) = built.cells()
    paths = [{first, of_first, out}, {second, of_second, out}]
    assert set(built.graph.cells(left)) in paths
    assert set(built.graph.cells(done.kept)) in paths


def test_activations_moved_by_themselves_restore_what_saturates(induction):
    """From one end to the other the score of what the keys read is p(1) - p(0): all of the effect, where at
    the clean end it has none of it."""
    of, (batch,) = induction, by_length(induction.task)
    other = ablation_values(of.model, of.graph, of.task, batch, "resample")
    (keys,) = [cell for cell in of.cells() if of.graph.readers[cell[0]].input == "k"]
    for steps, within in ((5, 0.52), (100, 0.09)):
        scores = eap_ig_activations(of.model, of.graph, batch, other, steps=steps).each
        t = np.arange(1, steps + 1) / steps
        p = np.array([planted.share(20 * each) for each in t])
        found = float(scores[:, keys[0], keys[1]].mean())
        assert found == pytest.approx(-(20 * p * (1 - p)).mean(), abs=NEAR)
        exact = 1 / planted.N_CTX - planted.share(20.0)
        assert abs(found - exact) < within
