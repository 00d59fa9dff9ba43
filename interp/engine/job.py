"""What one intervention has to compute: where it enters, for which prompts, from which position on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from interp.edits import Edit, Put
from interp.engine.base import Base
from interp.engine.entry import EntryPoint, LayerEntry, entrance
from interp.engine.imagined import Imagining
from interp.engine.localise import first_position, given_apart
from interp.engine.prefix import Prefix, Prefixes
from interp.sites import Site
from interp.transformer import Transformer


@dataclass(frozen=True, eq=False)
class Job:
    """One intervention, ready to run. `number` is its place in the sweep; `now` are the edits that
    its entry makes and `later` those made on the way; `examples` are the prompts that it changes, and
    `prefix` is what they share."""

    number: int
    entry_point: EntryPoint
    start: int
    examples: Int[Tensor, " example"]
    now: tuple[Edit, ...]
    later: tuple[Edit, ...]
    prefix: Prefix | None = None

    def n_tokens(self, n_pos: int) -> int:
        """How many tokens go through the layers after its entry point."""
        if (shared := self.prefix) is None:
            return len(self.examples) * (n_pos - self.start)
        led = len(shared.leaders) * (shared.stop - self.start)
        return led + len(self.examples) * (n_pos - shared.stop)

    def pieces(self, n_examples: int) -> list[Job]:
        """The same job for so many prompts at a time."""
        if len(self.examples) <= n_examples:
            return [self]
        every = torch.arange(len(self.examples), device=self.examples.device)
        return [
            replace(
                self,
                examples=self.examples[rows],
                prefix=self.prefix and self.prefix.of(rows),
            )
            for rows in every.split(n_examples)
        ]


class JobMaker:
    """Turns interventions into jobs, against one base run."""

    def __init__(self, model: Transformer, base: Base) -> None:
        self.model, self.base = model, base
        self._everyone = torch.arange(len(base.tokens), device=base.tokens.device)
        self._known: dict[Site, Tensor] = {}
        self._beginnings = Prefixes(base, model.config.causal)

    def job(self, number: int, edits: Sequence[Edit]) -> Job | None:
        """The job of these settled edits, or None if they change nothing that the metric reads."""
        n_pos = self.base.tokens.shape[1]
        edits = sorted(edits, key=lambda edit: edit.site.order)
        touched = self._touched(edits)
        if self.model.config.causal:
            # Nothing that comes after what the metric reads of a prompt can reach it.
            places = torch.arange(n_pos, device=touched.device)
            touched &= places <= self.base.read.amax(-1, keepdim=True)
        if not bool(touched.any()):
            return None
        examples = touched.any(1).nonzero()[:, 0]
        start = 0
        if self.model.config.causal:
            first = int(touched.any(0).nonzero()[0])
            start = min([first, *(first_position(edit) for edit in edits if given_apart(edit))])
        where, now, later = entrance(edits, self.model.config)
        # Edits that are made on the way need whole activations.
        shared = None if later else self._beginnings.find(start, examples, now)
        return Job(number, where, start, examples, tuple(now), tuple(later), shared)

    def _touched(self, edits: Sequence[Edit]) -> Bool[Tensor, "batch pos"]:
        """Where any of the edits may change anything."""
        n_examples, n_pos = self.base.tokens.shape
        touched = torch.zeros(n_examples, n_pos, dtype=torch.bool, device=self.base.tokens.device)
        for edit in edits:
            known = self._base_activation(edit.site) if isinstance(edit.value, Put) else None
            if known is None:
                touched[:, first_position(edit) :] = True
            else:
                touched |= (edit.apply(known) != known).flatten(2).any(-1)
        return touched

    def _base_activation(self, site: Site) -> Tensor | None:
        """The base run's activation at a site where that is cheap to say, else None. A patch that
        puts what is already there is then seen to change nothing."""
        if site.layer is None or site.kind not in _COMPARED:
            return None
        if site not in self._known:
            # Sweeps go site by site: what an earlier one needed is not needed again.
            self._known = {site: self._computed(site, site.layer)}
        return self._known[site]

    def _computed(self, site: Site, layer: int) -> Tensor:
        if isinstance(self.model, Imagining):
            return self.model.imagined(site, self.base.tokens)
        entry = LayerEntry(self.model, self.base, layer, self._everyone, 0)
        block = self.model.block(layer)
        if site.kind in ("resid_pre", "resid_mid", "resid_post"):
            return {
                "resid_pre": entry.before,
                "resid_mid": entry.middle,
                "resid_post": entry.after,
            }[site.kind]
        if site.kind == "z":
            return entry.z
        if site.kind == "v":
            return self.base.values[layer]
        if site.kind == "attn_out":
            return block.attn.write(entry.z)
        reads = entry.before if self.model.config.parallel else entry.middle
        return block.mlp(block.ln2(reads))


_COMPARED = ("resid_pre", "resid_mid", "resid_post", "z", "v", "attn_out", "mlp_out")
