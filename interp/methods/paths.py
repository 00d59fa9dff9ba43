"""Through which path does one part of the model reach another, and how much does that path carry?

Method  Path patching. The sender writes what it writes on the corrupted prompt; every other head is
        held at the clean run, and MLPs on the way are recomputed or held too (`mlps` says which). What
        the receiver's one input then reads goes into a clean run, in which everything after the
        receiver is computed again. Inputs are a head's queries, keys and values, an MLP, and the
        logits (the direct effect, final norm computed again). Where query heads share a key/value
        head, one of them can be given a private copy of its changed keys or values, recomputed for it
        alone; or all of them read the changed one: the receiver's name says which.
Units   Logits of answer minus wrong, patched minus clean. Negative: the path helps.
Source  Wang et al. 2022, Interpretability in the Wild, arXiv:2211.00593; Goldowsky-Dill et al. 2023,
        Localizing Model Behavior with Path Patching, arXiv:2304.05969.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from interp import components, edits, sites
from interp.components import Component
from interp.edits import Edit
from interp.effects import Effects, Selection, Test
from interp.engine import sweep
from interp.engine.base import Base, base_run
from interp.engine.plan import memory_budget
from interp.methods.changed_inputs import ChangedInputs
from interp.methods.direct import readout
from interp.methods.moves import WAYS, Bank, Moves, Way
from interp.methods.propagation import (
    Change,
    Mlps,
    Receiver,
    mlp_rewritten,
    mlp_written,
    needed,
    propagated,
    query_heads,
    read_at,
)
from interp.metrics import logit_difference
from interp.tasks import Task
from interp.tasks.base import task_of
from interp.tasks.batches import PromptBatch, by_length, gathered
from interp.transformer import Transformer
from interp.transformer.packing import packed


@dataclass(frozen=True, slots=True)
class Path:
    """From what one component writes to one input of another, spelt `L2H4 → q of L3H3`."""

    sender: Component
    receiver: Receiver

    def __str__(self) -> str:
        into = "" if self.receiver.input == "logits" else f"{self.receiver.input} of "
        return f"{self.sender} → {into}{self.receiver}"

    @property
    def possible(self) -> bool:
        """Whether the sender comes before the receiver: an MLP also reads the heads of its layer."""
        last, first = self.receiver.layer, self.sender.layer
        if last is None or first is None:
            return last is None
        return (first, self.sender.kind == "mlp") < (last, self.receiver.input == "mlp")

    def columns(self) -> dict[str, Any]:
        """What begins its row of a table."""
        sender, ends = self.sender, {"receiver": str(self.receiver), "input": self.receiver.input}
        return {**ends, "sender_kind": sender.kind, "layer": sender.layer, "head": sender.index}


@dataclass(frozen=True)
class Paths:
    """The effect of every path on every kept prompt, receiver by receiver; 0 where a sender comes after
    its receiver. Alike are paths into one receiver from senders of one layer."""

    receivers: tuple[Receiver, ...]
    senders: tuple[Component, ...]
    mlps: Mlps
    effects: Effects

    def into(self, receiver: Receiver) -> Effects:
        """Every sender's path into this one."""
        first = self.receivers.index(receiver) * len(self.senders)
        return self.effects.only(slice(first, first + len(self.senders)))

    @property
    def possible(self) -> Effects:
        """The paths whose sender comes before their receiver."""
        rows = [row for row, path in enumerate(self.effects.components) if path.possible]
        return self.effects.only(np.array(rows, dtype=np.int64))


def all_senders(model: Transformer) -> list[Component]:
    """Every head and every MLP."""
    return [*components.heads(model), *(components.mlps(model) if model.config.d_mlp else [])]


@torch.no_grad()
def paths(
    model: Transformer,
    task: Task,
    senders: Sequence[Component],
    receivers: Sequence[Receiver],
    mlps: Mlps = "recomputed",
    way: Way | None = None,
    seed: int = 0,
) -> Paths:
    """The effect of every path from a sender to a receiver, on every kept prompt; with a `way`, of the
    control: senders are moved as far as on the corrupted prompt in another direction.

    Raises  UsageError for a receiver or a sender that the model or a prompt does not have.

    >>> from interp.methods.propagation import Receiver
    >>> receivers = [Receiver(components.Head(2, 0), "q", "END")]
    >>> paths(model, task, [components.Head(0, 1)], receivers).effects.values.shape
    (1, 8)
    """
    for receiver in receivers:
        receiver.component.check(model)
    found = []
    # Once for all batches: to pack the weights takes as long as a short run.
    with packed(model, unembedding=False):
        batches, wanted = by_length(task, model.device), needed(model, senders)
        runs = [Moves(model, batch, wanted) for batch in batches]
        bank = Bank(runs)
        for batch, run in zip(batches, runs, strict=True):
            new = run.other if way is None else run.moved(bank, way, 0, seed)
            effects = batch_paths(model, batch, senders, receivers, new, mlps)
            found.append((batch, effects.flatten(0, 1)))
    every = [Path(sender, receiver) for receiver in receivers for sender in senders]
    layers = np.array([-1 if each.layer is None else each.layer for each in senders])
    apart = np.arange(len(receivers))[:, None] * (2 + layers.max())
    labelled = Effects(gathered(task, found), every, task, strata=(apart + layers).ravel())
    return Paths(tuple(receivers), tuple(senders), mlps, labelled)


