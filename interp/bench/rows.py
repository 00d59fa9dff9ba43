"""The rows of the benchmark: each does one thing our way and a peer's way, and says what both took."""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd
import torch
from torch import Tensor

import interp
from interp import edits, sites
from interp.bench.subject import Subject
from interp.bench.timing import interleaved, peak_memory
from interp.edits import Edit
from interp.engine.base import base_run
from interp.engine.chunk import run_naively
from interp.transformer.inputs import ON_REQUEST
from interp.transformer.packing import packed

# A peer's loop does the same for every cell, so some cells tell the time of all.
_PEER_CELLS = {16: 4, 1: 12}


@dataclass(frozen=True)
class Row:
    """Seconds of ours and of a peer; `ratio` is peer / ours, above 1 where ours is faster. `memory_mb`
    is ours above the loaded model; `note` says what was extrapolated."""

    name: str
    prompts: int
    ours_s: float
    peer: str
    peer_s: float
    ratio: float
    memory_mb: float
    note: str = ""

    @classmethod
    def of(
        cls,
        name: str,
        prompts: int,
        ours: float,
        peer: str,
        theirs: float,
        memory: int,
        note: str = "",
    ) -> "Row":
        """The row of these seconds and bytes."""
        ratio, megabytes = round(theirs / ours, 2), round(memory / 2**20, 1)
        return cls(name, prompts, round(ours, 4), peer, round(theirs, 4), ratio, megabytes, note)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def forward(subject: Subject, n_prompts: int) -> list[Row]:
    """A plain forward pass, as it is and with packed weights, beside Hugging Face's eager one."""
    some, rounds = subject.of(n_prompts), 7 if n_prompts > 1 else 15

    def theirs() -> object:
        with torch.no_grad():
            return some.huggingface(some.clean).logits

    plain = interleaved({"ours": lambda: some.ours.run(some.clean), "theirs": theirs}, rounds)
    with peak_memory() as memory, packed(some.ours):
        fast = interleaved({"ours": lambda: some.ours.run(some.clean), "theirs": theirs}, rounds)
    return [
        Row.of("forward", n_prompts, plain["ours"], "Hugging Face, eager", plain["theirs"], 0),
        Row.of(
            "forward_packed",
            n_prompts,
            fast["ours"],
            "Hugging Face, eager",
            fast["theirs"],
            memory.bytes,
        ),
    ]


def keep_all(subject: Subject, n_prompts: int) -> list[Row]:
    """Keeping every site, beside our own plain run and TransformerLens keeping the same."""
    some, rounds = subject.of(n_prompts), 5 if n_prompts > 1 else 9
    names = {site.name for site in some.ours.sites if site.kind not in ON_REQUEST}

    def theirs() -> object:
        with torch.no_grad():
            return some.transformerlens.run_with_cache(
                some.clean, names_filter=lambda name: name in names
            )

    with peak_memory() as memory:
        some.ours.run(some.clean, keep="all")
    took = interleaved(
        {
            "plain": lambda: some.ours.run(some.clean),
            "ours": lambda: some.ours.run(some.clean, keep="all"),
            "theirs": theirs,
        },
        rounds,
    )
    with packed(some.ours):
        fast = interleaved(
            {
                "plain": lambda: some.ours.run(some.clean),
                "ours": lambda: some.ours.run(some.clean, keep="all"),
            },
            rounds,
        )
    return [
        Row.of("keep_all", n_prompts, took["ours"], "our plain run", took["plain"], memory.bytes),
        Row.of(
            "keep_all", n_prompts, took["ours"], "TransformerLens", took["theirs"], memory.bytes
        ),
        Row.of(
            "keep_all_packed", n_prompts, fast["ours"], "our plain run, packed", fast["plain"], 0
        ),
    ]


def zero_heads(subject: Subject, n_prompts: int) -> list[Row]:
    """Zero ablation of every head at all positions, beside a loop of hooks in TransformerLens."""
    some = subject.of(n_prompts)
    cells = [(layer, head) for layer in range(30) for head in range(9)]
    ours = [edits.zero(sites.z(layer), heads=head) for layer, head in cells]

    def theirs(cell: tuple[int, int]) -> Tensor:
        layer, head = cell

        def hook(z: Tensor, hook: object) -> Tensor:
            z[:, :, head] = 0
            return z

        logits = some.transformerlens.run_with_hooks(
            some.clean, fwd_hooks=[(sites.z(layer).name, hook)]
        )
        return some.difference(logits)

    return [
        _swept("zero_heads", some, some.clean, ours, cells, theirs, "TransformerLens hook loop")
    ]


