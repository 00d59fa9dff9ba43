"""What heads read: the residual stream, and a copy of a head's own where somebody edits its input."""

from typing import NamedTuple, Union

import torch
from jaxtyping import Float
from torch import Tensor

from interp import sites
from interp.sites import Site
from interp.transformer.config import Config
from interp.transformer.hooks import NO_HOOKS, Hooks
from interp.transformer.norm import Norm
from interp.transformer.shapes import Resid

INPUTS = ("attn_in", "q_input", "k_input", "v_input")
# Computed only for whoever names it: what each head writes, and readers' own copies of the stream.
ON_REQUEST = frozenset({"head_out", *INPUTS, "mlp_in"})
Own = Float[Tensor, "batch pos head d_model"]
Read = Union[Resid, Own]


class Reads(NamedTuple):
    """The normed stream as queries, keys and values read it: `[batch pos d_model]`, or a copy a head."""

    q: Read
    k: Read
    v: Read


def reads(
    resid_pre: Resid, layer: int, config: Config, norm: Norm, hooks: Hooks = NO_HOOKS
) -> Reads:
    """What queries, keys and values read: the normed stream, and where an input is edited each head's own
    copy of the stream, normed by itself."""
    inside = (sites.ln1_scale(layer), sites.ln1_normalized(layer))
    together = _copied(resid_pre, sites.attn_in(layer), config.n_heads, hooks)
    stream = resid_pre if together is None else together
    own = []
    for site, n_copies in (
        (sites.q_input(layer), config.n_heads),
        (sites.k_input(layer), config.n_kv_heads),
        (sites.v_input(layer), config.n_kv_heads),
    ):
        copies = _copied(stream, site, n_copies, hooks)
        copies = together if copies is None else copies
        own.append(None if copies is None else _normed(copies, norm, hooks, inside))
    x = norm(resid_pre, hooks, *inside)
    return Reads(*(x if each is None else each for each in own))


def _copied(stream: Read, site: Site, n_copies: int, hooks: Hooks) -> Own | None:
    """The copies as the site's hooks leave them, if the model has to go on with them."""
    if not hooks.wants(site):
        return None
    copies = stream if stream.ndim == 4 else stream[:, :, None].expand(-1, -1, n_copies, -1)
    copies = hooks(site, copies)
    # Gradients too have to pass through what was kept.
    return copies if hooks.edits(site) or copies.requires_grad else None


def _normed(own: Own, norm: Norm, hooks: Hooks, inside: tuple[Site, Site]) -> Own:
    """Each copy through the norm, and through what is done inside it."""
    if not any(map(hooks.wants, inside)):
        return norm(own)
    return torch.stack([norm(each, hooks, *inside) for each in own.unbind(2)], 2)
