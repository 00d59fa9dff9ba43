"""Where a metric reads each prompt, and the tokens that it reads there."""

import torch
from torch import Tensor

from interp.errors import UsageError
from interp.transformer.run import LogitsAt, read_positions


def one(at: LogitsAt, real: Tensor, n_answers: int) -> Tensor:
    """`[batch 1]` positions to read."""
    if n_answers != len(real):
        raise UsageError(
            f"the metric knows {n_answers} prompts' answers, the run has {len(real)} prompts"
        )
    found = read_positions(at, real)
    if found is None or found.shape[1] != 1:
        raise UsageError(f"expected one position to read per prompt, got {at}")
    return found


def only(at: LogitsAt, prompts: slice) -> LogitsAt:
    """A tensor of positions is one for each prompt; all else is the same for every prompt."""
    return at[prompts] if isinstance(at, Tensor) and at.ndim else at


def check_answers(name: str, tokens: object) -> None:
    got = f"{tokens!r:.60}"
    if isinstance(tokens, Tensor):
        got = f"{tokens.dtype} of shape {list(tokens.shape)}"
        whole = not (
            tokens.is_floating_point() or tokens.is_complex() or tokens.dtype == torch.bool
        )
        if whole and tokens.ndim == 1:
            return
    raise UsageError(
        f"{name} must be a tensor of token ids [batch], such as "
        f'torch.tensor([model.to_single_token(" Mary")]), got {got}'
    )
