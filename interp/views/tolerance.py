"""How far two ways to compute the same number may lie apart in a number format.

What the model keeps is rounded to its format, every time that a layer writes to it; sums are taken in
float32 at least, and miss by the root of how many terms they have. An error beyond that is a fault: one
per cent in float32, some tens of roundings in bfloat16.

Source  Higham 2002, Accuracy and Stability of Numerical Algorithms, §2.8 (rules of thumb for the
        errors of sums).
"""

import math

import torch

from interp.report import Check, NotRun
from interp.tasks import Task
from interp.tasks.batches import whole
from interp.transformer import Transformer

# So many standard errors of rounding, over the many places of which a check shows the worst.
_ROOM = 4


def rounding(dtype: torch.dtype, scale: float = 1.0, n_terms: int = 1, depth: int = 1) -> float:
    """The most that a sum of `n_terms` may miss by. `scale` is how large it is, or its terms are together
    where they cancel (1: relative to that); `depth` is how many roundings come one after the other."""
    kept = torch.finfo(dtype).eps
    summed = min(kept, torch.finfo(torch.float32).eps)
    return float(_ROOM * scale * math.sqrt(depth) * (kept + math.sqrt(n_terms) * summed))


def step(model: Transformer, scale: float = 1.0) -> float:
    """The same for one step of the model: a product with its widest matrix."""
    return rounding(model.dtype, scale, _widest(model))


def through(model: Transformer, scale: float = 1.0) -> float:
    """The same for what went through all its layers, each of which writes to the stream twice."""
    return rounding(model.dtype, scale, _widest(model), 2 * model.config.n_layers)


def logits(model: Transformer, task: Task) -> float:
    """The same for the logits at the end of a task's prompts."""
    prompts = whole(task, model.device)
    return through(model, float(prompts.run(model).logits.abs().max()))


def at_logits(name: str, error: float, model: Transformer, task: Task) -> Check:
    """The check of an error that was measured at these logits."""
    return Check(name, error, logits(model, task))


def control(name: str, value: float, tolerance: float, dtype: torch.dtype) -> Check | NotRun:
    """The check of what was spoilt on purpose, which must miss by more than rounding may; not run in a
    format whose rounding alone hides it."""
    coarse = torch.finfo(dtype).eps > torch.finfo(torch.float32).eps
    if coarse and not value > tolerance:
        return NotRun(
            name,
            f"in {str(dtype).removeprefix('torch.')} rounding alone may come to {tolerance:.1g}, and "
            f"this changes {value:.1g}; run it with --dtype float32",
        )
    return Check(name, value, tolerance, control=True)


def parted(found: list[Check | NotRun]) -> tuple[list[Check], list[NotRun]]:
    """Those that ran, and those that did not."""
    ran = [each for each in found if isinstance(each, Check)]
    return ran, [each for each in found if isinstance(each, NotRun)]


def _widest(model: Transformer) -> int:
    config = model.config
    return max(config.d_model, config.d_mlp, config.n_heads * config.d_head)