def patch_resid_pre(subject: Subject, n_prompts: int) -> list[Row]:
    """Patching the stream at every layer and position, beside TransformerLens's `patching`."""
    from transformer_lens import patching

    some = subject.of(n_prompts)
    cells = [(layer, pos) for layer in range(30) for pos in range(some.clean.shape[1])]
    keep = [sites.resid_pre(layer) for layer in range(30)]
    clean = some.ours.run(some.clean, keep=keep, logits_at=-1).cache
    ours = [edits.patch(sites.resid_pre(layer), clean, positions=pos) for layer, pos in cells]
    named = {site.name for site in keep}
    with torch.no_grad():
        _, cached = some.transformerlens.run_with_cache(
            some.clean, names_filter=lambda name: name in named
        )

    def theirs(cell: tuple[int, int]) -> Tensor:
        index = pd.DataFrame([cell], columns=["layer", "pos"])
        return patching.generic_activation_patch(
            some.transformerlens,
            some.corrupted,
            cached,
            some.difference,
            patching.layer_pos_patch_setter,
            "resid_pre",
            index_df=index,
        )

    return [
        _swept(
            "patch_resid_pre", some, some.corrupted, ours, cells, theirs, "TransformerLens patching"
        )
    ]


def resample_end(subject: Subject, n_prompts: int) -> list[Row]:
    """Every head's z at the last token from the corrupted prompt, beside our own naive loop."""
    some = subject.of(n_prompts)
    cells = [(layer, head) for layer in range(30) for head in range(9)]
    keep = [sites.z(layer) for layer in range(30)]
    source = some.ours.run(some.corrupted, keep=keep, logits_at=-1).cache
    ours = [edits.patch(sites.z(layer), source, heads=head, positions=-1) for layer, head in cells]
    base = base_run(
        some.ours, some.clean, torch.ones_like(some.clean, dtype=torch.bool), some.metric
    )
    edit_of = dict(zip(cells, ours, strict=True))

    def theirs(cell: tuple[int, int]) -> Tensor:
        return run_naively(some.ours, base, [edit_of[cell]])

    return [_swept("resample_end", some, some.clean, ours, cells, theirs, "our own naive loop")]


def _swept(
    name: str,
    some: Subject,
    tokens: Tensor,
    interventions: Sequence[Edit],
    cells: Sequence[tuple[int, int]],
    theirs: Callable[[tuple[int, int]], Tensor],
    peer: str,
) -> Row:
    """Our whole sweep, twice, with a sample of the peer's cells before, between and after."""
    n_prompts = len(tokens)
    sample = random.Random(0).sample(list(cells), _PEER_CELLS.get(n_prompts, 6))
    ours_s, peer_s, worst = [], [], 0.0
    plan = interp.plan(some.ours, tokens, interventions, some.metric)
    base = float(plan.value.mean())
    found: dict[tuple[int, int], float] = {}
    with torch.no_grad():
        theirs(sample[0])
        for turn in range(3):
            for cell in sample:
                began = time.perf_counter()
                value = theirs(cell)
                peer_s.append(time.perf_counter() - began)
                found[cell] = float(value.mean()) - (0.0 if peer.startswith("our own") else base)
            if turn == 2:
                break
            with peak_memory() as memory:
                began = time.perf_counter()
                effects = interp.sweep(some.ours, tokens, interventions, some.metric)
                ours_s.append(time.perf_counter() - began)
    for cell, effect in found.items():
        worst = max(worst, abs(effect - float(effects[list(cells).index(cell)].mean())))
    took = sorted(peer_s)[len(peer_s) // 2] * len(cells)
    ours = min(ours_s)
    note = (
        f"peer from {len(sample)} of {len(cells)} cells; largest difference of an effect {worst:.1e}; "
        f"{plan.flops / 1e12:.3g} TFLOP instead of {plan.flops_naive / 1e12:.3g}, "
        f"{plan.flops / ours / 1e9:.0f} GFLOP/s"
    )
    return Row.of(name, n_prompts, ours, peer, took, memory.bytes, note)


ROWS: dict[str, Callable[[Subject, int], list[Row]]] = {
    "forward": forward,
    "keep_all": keep_all,
    "zero_heads": zero_heads,
    "patch_resid_pre": patch_resid_pre,
    "resample_end": resample_end,
}
