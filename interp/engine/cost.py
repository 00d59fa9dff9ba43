"""What a run and a job cost: FLOPs of matrix products, and bytes at the widest moment. Which prompts a sweep
runs together, where memory does not hold the base run of all of them."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from interp.edits import Edit
from interp.engine.base import Base, floats
from interp.engine.job import Job
from interp.errors import UsageError
from interp.transformer import Config, Transformer
from interp.transformer.inputs import INPUTS

# Logits that a metric has at a time: themselves, their logarithms, those of the base run, a product.
LOGITS_COPIES = 6
# The most of them at a time; more make no product faster.
MOST_LOGITS = 8 << 20
# What Python takes for one intervention: its settled edits, its job and its place in a batch.
_OF_AN_INTERVENTION = 2 << 10


@dataclass(frozen=True)
class Bytes:
    """What a sweep takes above the model and packed weights: `fixed` at all times; for every prompt
    `held` as long as its slice lasts, and `running` while the base run is made; and `row` for one
    prompt under one intervention, at the most."""

    fixed: int
    held: int
    running: int
    row: int

    def least(self, n_prompts: int) -> int:
        """With so many prompts at a time, and one intervention of one prompt."""
        return self.fixed + n_prompts * self.held + max(n_prompts * self.running, self.row)


def bytes_of_sweep(
    model: Transformer,
    n_examples: int,
    n_pos: int,
    n_read: int,
    n_columns: int | None,
    interventions: Sequence[tuple[Edit, ...]],
    naive: Sequence[int],
) -> Bytes:
    """What this sweep takes; `n_columns` tokens' logits are read at `n_read` positions of a prompt, or
    (None) those of the whole vocabulary."""
    config, size = model.config, model.embed.W_E.element_size()
    kinds = {edit.site.kind for edits in interventions for edit in edits}
    called = {edit.site.kind for number in naive for edit in interventions[number]}
    d_vocab = config.d_vocab_out
    logits = LOGITS_COPIES * n_read * (d_vocab if n_columns is None else n_columns + config.d_model)
    # KLToBase keeps what the base run said.
    said = d_vocab * n_read if n_columns is None else 0
    held = n_pos * floats(model) + n_read * config.d_model + said
    running = n_pos * (_per_token(config, n_pos, called) + config.d_model) + logits
    # The base run has whole logits before it reads the columns.
    running = max(running, 2 * n_read * d_vocab + logits)
    row = n_pos * _per_token(config, n_pos, kinds) + _per_row(config, n_pos)
    return Bytes(
        fixed=len(interventions) * (_OF_AN_INTERVENTION + 2 * n_examples * size),
        held=held * size,
        running=running * size,
        row=max(row, logits) * size,
    )


def bytes_of(config: Config, job: Job, base: Base) -> int:
    """What a job takes at the widest moment of a layer: for each of its tokens the stream and its
    copies, queries, keys, values and z, scores and patterns, neurons; and for each of its rows the
    base run's keys and values, copied so that its own can follow them."""
    n_pos = base.tokens.shape[1]
    kinds = {edit.site.kind for edit in (*job.now, *job.later)}
    floats = job.n_tokens(n_pos) * _per_token(config, n_pos, kinds)
    floats += len(job.examples) * _per_row(config, n_pos)
    return floats * base.resid_post.element_size()


def _per_token(config: Config, n_pos: int, kinds: Iterable[str]) -> int:
    heads, kv_heads = config.n_heads * config.d_head, config.n_kv_heads * config.d_head
    attention = 3 * heads + 2 * kv_heads + 4 * config.n_heads * n_pos
    mlp = (4 if config.gated else 3) * config.d_mlp
    per_token = 6 * config.d_model + max(attention, mlp)
    if "logits" in kinds:
        per_token += 3 * config.d_vocab_out
    if {"head_out", *INPUTS}.intersection(kinds):
        per_token += 3 * config.n_heads * config.d_model
    return per_token


def _per_row(config: Config, n_pos: int) -> int:
    return 4 * n_pos * config.n_kv_heads * config.d_head


def flops_forward(config: Config, n_examples: int, n_pos: int, n_read: int) -> float:
    """FLOPs of one plain forward pass that unembeds `n_read` positions of each prompt."""
    tokens = n_examples * n_pos
    mixing = 4.0 * n_pos * config.n_heads * config.d_head
    layers = config.n_layers * (sum(_flops_of_token(config)) + mixing)
    return tokens * layers + n_examples * n_read * 2.0 * config.d_model * config.d_vocab_out


def flops_of_layer(config: Config, n_examples: int, n_pos: int) -> float:
    """FLOPs of one layer of a plain forward pass."""
    mixing = 4.0 * n_pos * config.n_heads * config.d_head
    return n_examples * n_pos * (sum(_flops_of_token(config)) + mixing)


def flops_of(config: Config, job: Job, base: Base) -> float:
    """FLOPs of one job after its entry point, its entry's small difference left out."""
    kv, queries, mlp = _flops_of_token(config)
    n_pos = base.tokens.shape[1]
    mixing = 4.0 * n_pos * config.n_heads * config.d_head
    rows, tokens = len(job.examples), job.n_tokens(n_pos)
    read = tokens if job.later else min(tokens, rows * base.read.shape[1])
    columns = base.metric.columns
    width = config.d_vocab_out if columns is None else columns.shape[1]
    total = rows * base.read.shape[1] * 2.0 * config.d_model * width
    for layer in range(job.entry_point.layer, config.n_layers):
        late = read if layer == config.n_layers - 1 else tokens
        if (layer, 0) >= (job.entry_point.layer, job.entry_point.stage):
            total += tokens * kv + late * (queries + mixing)
        if (layer, 1) >= (job.entry_point.layer, job.entry_point.stage):
            total += late * mlp
    if any(edit.site.kind == "mlp_in" for edit in job.now):
        total += tokens * mlp
    return total


def _flops_of_token(config: Config) -> tuple[float, float, float]:
    """FLOPs of one token in one layer: keys and values; queries and writing; the MLP."""
    heads, kv_heads = config.n_heads * config.d_head, config.n_kv_heads * config.d_head
    matrices = 3 if config.gated else 2
    return (
        2 * 2.0 * config.d_model * kv_heads,
        2 * 2.0 * config.d_model * heads,
        matrices * 2.0 * config.d_model * config.d_mlp,
    )


def cut(n_examples: int, room: int, needs: Bytes, best_rows: int) -> list[slice]:
    """The slices, equal in size to one prompt. Batches of more than `best_rows` rows do no good. There
    has to be room for `needs.least`."""
    room -= needs.fixed
    whole = n_examples * needs.held
    if whole + max(n_examples * needs.running, best_rows * needs.row) <= room:
        return [slice(0, n_examples)]
    most = min(
        room // (needs.held + needs.running),
        (room - needs.row) // needs.held,
        max(1, room // 2 // needs.held),
    )
    n_slices = math.ceil(n_examples / most)
    bounds = [n_examples * each // n_slices for each in range(n_slices + 1)]
    return [slice(*each) for each in pairwise(bounds)]


def check_room(room: int, least: int, what: str) -> None:
    """Raises a UsageError that names the least, where it is more than there is room for."""
    if least > room:
        raise UsageError(
            f"{what} needs at least {_megabytes(least)} of memory above the model, the budget is "
            f"{_megabytes(room)}; give memory={math.ceil(least / 2**20) * 2**20} or --memory "
            f"{math.ceil(least / 2**20)}M, or shorter prompts"
        )


def _megabytes(size: int) -> str:
    return f"{size / 2**20:.3g} MiB"
