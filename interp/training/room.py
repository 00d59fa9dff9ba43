"""Whether a training fits into the memory at hand, asked before anything of it is made."""

from interp.errors import UsageError
from interp.transformer import Config

# A weight in float32, its gradient, and the optimizer's two means.
_A_WEIGHT = 16
_A_NUMBER = 4


def check(config: Config, batch: int, device: str = "cpu") -> None:
    """Passes if weights and the activations of one step are less than the memory that is free.

    Raises  UsageError otherwise.
    """
    free = _free(device)
    weights = n_weights(config)
    needed = _A_WEIGHT * weights + _A_NUMBER * _activations(config, batch)
    if needed > free:
        raise UsageError(
            f"this training needs {_size(needed)} or more and {_size(free)} are free: "
            f"{weights:,} weights, and {batch:,} × {config.n_ctx:,} tokens a step; ask for a smaller "
            "model, context, vocabulary or batch"
        )


def n_weights(config: Config) -> int:
    """How many weights the matrices of such a model have."""
    attention = 2 * config.d_model * config.d_head * (config.n_heads + config.n_kv_heads)
    mlp = (3 if config.gated else 2) * config.d_model * config.d_mlp
    ends = config.d_model * (config.d_vocab + (0 if config.tied else config.d_vocab_out))
    positions = config.n_ctx * config.d_model if config.positions == "learned" else 0
    return config.n_layers * (attention + mlp) + ends + positions


def _activations(config: Config, batch: int) -> int:
    """Numbers that the way back needs, the least: streams, what heads and MLPs read and write, patterns,
    and logits with their gradient."""
    layer = 4 * config.d_model + 4 * config.n_heads * config.d_head + 2 * config.d_mlp
    pattern = config.n_heads * config.n_ctx
    return batch * config.n_ctx * (config.n_layers * (layer + pattern) + 2 * config.d_vocab_out)


def _free(device: str) -> int:
    import psutil
    import torch

    if device.startswith("cuda"):
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 2**30:,.1f} GB" if n_bytes < 2**60 else "more than a billion GB"
