"""What one intervention has to compute: where it enters, for which prompts, from which position on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from interp.edits import Add, Edit, Put
from interp.engine.base import Base
from interp.engine.entry import EntryPoint, LayerEntry, entrance
from interp.engine.imagined import Imagining
from interp.engine.localise import first_position, given_apart
from interp.sites import Site
from interp.transformer import Transformer

# Edits of keys, values, scores and patterns reach beyond the position at which they are made; those of what
# keys and values are read from are made from the start of a job on, wherever its rows begin.
SEEN_LATER = ("k_input", "v_input")
_OWN_POSITION = (
    *("resid_pre", "resid_mid", "resid_post", "q_input", "z", "head_out", "attn_out", "mlp_in"),
    *("mlp_pre", "gate", "mlp_pre_linear", "mlp_post", "mlp_out"),
    *SEEN_LATER,
)


@dataclass(frozen=True, eq=False)
class Prefix:
    """The positions before `stop` are computed for the prompts `leaders` alone; prompt number i of the
    job goes on after leader number `follows[i]`."""

    stop: int
    leaders: Int[Tensor, " group"]
    follows: Int[Tensor, " example"]

    def of(self, rows: Int[Tensor, " example"]) -> "Prefix":
        """The same for these of the job's prompts alone."""
        kept, follows = self.follows[rows].unique(return_inverse=True)
        return replace(self, leaders=self.leaders[kept], follows=follows)


class Prefixes:
    """Finds what prompts have in common, for any choice of them."""

    def __init__(self, base: Base, causal: bool) -> None:
        self._base = base
        # Before what the metric reads, since what it reads has to be there for every prompt.
        readable = causal and bool(base.real.all())
        self._last = int(base.read.min()) if readable else 0
        self._known: dict[tuple[int, tuple[int, ...]], Prefix | None] = {}

    def find(
        self, start: int, examples: Int[Tensor, " example"], edits: Sequence[Edit]
    ) -> Prefix | None:
        """What these prompts share from `start` on under these edits; None if that saves nothing."""
        if any(edit.site.kind not in _OWN_POSITION or given_apart(edit) for edit in edits):
            return None
        known = (start, tuple(examples.tolist()))
        if known not in self._known:
            self._known[known] = self._longest(start, examples)
        found = self._known[known]
        if found is None or not all(_alike(edit, examples, found) for edit in edits):
            return None
        return found

    def _longest(self, start: int, examples: Int[Tensor, " example"]) -> Prefix | None:
        """The cut that leaves the fewest tokens to compute."""
        best, most_saved = None, 0
        for stop in range(start + 1, self._last + 1):
            _, follows = self._base.tokens[examples, :stop].unique(dim=0, return_inverse=True)
            n_leaders = int(follows.max()) + 1
            saved = (len(examples) - n_leaders) * (stop - start)
            if saved > most_saved:
                most_saved = saved
                first = [int((follows == each).nonzero()[0]) for each in range(n_leaders)]
                best = Prefix(stop, examples[torch.tensor(first, device=examples.device)], follows)
        return best


def _alike(edit: Edit, examples: Int[Tensor, " example"], shared: Prefix) -> bool:
    """Whether the edit does the same to every prompt as to its leader before `stop`."""
    tensor = getattr(edit.value, "tensor", None)
    if tensor is None or (isinstance(edit.value, Add) and tensor.ndim == 1):
        return True
    if isinstance(edit.value, Put) and edit.value.shared:
        return True
    if edit.where.positions is not None:
        return False
    own = tensor[examples.to(tensor.device), : shared.stop]
    led = tensor[shared.leaders[shared.follows].to(tensor.device), : shared.stop]
    return torch.equal(own, led)


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

    def pieces(self, n_examples: int) -> "list[Job]":
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
            if (added := _added(edit)) is not None:
                touched |= added.to(touched.device)
            elif known is None:
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


def _added(edit: Edit) -> Bool[Tensor, "batch pos"] | None:
    """Where an edit adds a tensor that is not 0, if that is of all positions."""
    value = edit.value
    if not isinstance(value, Add) or edit.where.positions is not None or value.tensor.ndim < 3:
        return None
    return (value.tensor != 0).flatten(2).any(-1) if edit.site.axes[1] == "pos" else None


_COMPARED = ("resid_pre", "resid_mid", "resid_post", "z", "v", "attn_out", "mlp_out")
