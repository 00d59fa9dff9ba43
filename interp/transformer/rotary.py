"""Rotary positions: queries and keys are rotated by an angle that grows with their position.

Source  Su et al. 2021, RoFormer, arXiv:2104.09864; the halves are paired as Hugging Face pairs them.
"""

import math
from dataclasses import dataclass

import torch
from einops import rearrange
from fancy_einsum import einsum
from jaxtyping import Float, Int
from torch import Tensor

from interp.transformer.config import Config, RotaryScaling


@dataclass(frozen=True, slots=True)
class Angles:
    """Cosines and sines of the angles at every position, for one head's rotating halves."""

    cos: Float[Tensor, "batch pos 1 half"]
    sin: Float[Tensor, "batch pos 1 half"]


def frequencies(config: Config, like: Tensor) -> Float[Tensor, " half"]:
    """Radians per position of every rotating pair of dimensions."""
    dtype = torch.promote_types(like.dtype, torch.float32)
    exponents = torch.arange(0, config.rotary_dim, 2, dtype=dtype, device=like.device)
    plain = 1.0 / config.rotary_base ** (exponents / config.rotary_dim)
    return _scaled(plain, config.rotary_scaling) if config.rotary_scaling else plain


def _scaled(plain: Float[Tensor, " half"], scaling: RotaryScaling) -> Float[Tensor, " half"]:
    if scaling.kind == "linear":
        return plain / scaling.factor
    wavelengths = 2 * math.pi / plain
    rotations = scaling.original_n_ctx / wavelengths
    span = scaling.high_freq_factor - scaling.low_freq_factor
    share = ((rotations - scaling.low_freq_factor) / span).clamp(0, 1)
    return plain * share + plain / scaling.factor * (1 - share)


def angles(config: Config, positions: Int[Tensor, "batch pos"], like: Tensor) -> Angles:
    """The angles at these positions, in at least float32 and then in the dtype of `like`."""
    per_position = frequencies(config, like)
    angle = einsum("batch pos, half -> batch pos half", positions.to(per_position), per_position)
    angle = rearrange(angle, "batch pos half -> batch pos 1 half")
    return Angles(angle.cos().to(like.dtype), angle.sin().to(like.dtype))


def first_angles(config: Config, like: Float[Tensor, "batch pos head d_head"]) -> Angles:
    """The angles of prompts that are not padded: at positions 0, 1, 2…"""
    return angles(config, torch.arange(like.shape[1], device=like.device)[None], like)


def rotate(
    x: Float[Tensor, "batch pos head d_head"], by: Angles
) -> Float[Tensor, "batch pos head d_head"]:
    """x with the first `2 * half` dimensions of every head rotated; the others are left alone."""
    half = by.cos.shape[-1]
    first, second, still = x[..., :half], x[..., half : 2 * half], x[..., 2 * half :]
    rotated = (first * by.cos - second * by.sin, second * by.cos + first * by.sin)
    return torch.cat((*rotated, still), dim=-1)
