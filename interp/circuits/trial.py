"""A circuit as it stands, and what it does without the first, the first two … of some edges into one reader.

Method  What every reader reads and every writer writes under the circuit is held. Removing edges moves
        what their reader reads, by the ablated minus the written value of each; only what kept edges lead to
        from there is computed again, for all removals together, and in the last layer only where logits are
        read.
Units   Logits at the positions read, `[circuit batch label d_vocab]`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from interp import sites
from interp.circuits.graph import Graph, Mask
from interp.circuits.written import Written, kept_for, written
from interp.components import MLP, Head
from interp.errors import UsageError
from interp.transformer import Transformer
from interp.transformer.attention import Attention
from interp.transformer.norm import at_least_float32
from interp.transformer.project import read_heads
from interp.transformer.rotary import Angles

Streams = Float[Tensor, "circuit batch label d_model"]


@dataclass
class Trial:
    """What readers read and writers write where that is other than in the circuit, circuit by circuit; where
    nothing leads to the logits they are those of the circuit."""

    reads: dict[int, Streams] = field(default_factory=dict)
    moved: dict[int, Streams] = field(default_factory=dict)
    logits: Float[Tensor, "circuit batch label d_vocab"] | None = None


class Standing:
    """One batch of prompts under a circuit, at first the whole model."""

    def __init__(
        self,
        model: Transformer,
        graph: Graph,
        tokens: Int[Tensor, "batch pos"],
        ablated: Written,
        at: Int[Tensor, "batch label"],
    ) -> None:
        self.model, self.graph, self.at = model, graph, at
        config = model.config
        streams = [sites.resid_pre(layer) for layer in range(config.n_layers)]
        if config.d_mlp and not config.parallel:
            streams += [sites.resid_mid(layer) for layer in range(config.n_layers)]
        last = sites.resid_post(config.n_layers - 1)
        run = model.run(tokens, keep=[*kept_for(model), *streams, last], logits_at=at)
        self.logits = run.logits
        self.around = model.surroundings(torch.ones_like(tokens, dtype=torch.bool), run.cache[last])
        self.feeds = [
            np.flatnonzero(graph.feeds[:, column]).tolist() for column in range(len(graph.writers))
        ]
        ends = (None, config.n_layers - 1)
        # Of the last layer nothing is read elsewhere but keys and values.
        self._late_rows = {
            row
            for row, each in enumerate(graph.readers)
            if each.component.layer in ends and each.input not in ("k", "v")
        }
        self._late_columns = {
            column for column, each in enumerate(graph.writers) if each.layer == ends[1]
        }
        clean = written(model, graph, run.cache)
        self.ablated = [self._placed(column, each) for column, each in enumerate(ablated)]
        self.clean = [self._placed(column, each) for column, each in enumerate(clean)]
        self.read_clean = []
        for row, each in enumerate(graph.readers):
            layer = each.component.layer
            mid = each.input == "mlp" and not config.parallel
            site = last if layer is None else (sites.resid_mid if mid else sites.resid_pre)(layer)
            stream = run.cache[site]
            self.read_clean.append(_take(stream, at) if row in self._late_rows else stream)
        self.out, self.read = list(self.clean), list(self.read_clean)

    def _placed(self, column: int, value: Tensor) -> Tensor:
        return _take(value, self.at) if column in self._late_columns else value

    def _for(self, row: int, column: int, value: Tensor) -> Tensor:
        """What a writer writes, at the positions at which the reader reads."""
        narrower = row in self._late_rows and column not in self._late_columns
        return _take(value, self.at) if narrower else value

    @torch.no_grad()
    def settle(self, kept: Mask) -> None:
        """Takes the circuit to be this one, computed from the whole model's run."""
        removed = self.graph.allowed & ~kept
        self.out, self.read = list(self.clean), list(self.read_clean)
        moved: set[int] = set()

        def reads(row: int) -> bool:
            changes = [
                self._for(row, column, self.ablated[column] - self.clean[column])
                for column in np.flatnonzero(removed[row]).tolist()
            ]
            changes += [
                self._for(row, column, self.out[column] - self.clean[column])
                for column in np.flatnonzero(kept[row]).tolist()
                if column in moved
            ]
            if changes:
                self.read[row] = self.read_clean[row] + torch.stack(changes).sum(0)
            return bool(changes)

        for column, rows in enumerate(self.feeds):
            changed = [reads(row) for row in rows]
            if any(changed):
                new = self._writes(column, {row: self.read[row][None] for row in rows})
                self.out[column] = new[0]
                moved.add(column)
        last = len(self.graph.readers) - 1
        if reads(last):
            self.logits = self._read_out(self.read[last][None])[0]

    @torch.no_grad()
    def tried(self, row: int, columns: Sequence[int], kept: Mask, *, apart: bool = False) -> Trial:
        """The circuit `kept`, under which this stands, without the first of these edges into a reader,
        without the first two, and so on; or with `apart` without each of them alone."""
        deltas = torch.stack(
            [self._for(row, column, self.ablated[column] - self.out[column]) for column in columns]
        )
        found = Trial({row: self.read[row] + (deltas if apart else deltas.cumsum(0))})
        for column, rows in enumerate(self.feeds):
            if not any(each in found.reads for each in rows):
                continue
            found.moved[column] = new = self._writes(
                column, {each: found.reads.get(each, self.read[each][None]) for each in rows}
            )
            change = new - self.out[column]
            for reader in np.flatnonzero(kept[:, column]).tolist():
                before = found.reads.get(reader, self.read[reader])
                found.reads[reader] = before + self._for(reader, column, change)
        last = len(self.graph.readers) - 1
        if last in found.reads:
            found.logits = self._read_out(found.reads[last])
        return found

    def accept(self, trial: Trial, number: int) -> None:
        """From now on the circuit is number `number` of the trial."""
        for row, streams in trial.reads.items():
            self.read[row] = streams[number].clone()
        for column, streams in trial.moved.items():
            self.out[column] = streams[number].clone()
        if trial.logits is not None:
            self.logits = trial.logits[number].clone()

    def _read_out(self, streams: Streams) -> Float[Tensor, "circuit batch label d_vocab"]:
        normed = self.model.ln_final(streams)
        logits: Tensor = self.model.unembed(normed.flatten(0, 1))
        return logits.unflatten(0, normed.shape[:2])

    def _writes(self, column: int, reads: dict[int, Tensor]) -> Streams:
        """What a writer writes where its readers read this, each for all circuits or for one."""
        writer = self.graph.writers[column]
        if isinstance(writer, MLP):
            block, (stream,) = self.model.block(writer.layer), reads.values()
            normed = block.ln2(stream)
            out: Tensor = block.mlp(normed.flatten(0, 1))
            return out.unflatten(0, normed.shape[:2])
        if not isinstance(writer, Head):
            raise UsageError(f"edges are removed one by one between heads and MLPs, got {writer}")
        by_input = {self.graph.readers[row].input: stream for row, stream in reads.items()}
        return self._attended(writer, by_input["q"], by_input["k"], by_input["v"])

    def _attended(
        self,
        head: Head,
        of_q: Float[Tensor, "#circuit batch query d_model"],
        of_k: Float[Tensor, "#circuit batch key d_model"],
        of_v: Float[Tensor, "#circuit batch key d_model"],
    ) -> Float[Tensor, "#circuit batch query d_model"]:
        block, config, mask = (
            self.model.block(head.layer),
            self.model.config,
            self._mask(head.layer),
        )
        attn: Attention = block.attn
        shared, rotary = head.index // config.group, self.around.rotary
        own, late = [head.index], head.layer == config.n_layers - 1
        q = self._project(block.ln1(of_q), attn.W_Q, attn.b_Q, own)
        k = self._project(block.ln1(of_k), attn.W_K, attn.b_K, [shared])
        v = self._project(block.ln1(of_v), attn.W_V, attn.b_V, [shared])
        q = _placed(attn.place_queries, q, self._angles() if late else rotary)[..., 0, :]
        k = _placed(attn.place_keys, k, rotary)[..., 0, :]
        scores = torch.matmul(q, k.transpose(-1, -2)) / attn.scale
        pattern = at_least_float32(scores.masked_fill(~mask, float("-inf"))).softmax(-1).to(q.dtype)
        out: Tensor = torch.matmul(torch.matmul(pattern, v[..., 0, :]), attn.W_O[head.index])
        return out

    def _project(
        self, x: Streams, W: Tensor, b: Tensor | None, heads: list[int]
    ) -> Float[Tensor, "circuit batch label head d_head"]:
        read = read_heads(x.flatten(0, 1), W[heads], None if b is None else b[heads])
        return read.unflatten(0, x.shape[:2])

    def _mask(self, layer: int) -> Tensor:
        """`[batch query key]`, in the last layer of the queries that are read."""
        mask = self.around.mask(layer)[:, 0].expand(len(self.at), -1, -1)
        return _take(mask, self.at) if layer == self.model.config.n_layers - 1 else mask

    def _angles(self) -> Angles | None:
        """Those of the positions that are read."""
        rotary = self.around.rotary
        if rotary is None:
            return None
        return Angles(
            *(
                _take(part[:, :, 0].expand(len(self.at), -1, -1), self.at)[:, :, None]
                for part in (rotary.cos, rotary.sin)
            )
        )


def _placed(place: Callable[..., Tensor], x: Tensor, rotary: Angles | None) -> Tensor:
    """Queries or keys of several circuits normed and rotated."""
    if rotary is not None and len(rotary.cos) > 1:
        many = len(x)
        rotary = Angles(*(part.repeat(many, 1, 1, 1) for part in (rotary.cos, rotary.sin)))
    return place(x.flatten(0, 1), rotary).unflatten(0, x.shape[:2])


def _take(x: Tensor, at: Int[Tensor, "batch label"]) -> Tensor:
    """x `[… batch pos d_model]` at these positions of each prompt."""
    return x[..., torch.arange(len(at), device=x.device)[:, None], at, :]