def confirm(
    model: Transformer, chosen: Selection, what: str, mlps: Mlps = "recomputed", seed: int = 0
) -> Test:
    """The chosen paths, called `what`, on fresh prompts beside senders moved as far in other directions."""
    fresh, picked = task_of(chosen.screen.task.confirmation), chosen.components
    senders = list(dict.fromkeys(each.sender for each in picked))
    receivers = list(dict.fromkeys(each.receiver for each in picked))

    def measured(way: Way | None = None) -> Effects:
        effects = paths(model, fresh, senders, receivers, mlps, way, seed).effects
        return effects.only([effects.components.index(each) for each in picked])

    controls = {name: measured(way) for way, name in WAYS.items()}
    within = "of the same layers and receivers"
    return chosen.test(measured(), controls, what=what, matched=within, seed=seed)


@torch.no_grad()
def batch_paths(
    model: Transformer,
    batch: PromptBatch,
    senders: Sequence[Component],
    receivers: Sequence[Receiver],
    new: Mapping[Any, Tensor],
    mlps: Mlps,
) -> Float[Tensor, "label component batch"]:
    """The same for prompts of one length, for senders that write what `new` says."""
    real = torch.ones_like(batch.clean, dtype=torch.bool)
    places = [read_at(receiver, batch) for receiver in receivers]
    seen = real
    if all(each.input in ("q", "mlp", "logits") for each in receivers):
        seen = torch.zeros_like(real)
        for at in places:
            seen.scatter_(1, at, True)
    effects = torch.zeros(
        len(receivers), len(senders), len(batch.clean), dtype=torch.float64, device=model.device
    )
    base = base_run(model, batch.clean, real, logit_difference(batch))
    n_senders = _senders_at_once(base, receivers)
    for first in range(0, len(senders), n_senders):
        some = senders[first : first + n_senders]
        addresses: list[tuple[int, int]] = []
        interventions: list[Edit] = []
        for reader, layer, change in propagated(model, base, some, new, seen, mlps):
            for number, receiver in enumerate(receivers):
                if _reads(receiver, reader, layer):
                    if receiver.input == "logits":
                        direct = _direct(model, batch, base, change, len(some))
                        effects[number, first : first + len(some)] = direct
                        continue
                    for sender, edit in _inputs(model, base, receiver, places[number], change):
                        addresses.append((number, first + sender))
                        interventions.append(edit)
        if interventions:
            swept = sweep(model, batch.clean, interventions, logit_difference(batch)).double()
            effects[tuple(torch.tensor(addresses).T)] = swept
    return effects


def _reads(receiver: Receiver, reader: str, layer: int) -> bool:
    kind = {"mlp": "mlp", "logits": "logits"}.get(receiver.input, "attention")
    return kind == reader and receiver.layer in (None, layer)


def _inputs(
    model: Transformer,
    base: Base,
    receiver: Receiver,
    at: Int[Tensor, "batch label"],
    change: Change,
) -> Iterator[tuple[int, Edit]]:
    """For each sender that reaches the receiver, the edit that gives it its changed input."""
    positions = None if receiver.at is None else at
    if not len(change.place):
        return
    layer = receiver.layer
    assert layer is not None
    if receiver.input == "mlp":
        rows = torch.arange(len(at), device=at.device)[:, None]
        known = mlp_written(model, base, layer)
        rewritten = mlp_rewritten(model, base, layer, change)
        for sender, own in _by_sender(change):
            written = known.flatten(0, 1).clone()
            written[change.place[own]] = rewritten[own]
            value = written.view_as(known)[rows, at]
            yield sender, edits.put(sites.mlp_out(layer), value, positions=positions)
        return
    assert receiver.input != "logits"
    heads = query_heads(model, receiver)
    reader = ChangedInputs(model, base, receiver.input, layer, heads, at)
    read = reader.read(change)
    for sender, own in _by_sender(change):
        z = reader.changed(change.place[own], read[own])
        yield sender, edits.put(sites.z(layer), z, heads=heads, positions=positions)


def _by_sender(change: Change) -> Iterator[tuple[int, Tensor]]:
    """Each sender with the rows that are its own."""
    for sender in change.sender.unique().tolist():
        yield sender, (change.sender == sender).nonzero()[:, 0]


def _direct(
    model: Transformer, batch: PromptBatch, base: Base, change: Change, n_senders: int
) -> Float[Tensor, "component batch"]:
    """The direct effect of every sender, by what it has changed at END."""
    n_examples, n_pos = base.tokens.shape
    example, position = change.place // n_pos, change.place % n_pos
    end = position == n_pos - 1
    moved = base.resid_post.new_zeros(n_senders, n_examples, base.resid_post.shape[-1])
    moved[change.sender[end], example[end]] = change.delta[end]
    read = readout(model, logit_difference(batch))
    return torch.stack([read.effect(base.resid_post[:, -1], each) for each in moved])


def _senders_at_once(base: Base, receivers: Sequence[Receiver]) -> int:
    """As many as fit a quarter of a sweep's memory, with what they change and what they send."""
    n_examples, n_pos = base.tokens.shape
    d_model = base.resid_post.shape[-1]
    z_width = base.z[0].shape[-2] * base.z[0].shape[-1]
    sent = sum(
        {"logits": d_model, "mlp": d_model}.get(each.input, z_width)
        * (n_pos if each.at is None and each.input != "logits" else 1)
        for each in receivers
    )
    floats = n_examples * (4 * n_pos * d_model + sent)
    return max(1, memory_budget(None) // 4 // (floats * base.resid_post.element_size()))
