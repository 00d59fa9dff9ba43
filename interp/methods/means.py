"""What a template's corrupted prompts do on average: what mean ablation puts in a component's place.

The distinct corrupted prompts that a task keeps for each template and length (its pool) run once and are
averaged position by position, an evaluated prompt's own corrupted partner left out.
"""

from collections.abc import Sequence
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float
from torch import Tensor

from interp.sites import Site
from interp.tasks import Prompt, Task
from interp.tasks.splits import LEAST_POOL
from interp.transformer import Transformer

# Prompts run at once.
_MOST = 64
# What studies ask for: all of it is kept from one run of the pool, for whichever study comes next.
_USUAL = ("z", "attn_out", "mlp_out", "mlp_post")

Rows = tuple[tuple[int, ...], ...]
# Weights that were changed in place have another version, and so other means.
_Key = tuple[Site, Rows, int]
_seen: WeakKeyDictionary[Transformer, dict[_Key, Tensor]] = WeakKeyDictionary()


def no_means(task: Task) -> str:
    """Why the task has no means; empty if every prompt has one."""
    fewest = min(len(_others(task, prompt)) for prompt in task.kept)
    if fewest >= LEAST_POOL:
        return ""
    return (
        f"{task.name} has only {fewest} other corrupted prompts of some template and length, and a mean "
        f"needs {LEAST_POOL}; there is no mean ablation"
    )


def mean_over(task: Task) -> str:
    """Of how many corrupted prompts the means are, in words."""
    counts = sorted({len(_others(task, prompt)) for prompt in task.kept})
    many = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return f"mean: over {many} distinct corrupted prompts of the same template and length"


@torch.no_grad()
def template_means(
    model: Transformer,
    task: Task,
    prompts: Sequence[Prompt],
    site: Site,
    corrupted: Float[Tensor, "batch pos ..."],
) -> Float[Tensor, "batch pos ..."]:
    """For each of these prompts of one length the mean over its pool, its own partner left out. `corrupted`
    is what the site holds on the prompts' own corrupted partners."""
    means = torch.empty_like(corrupted)
    for row, prompt in enumerate(prompts):
        pool = task.pool[prompt.pool_key]
        mean = _mean(model, site, pool)
        if prompt.corrupted_tokens in pool:
            n = len(pool)
            means[row] = (mean * n - corrupted[row]) / (n - 1)
        else:
            means[row] = mean
    return means


def _others(task: Task, prompt: Prompt) -> Rows:
    return tuple(row for row in task.pool[prompt.pool_key] if row != prompt.corrupted_tokens)


def _mean(model: Transformer, site: Site, pool: Rows) -> Float[Tensor, "pos ..."]:
    known = _seen.setdefault(model, {})
    version = sum(each._version for each in model.parameters())
    if (site, pool, version) not in known:
        usual = {
            Site(kind, layer)
            for kind in _USUAL
            for layer in range(model.config.n_layers)
            if Site(kind, layer) in model.sites
        }
        wanted = usual | {site}
        sums: dict[Site, Tensor] = {}
        for start in range(0, len(pool), _MOST):
            rows = torch.tensor(pool[start : start + _MOST], device=model.device)
            cache = model.run(rows, keep=wanted, logits_at=-1).cache
            for each in wanted:
                sums[each] = sums.get(each, 0) + cache[each].sum(0)
        known |= {(each, pool, version): total / len(pool) for each, total in sums.items()}
    return known[site, pool, version]
