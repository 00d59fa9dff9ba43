"""The part of the model that interventions can change, run for many of them at once.

A row is one prompt under one intervention. Rows join the batch at their entry point and stay to the end, so
the batch grows over the layers. A causal model cannot be changed before an edit's position, so a row
holds only positions from `start` on and attends to the base run's keys and values before it. Rows of
different starts share every product with weights: they lie side by side in one long row of tokens.
In the last layer only the positions that the metric reads go on.

What several prompts begin with alike is a group of rows of its own, one a leader, that ends at `stop`;
the rows that `follow` attend to its keys and values as to their own.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interp import sites
from interp.engine.base import Base
from interp.engine.entry import EntryPoint
from interp.transformer import Transformer, inputs
from interp.transformer.hooks import NO_HOOKS, Hooks
from interp.transformer.rotary import Angles

_PLAIN = NO_HOOKS


# start, stop, and the start of what these rows follow
Span = tuple[int, int | None, int | None]


@dataclass
class Rows:
    """Rows of one span of positions: the prompt of each and its stream, at positions from `start` on
    (up to `stop`, if it is set) or, where `at` is set, at these of them. With `follows`, row i goes on
    after row `follows[i]` of the group that stops where this one starts."""

    start: int
    examples: Int[Tensor, " example"]
    resid: Float[Tensor, "example pos d_model"]
    stop: int | None = None
    led_from: int | None = None
    follows: Int[Tensor, " example"] | None = None
    at: Int[Tensor, "example label"] | None = None

    @property
    def span(self) -> Span:
        """What groups that may lie together have in common."""
        return self.start, self.stop, self.led_from

    @property
    def leader(self) -> Span:
        """The span of the group that these rows follow."""
        return self.led_from or 0, self.start, None


Arrive = Callable[[EntryPoint], Sequence[Rows]]


class Propagation:
    """One batch on its way through the layers.

    `arrive` says which rows join at an entry point. With `hooks`, which needs whole activations, all rows
    must have one start, and no position is left out in the last layer.
    """

    def __init__(
        self, model: Transformer, base: Base, arrive: Arrive, hooks: Hooks | None = None
    ) -> None:
        self.model, self.base, self.arrive = model, base, arrive
        self.hooks = hooks or _PLAIN
        self.rows: dict[Span, Rows] = {}

    @torch.no_grad()
    def run(self, first: int) -> list[Rows]:
        """The final stream of all rows at the positions that the metric reads, for each span; leaders,
        of whom nothing is read, are left out."""
        for layer in range(first, self.model.config.n_layers):
            self._join(EntryPoint(layer, 0))
            if self.rows:
                self._block(layer)
            else:
                self._join(EntryPoint(layer, 1))
                if self.rows:
                    self._mlp(layer)
            self._join(EntryPoint(layer, 2))
        done = [rows for rows in self.rows.values() if rows.stop is None]
        for rows in done:
            self._read(rows)
        return done

    def _block(self, layer: int) -> None:
        """Attention and MLP for the rows there are; rows that join between them go through the MLP."""
        config = self.model.config
        before = [rows.resid for rows in self.rows.values()]
        attn_out = self._attention(layer)
        for rows, written in zip(self.rows.values(), attn_out, strict=True):
            rows.resid = rows.resid + written
        if not config.d_mlp:
            return
        if config.parallel:
            reads = [
                resid if rows.at is None else _take(resid, rows.at)
                for rows, resid in zip(self.rows.values(), before, strict=True)
            ]
            self._mlp(layer, reads)
            return
        self._join(EntryPoint(layer, 1))
        self._mlp(layer)

    def _attention(self, layer: int) -> list[Tensor]:
        """attn_out of every group of rows; in the last layer only what is read goes on."""
        block, hooks, every = self.model.block(layer), self.hooks, list(self.rows.values())
        resid = [rows.resid for rows in every]
        x, of_k, of_v = inputs.reads(_side_by_side(resid), layer, block.config, block.ln1, hooks)
        rotary = self._rotary(every)
        k = _apart(block.attn.keys(of_k, rotary, hooks), resid)
        v = _apart(block.attn.values(of_v, hooks), resid)
        if layer == self.model.config.n_layers - 1:
            reads = _apart(x, resid)
            for number, rows in enumerate(every):
                self._narrow(rows)
                if rows.at is not None:
                    reads[number] = _take(reads[number], rows.at)
            x, rotary = _side_by_side(reads), self._rotary(every)
        like = [rows.resid for rows in every]
        q = _apart(block.attn.queries(x, rotary, hooks), like)
        z = []
        for number, rows in enumerate(every):
            all_k = self._with_past(rows, self.base.keys[layer], k, number)
            all_v = self._with_past(rows, self.base.values[layer], v, number)
            z.append(block.attn.mix(q[number], all_k, all_v, self._mask(rows, layer), hooks))
        written = hooks(sites.attn_out(layer), block.attn.write(_side_by_side(z), hooks))
        return _apart(written, like)

    def _with_past(self, rows: Rows, base: Tensor, own: Sequence[Tensor], number: int) -> Tensor:
        """Keys or values of these rows from position 0 on: the base run's, those of what the rows
        follow, and their own, which is `number` among those of all groups."""
        parts = [own[number]]
        first = rows.start
        if rows.follows is not None:
            leaders = list(self.rows).index(rows.leader)
            parts.insert(0, own[leaders][rows.follows])
            first = rows.leader[0]
        if first:
            parts.insert(0, base[rows.examples, :first])
        return torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]

    def _mlp(self, layer: int, reads: Sequence[Tensor] | None = None) -> None:
        """Adds mlp_out to the stream of all rows; `reads` is the stream it reads, if another."""
        block, hooks, every = self.model.block(layer), self.hooks, list(self.rows.values())
        if reads is None:
            if hooks.edits(sites.resid_mid(layer)):
                every[0].resid = hooks(sites.resid_mid(layer), every[0].resid)
            reads = [rows.resid for rows in every]
        x = block.ln2(
            hooks(sites.mlp_in(layer), _side_by_side(reads)),
            hooks,
            sites.ln2_scale(layer),
            sites.ln2_normalized(layer),
        )
        for rows, written in zip(every, _apart(block.mlp(x, hooks), reads), strict=True):
            rows.resid = rows.resid + written

    def _join(self, at: EntryPoint) -> None:
        last = at.layer == self.model.config.n_layers - 1
        for new in self.arrive(at):
            if last and at.stage > 0:
                self._narrow(new)
            old = self.rows.get(new.span)
            if old is None:
                self.rows[new.span] = new
                continue
            old.examples = torch.cat([old.examples, new.examples])
            old.resid = torch.cat([old.resid, new.resid])
            if old.follows is not None and new.follows is not None:
                old.follows = torch.cat([old.follows, new.follows])
            if old.at is not None and new.at is not None:
                old.at = torch.cat([old.at, new.at])
        site = (sites.resid_pre if at.stage == 0 else sites.resid_post)(at.layer)
        if at.stage != 1 and self.hooks.edits(site):
            (rows,) = self.rows.values()
            rows.resid = self.hooks(site, rows.resid)

    def _narrow(self, rows: Rows) -> None:
        """Leaves of the stream only what the metric reads, if that is less and nobody else reads."""
        if rows.stop is not None:
            rows.at = rows.examples.new_empty(len(rows.examples), 0)
            rows.resid = rows.resid[:, :0]
            return
        n_pos = self.base.tokens.shape[1] - rows.start
        if self.hooks is not _PLAIN or self.base.read.shape[1] >= n_pos:
            return
        rows.at = (self.base.read[rows.examples] - rows.start).clamp(min=0)
        rows.resid = _take(rows.resid, rows.at)

    def _read(self, rows: Rows) -> None:
        """Leaves of the final stream the positions that the metric reads; those before `start` are
        the base run's."""
        read = self.base.read[rows.examples]
        if self.hooks is not _PLAIN:
            return
        if rows.at is None:
            rows.at = (read - rows.start).clamp(min=0)
            rows.resid = _take(rows.resid, rows.at)
        known = _take(self.base.resid_post[rows.examples], read)
        rows.resid = torch.where((read < rows.start)[..., None], known, rows.resid)

    def _rotary(self, every: Sequence[Rows]) -> Angles | None:
        rotary = self.base.around.rotary
        if rotary is None:
            return None
        parts = []
        for rows in every:
            padded = len(rotary.cos) > 1
            both = []
            for part in (rotary.cos, rotary.sin):
                of_rows = (
                    part[rows.examples] if padded else part.expand(len(rows.examples), -1, -1, -1)
                )
                of_rows = of_rows[:, rows.start : rows.stop]
                both.append(of_rows if rows.at is None else _take(of_rows, rows.at))
            parts.append(both)
        return Angles(*(_side_by_side([both[which] for both in parts]) for which in (0, 1)))

    def _mask(self, rows: Rows, layer: int) -> Bool[Tensor, "#batch 1 query key"]:
        mask = self.base.around.mask(layer)
        if len(mask) > 1:
            mask = mask[rows.examples]
        mask = mask[:, :, rows.start : rows.stop, : rows.stop]
        if rows.at is None:
            return mask
        whole = mask.expand(len(rows.examples), -1, -1, -1)[:, 0]
        return _take(whole, rows.at)[:, None]


def _take(x: Tensor, at: Int[Tensor, "example label"]) -> Tensor:
    """x `[example pos …]` at these positions of each row."""
    return x[torch.arange(len(at), device=x.device)[:, None], at]


def _side_by_side(tensors: Sequence[Tensor]) -> Tensor:
    """`[example pos …]` as it is if there is one, else all as one long row of tokens."""
    if len(tensors) == 1:
        return tensors[0]
    return torch.cat([each.flatten(0, 1) for each in tensors])[None]


def _apart(joined: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    """What lies side by side as separate tensors again, `like` these in their first two axes."""
    if len(like) == 1:
        return [joined]
    pieces = joined[0].split([each.shape[0] * each.shape[1] for each in like])
    return [piece.unflatten(0, each.shape[:2]) for piece, each in zip(pieces, like, strict=True)]
