"""One run of the model: what to change, what to keep, where to read the logits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Union

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interp import sites
from interp.cache import Cache
from interp.edits import Call, Edit, edits_of
from interp.errors import UsageError
from interp.sites import Site, among, parse
from interp.transformer.hooks import NO_HOOKS, RunHooks
from interp.transformer.inputs import INPUTS, ON_REQUEST
from interp.transformer.text import Prompts, to_batch

if TYPE_CHECKING:
    from interp.transformer.model import Transformer

Keep = Union[Literal["all"], Callable[[Site], bool], Iterable[Union[Site, str]]]
LogitsAt = Union[int, Sequence[int], Tensor, None]


@dataclass(frozen=True, slots=True)
class Run:
    """Logits `[batch pos d_vocab]` (at the positions asked for), what was kept, and the tokens that
    the model read with `real` False on padding."""

    logits: Float[Tensor, "batch label d_vocab"]
    cache: Cache
    tokens: Int[Tensor, "batch pos"]
    real: Bool[Tensor, "batch pos"]


def run(
    self: Transformer,
    prompts: Prompts,
    edits: Edit | Iterable[Edit] = (),
    keep: Keep = (),
    *,
    logits_at: LogitsAt = None,
    attention_mask: Tensor | None = None,
    grad: bool = False,
) -> Run:
    """The model's logits on these prompts, with these edits made and these sites kept.

    `prompts` is text (tokenized as Hugging Face would, padded on the right) or token ids
    `[batch pos]`. `edits` is one or several. `keep` is sites or their names, a test of a site, or "all"
    (which leaves out head_out and readers' inputs, computed only when named). `logits_at` is one
    position, several, or a tensor `[batch]` or `[batch label]` of them; negative ones count from each
    prompt's last token. With `grad` everything stays attached to the graph.

    Raises  UsageError for a site that the model lacks, an edit that never fires or does not fit,
            prompts that the model cannot read, and, with `grad`, inputs of heads kept beside what is
            inside the norm before them.

    >>> model.run("Mary and John", edits.zero(sites.z(1), heads=2)).logits.shape[0]
    1
    >>> model.run("Mary and John", keep=[sites.pattern(0)]).cache[sites.pattern(0)].ndim
    4
    """
    tokens, real = to_batch(self, prompts, attention_mask)
    wanted, edits = _kept(self, keep), edits_of(edits)
    for edit in edits:
        among(edit.site, self.sites)
    if grad:
        _apart(wanted)
    hooks = RunHooks(edits, wanted) if edits or wanted else NO_HOOKS
    with torch.set_grad_enabled(grad):
        logits = self.compute(tokens, real, hooks, read_positions(logits_at, real))
    if not isinstance(hooks, RunHooks):
        return Run(logits, Cache({}), tokens, real)
    hooks.close()
    if sites.logits() in hooks.kept:
        # What is handed out to be worked on is not the memory of what was kept.
        logits = logits.clone()
    return Run(logits, Cache(hooks.kept, real), tokens, real)


def _kept(model: Transformer, keep: Keep) -> frozenset[Site]:
    if keep == "all":
        return frozenset(site for site in model.sites if site.kind not in ON_REQUEST)
    if callable(keep):
        return frozenset(site for site in model.sites if keep(site))
    if isinstance(keep, (str, Site)):
        keep = [keep]
    return frozenset(among(parse(site), model.sites) for site in keep)


def _apart(wanted: frozenset[Site]) -> None:
    """Passes unless inputs of heads, which each have a norm of their own where gradients pass through them,
    are kept beside the inside of the norm that they would otherwise share."""
    inputs = {site.layer for site in wanted if site.kind in INPUTS}
    inside = {site.layer for site in wanted if site.kind in ("ln1_scale", "ln1_normalized")}
    if both := inputs & inside:
        raise UsageError(
            "with gradients, keep the inputs of heads or the inside of ln1, in two runs; both were asked "
            f"for in layer {min(filter(None, both), default=0)}"
        )


def read_positions(logits_at: LogitsAt, real: Tensor) -> Tensor | None:
    """`[batch label]` positions, none of them negative or padding."""
    if logits_at is None:
        return None
    at = torch.as_tensor(logits_at, device=real.device)
    n_examples, n_pos = real.shape
    if at.dtype not in (torch.int64, torch.int32) or at.numel() == 0 or at.ndim > 2:
        raise UsageError(
            f"logits_at must be one position, several, or a tensor [batch label], got {logits_at}"
        )
    if at.ndim < 2:
        per_example = isinstance(logits_at, Tensor) and at.ndim == 1
        if per_example and len(at) != n_examples:
            raise UsageError(
                f"logits_at as a tensor needs one position for each of {n_examples} examples"
            )
        at = at[:, None] if per_example else at.reshape(1, -1).expand(n_examples, -1)
    if at.shape[0] != n_examples:
        raise UsageError(f"logits_at names positions of {len(at)} examples, not of {n_examples}")
    end = torch.where(real, torch.arange(n_pos, device=real.device), 0).amax(-1, keepdim=True) + 1
    at = torch.where(at < 0, at + end, at).long()
    outside = (at < 0) | (at >= n_pos)
    if bool((outside | ~real.gather(-1, at.clamp(0, n_pos - 1))).any()):
        raise UsageError(
            f"logits_at must name positions 0…{n_pos - 1} that are not padding, got {logits_at}"
        )
    return at


@dataclass(frozen=True, slots=True)
class Hook:
    """What a hook function is told: the name of its activation, and `layer()`."""

    name: str

    def layer(self) -> int:
        """The layer, for a site inside a block."""
        layer = parse(self.name).layer
        if layer is None:
            raise UsageError(f"{self.name} belongs to no layer")
        return layer


NamesFilter = Union[str, Sequence[str], Callable[[str], bool], None]
HookFunction = Callable[..., Union[Tensor, None]]


def run_with_cache(
    self: Transformer, prompts: Prompts, names_filter: NamesFilter = None, **options: Any
) -> tuple[Tensor, Cache]:
    """Logits and cache, in TransformerLens's spelling."""
    done = self.run(prompts, keep=_named(self, names_filter), **options)
    return done.logits, done.cache


def run_with_hooks(
    self: Transformer,
    prompts: Prompts,
    fwd_hooks: Sequence[tuple[Union[str, Callable[[str], bool]], HookFunction]] = (),
    **options: Any,
) -> Tensor:
    """Logits with functions called on activations, in TransformerLens's spelling.

    A function `(activation, hook)` is given a copy: it may change it in place and return nothing.
    """
    edits = []
    for names, function in fwd_hooks:
        found = _named(self, names)
        if not found:
            raise UsageError("a hook never fires: its names filter matches no site of this model")
        edits += [Edit(site, Call(_as_edit(function, site.name))) for site in found]
    return self.run(prompts, edits=edits, **options).logits


def _as_edit(function: HookFunction, name: str) -> Callable[[Tensor], Tensor]:
    def edit(activation: Tensor) -> Tensor:
        # By keyword, as TransformerLens does: `partial` may have filled an argument before it.
        result = function(activation, hook=Hook(name))
        return activation if result is None else result

    return edit


def _named(model: Transformer, names: NamesFilter) -> list[Site]:
    if names is None:
        return [site for site in model.sites if site.kind not in ON_REQUEST]
    if callable(names):
        return [site for site in model.sites if names(site.name)]
    spelt = [names] if isinstance(names, str) else names
    return [among(parse(name), model.sites) for name in spelt]
