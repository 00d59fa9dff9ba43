"""A path carries what a whole recomputation with everything else held says that it carries."""

import random

import numpy as np
import pytest
import torch

import interp
from interp import components, edits, sites, tasks
from interp.components import MLP, AttentionLayer, Embedding, Head, KVHead, Logits, together
from interp.errors import UsageError
from interp.methods.moves import WAYS
from interp.methods.naive_path import worst_error
from interp.methods.paths import Path, all_senders, batch_paths, confirm, paths
from interp.methods.propagation import Receiver
from interp.metrics import logit_difference
from interp.tasks import batches
from interp.tasks.batches import by_length

MODELS = (
    "tiny-gpt2",
    "tiny-neox",
    "tiny-llama",
    "tiny-qwen3",
    "tiny-attn-only",
    "tiny-bidirectional",
)
ENDS = (None, "END", "S1")


@pytest.fixture(scope="module", params=MODELS)
def model(request):
    return interp.load(request.param, dtype=torch.float64)


@pytest.fixture(scope="module")
def task(model):
    return tasks.build("ioi", model.tokenizer, n=4, seed=1)


@pytest.fixture(scope="module")
def batch(model, task):
    return max(by_length(task, model.device), key=lambda each: len(each.clean))


def receivers_of(model):
    """Every kind of receiver, in the last layer and in one before it."""
    config = model.config
    last = config.n_layers - 1
    yield Receiver(Logits(), "logits")
    for layer in {1, last}:
        for at in ENDS:
            for which in ("q", "k", "v"):
                yield Receiver(Head(layer, config.n_heads - 1), which, at)
            for which in ("k", "v"):
                yield Receiver(KVHead(layer, config.n_kv_heads - 1), which, at)
            if config.d_mlp:
                yield Receiver(MLP(layer), "mlp", at)


def some_senders(model):
    """A head and, where there is one, an MLP of every layer, and two heads together."""
    config = model.config
    yield from (Head(layer, layer % config.n_heads) for layer in range(config.n_layers))
    yield from components.mlps(model) if config.d_mlp else ()
    yield together(Head(0, 0), Head(0, 2))


def difference(batch, logits):
    rows = torch.arange(len(logits))
    return logits[rows, -1, batch.answer] - logits[rows, -1, batch.distractor]


class Oracle:
    """Path patching by whole runs of the model, everything off the path held by an edit."""

    def __init__(self, model, batch):
        self.model, self.batch = model, batch
        self.clean = model.run(batch.clean, keep="all")
        self.new = model.run(batch.corrupted, keep="all").cache
        self.before = difference(batch, self.clean.logits)

    def sent(self, sender, mlps, keep):
        """A run in which the sender writes what is new and all else, up to the receiver, is held."""
        config, (written,) = self.model.config, sender.slices(self.model)
        made = []
        for layer in range(config.n_layers):
            for site in (sites.z(layer), sites.mlp_out(layer)):
                if site == written.site:
                    made.append(edits.freeze(site, self.clean.cache))
                    made.append(edits.patch(site, self.new, heads=written.heads))
                elif site.kind == "z" or (config.d_mlp and mlps == "frozen"):
                    made.append(edits.freeze(site, self.clean.cache))
        return self.model.run(self.batch.clean, edits=made, keep=keep)

    def effect(self, sender, receiver, mlps):
        config = self.model.config
        if receiver.input == "logits":
            return difference(self.batch, self.sent(sender, mlps, []).logits) - self.before
        positions = None
        if receiver.at is not None:
            positions = [[prompt.positions[receiver.at]] for prompt in self.batch.prompts]
        if receiver.input == "mlp":
            read, site, heads = (
                sites.ln2_normalized(receiver.layer),
                sites.mlp_out(receiver.layer),
                None,
            )
            own = None
            source = self.sent(sender, mlps, [read]).cache
        else:
            read = sites.Site(receiver.input, receiver.layer)
            source = self.sent(sender, mlps, [read]).cache
            group, head = config.group, receiver.component.index
            shared = receiver.component.kind == "kv_head"
            own = [head // group] if receiver.input != "q" and not shared else [head]
            site, heads = sites.z(receiver.layer), [head]
            if shared:
                heads = list(range(head * group, (head + 1) * group))
        # Give the input to whoever reads it, see what they write, and keep that of the receiver.
        made = [edits.patch(read, source, heads=own)]
        source = self.model.run(self.batch.clean, edits=made, keep=[site]).cache
        last = edits.patch(site, source, heads=heads, positions=positions)
        run = self.model.run(self.batch.clean, edits=[last])
        if receiver.component.kind == "kv_head" and positions is None:
            # What a key/value head sends is what everybody who reads it reads.
            again = self.model.run(self.batch.clean, edits=made)
            torch.testing.assert_close(run.logits, again.logits, rtol=0, atol=1e-10)
        return difference(self.batch, run.logits) - self.before


@pytest.mark.parametrize("mlps", ["recomputed", "frozen"])
def test_every_path_is_what_holding_everything_else_gives(model, batch, mlps):
    senders, receivers = [*some_senders(model)], [*receivers_of(model)]
    oracle = Oracle(model, batch)
    found = batch_paths(model, batch, senders, receivers, oracle.new, mlps)
    moved, draw = 0, random.Random(0)
    for row, receiver in enumerate(receivers):
        for column, sender in draw.sample([*enumerate(senders)], 3):
            expected = oracle.effect(sender, receiver, mlps)
            error = (found[row, column] - expected).abs() / expected.abs().clamp(min=1)
            assert float(error.max()) < 1e-10, (str(receiver), receiver, str(sender))
            moved += int(expected.abs().max() > 1e-9)
    assert moved > len(receivers) / 2


def test_mlps_on_the_way_matter_when_they_are_recomputed(model, batch):
    if not model.config.d_mlp:
        pytest.skip("attention only")
    new = model.run(batch.corrupted, keep="all").cache
    senders = [Head(0, 1)]
    ends = [Receiver(Logits(), "logits"), Receiver(Head(model.config.n_layers - 1, 0), "q", "END")]
    recomputed, frozen = (
        batch_paths(model, batch, senders, ends, new, mlps) for mlps in ("recomputed", "frozen")
    )
    assert float((recomputed - frozen).abs().amax((1, 2)).min()) > 1e-6


def test_a_sender_that_comes_after_reaches_nothing(model, task):
    last = model.config.n_layers - 1
    receivers = [Receiver(Head(last, 0), which) for which in ("q", "k", "v")]
    late = [part for part in all_senders(model) if part.layer == last]
    done = paths(model, task, late, receivers)
    assert not done.effects.values.any()
    assert done.effects.values.shape == (3 * len(late), task.n)
    assert not len(done.possible)


def test_paths_of_all_prompts_come_in_the_tasks_order(model, task):
    senders = [*some_senders(model)]
    receivers = [Receiver(Logits(), "logits"), Receiver(Head(1, 0), "v", "END")]
    done = paths(model, task, senders, receivers)
    for batch in by_length(task, model.device):
        new = model.run(batch.corrupted, keep="all").cache
        each = batch_paths(model, batch, senders, receivers, new, "recomputed")
        found = done.effects.values[:, list(batch.indices)]
        np.testing.assert_allclose(found, each.flatten(0, 1), atol=1e-12)


def test_memory_cuts_senders_into_batches_and_changes_nothing(model, batch):
    from interp.engine import options
    from interp.engine.base import base_run
    from interp.methods.paths import _senders_at_once

    new = model.run(batch.corrupted, keep="all").cache
    senders, receivers = [*some_senders(model)], [*receivers_of(model)][:6]
    whole = batch_paths(model, batch, senders, receivers, new, "recomputed")
    real = torch.ones_like(batch.clean, dtype=torch.bool)
    base = base_run(model, batch.clean, real, logit_difference(batch))
    with options(memory=900_000):
        assert _senders_at_once(base, receivers) < len(senders)
        cut = batch_paths(model, batch, senders, receivers, new, "recomputed")
    torch.testing.assert_close(cut, whole, rtol=0, atol=1e-12)


def test_a_control_moves_senders_as_far_in_other_directions(model, task):
    senders = components.heads(model)
    ends = [Receiver(Logits(), "logits")]
    plain = paths(model, task, senders, ends, "frozen").effects.values
    one, again, other = (
        paths(model, task, senders, ends, "frozen", "random", seed).effects.values
        for seed in (1, 1, 2)
    )
    assert np.array_equal(one, again)
    assert not np.allclose(one, other)
    assert not np.allclose(one, plain)
    # Where both prompts agree there is nothing to move.
    assert np.array_equal(one == 0, plain == 0)


def test_a_controls_directions_do_not_depend_on_which_prompts_run_together(
    model, task, monkeypatch
):
    def alone(task, device):
        return [batches._batch(task, [index], device) for index in range(task.n)]

    arguments = (model, task, components.heads(model)[:2], [Receiver(Logits(), "logits")], "frozen")
    batched = paths(*arguments, way="random", seed=1).effects.values
    monkeypatch.setattr("interp.methods.paths.by_length", alone)
    found = paths(*arguments, way="random", seed=1).effects.values
    np.testing.assert_allclose(found, batched, atol=1e-12)


def test_effects_of_paths_know_sender_receiver_and_which_are_alike(model, task):
    senders = [Head(0, 0), Head(0, 1), Head(1, 0)]
    into_q, logits = Receiver(Head(1, 1), "q", "END"), Receiver(Logits(), "logits")
    done = paths(model, task, senders, [into_q, logits])
    assert list(map(str, done.effects.components)) == [
        *("L0H0 → q of L1H1", "L0H1 → q of L1H1", "L1H0 → q of L1H1"),
        *("L0H0 → logits", "L0H1 → logits", "L1H0 → logits"),
    ]
    assert done.possible.components == [
        Path(senders[0], into_q),
        Path(senders[1], into_q),
        *(Path(each, logits) for each in senders),
    ]
    _, alike = np.unique(done.effects.strata, return_inverse=True)
    assert alike.tolist() == [0, 0, 1, 2, 2, 3]
    assert dict(Path(MLP(0), into_q).columns()) == {
        **{"receiver": "L1H1", "input": "q", "sender_kind": "mlp"},
        **{"layer": 0, "head": None},
    }
    np.testing.assert_array_equal(done.into(logits).values, done.effects.values[3:])


def test_a_path_is_possible_into_what_reads_what_its_sender_writes(model):
    if not model.config.d_mlp:
        pytest.skip("attention only")
    mlp, query = Receiver(MLP(1), "mlp"), Receiver(Head(1, 1), "q")
    assert Path(Head(1, 0), mlp).possible
    assert not Path(MLP(1), mlp).possible
    assert not Path(Head(1, 0), query).possible
    assert Path(MLP(0), query).possible
    assert Path(MLP(1), Receiver(Logits(), "logits")).possible
    task = tasks.build("ioi", model.tokenizer, n=4, seed=1)
    senders = [Head(0, 0), Head(1, 0), MLP(1)]
    done = paths(model, task, senders, [mlp, query])
    reached = done.effects.values.any(-1)
    possible = np.array([path.possible for path in done.effects.components])
    assert not (reached & ~possible).any()


def test_the_worst_error_of_paths_is_small_and_sees_a_wrong_effect(model, task):
    ends = [Receiver(Head(model.config.n_layers - 1, 0), "v", "END")]
    done = paths(model, task, [Head(0, 0)], ends, "frozen")
    assert worst_error(model, task, [done, done], seed=0) < 1e-10
    done.effects.values[:] += 0.5
    assert worst_error(model, task, [done], seed=0) == pytest.approx(0.5)


def test_chosen_paths_are_confirmed_path_by_path_beside_other_directions():
    model = interp.load("tiny-gpt2", dtype=torch.float64)
    task = tasks.build("ioi", model.tokenizer, n=8, seed=1)
    last = model.config.n_layers - 1
    ends = [Receiver(Head(last, head), which, "END") for head in (0, 1) for which in "qv"]
    chosen = paths(model, task, components.heads(model), ends).possible.select(3)
    test = confirm(model, chosen, "paths into heads", seed=2)
    assert test.labels == tuple(map(str, chosen.components))
    assert set(test.confirmation.controls) == set(WAYS.values())
    for path, values in zip(chosen.components, test.fresh.values, strict=True):
        alone = paths(model, task.confirmation, [path.sender], [path.receiver])
        np.testing.assert_allclose(values, alone.effects.values[0], atol=1e-10)
    assert (test.what, test.matched) == ("paths into heads", "of the same layers and receivers")


@pytest.mark.parametrize(
    "wrong",
    [
        (KVHead(1, 0), "q"),
        (MLP(1), "k"),
        (AttentionLayer(1), "v"),
        (Head(1, 0), "mlp"),
        (Embedding(), "mlp"),
        (MLP(1), "logits"),
        (Logits(), "logits", "END"),
    ],
)
def test_a_receiver_that_nothing_has_is_refused(wrong):
    with pytest.raises(UsageError, match="a receiver is q of a Head"):
        Receiver(*wrong)


def test_receivers_and_senders_of_other_models_are_refused(model, task):
    heads, config = components.heads(model)[:1], model.config
    for receiver, words in (
        (Receiver(Head(config.n_layers, 0), "q"), "has layers 0…"),
        (Receiver(Head(1, config.n_heads), "q"), "has heads 0…"),
        (Receiver(KVHead(1, config.n_kv_heads), "k"), "has kv_heads 0…"),
        (Receiver(Head(1, 0), "q", "S3"), "no position is called 'S3'"),
    ):
        with pytest.raises(UsageError, match=words):
            paths(model, task, heads, [receiver])
    with pytest.raises(UsageError, match="begins at a head or an MLP, got L0 attention"):
        paths(model, task, components.attention_layers(model)[:1], [Receiver(Logits(), "logits")])
    if not config.d_mlp:
        with pytest.raises(UsageError, match="attention only"):
            paths(model, task, heads, [Receiver(MLP(1), "mlp")])


def test_names_say_whose_keys_are_meant():
    assert str(Receiver(Head(3, 5), "k")) == "L3H5"
    assert str(Receiver(KVHead(3, 1), "k")) == "L3KV1"
    assert str(Receiver(MLP(3), "mlp")) == "L3 MLP"
    assert str(Receiver(Logits(), "logits")) == "logits"
