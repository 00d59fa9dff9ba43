"""Every readable place of the model. The only file that spells a TransformerLens hook name.

A `Site` names one activation: `sites.z(5)` is the mixed values of layer 5 before the output projection,
TransformerLens's `blocks.5.attn.hook_z`. Names, shapes and values are TransformerLens's (`normalized` is the
stream before the norm's own weight and bias); only `gate` and scales of queries and keys have no name there.

Source  TransformerLens 4.3, `TransformerBridge` hook names.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache

from interp.errors import UsageError, nearest

_RESIDUAL, _NEURONS = "batch pos d_model", "batch pos d_mlp"
_HEADS, _KV_HEADS = "batch pos head d_head", "batch pos kv_head d_head"

# kind -> (TransformerLens's name, axes), in the order in which a sequential block computes them.
_KINDS: dict[str, tuple[str, str]] = {
    "embed": ("hook_embed", _RESIDUAL),
    "pos_embed": ("hook_pos_embed", _RESIDUAL),
    "resid_pre": ("blocks.{layer}.hook_resid_pre", _RESIDUAL),
    "attn_in": ("blocks.{layer}.hook_attn_in", "batch pos head d_model"),
    "q_input": ("blocks.{layer}.hook_q_input", "batch pos head d_model"),
    "k_input": ("blocks.{layer}.hook_k_input", "batch pos kv_head d_model"),
    "v_input": ("blocks.{layer}.hook_v_input", "batch pos kv_head d_model"),
    "ln1_scale": ("blocks.{layer}.ln1.hook_scale", "batch pos 1"),
    "ln1_normalized": ("blocks.{layer}.ln1.hook_normalized", _RESIDUAL),
    "q": ("blocks.{layer}.attn.hook_q", _HEADS),
    "k": ("blocks.{layer}.attn.hook_k", _KV_HEADS),
    "v": ("blocks.{layer}.attn.hook_v", _KV_HEADS),
    "q_scale": ("blocks.{layer}.attn.hook_q_scale", "batch pos head 1"),
    "k_scale": ("blocks.{layer}.attn.hook_k_scale", "batch pos kv_head 1"),
    "rot_q": ("blocks.{layer}.attn.hook_rot_q", _HEADS),
    "rot_k": ("blocks.{layer}.attn.hook_rot_k", _KV_HEADS),
    "scores": ("blocks.{layer}.attn.hook_attn_scores", "batch head query key"),
    "pattern": ("blocks.{layer}.attn.hook_pattern", "batch head query key"),
    "z": ("blocks.{layer}.attn.hook_z", _HEADS),
    "head_out": ("blocks.{layer}.attn.hook_result", "batch pos head d_model"),
    "attn_out": ("blocks.{layer}.hook_attn_out", _RESIDUAL),
    "resid_mid": ("blocks.{layer}.hook_resid_mid", _RESIDUAL),
    "mlp_in": ("blocks.{layer}.hook_mlp_in", _RESIDUAL),
    "ln2_scale": ("blocks.{layer}.ln2.hook_scale", "batch pos 1"),
    "ln2_normalized": ("blocks.{layer}.ln2.hook_normalized", _RESIDUAL),
    "mlp_pre": ("blocks.{layer}.mlp.hook_pre", _NEURONS),
    "gate": ("blocks.{layer}.mlp.hook_gate", _NEURONS),
    "mlp_pre_linear": ("blocks.{layer}.mlp.hook_pre_linear", _NEURONS),
    "mlp_post": ("blocks.{layer}.mlp.hook_post", _NEURONS),
    "mlp_out": ("blocks.{layer}.hook_mlp_out", _RESIDUAL),
    "resid_post": ("blocks.{layer}.hook_resid_post", _RESIDUAL),
    "final_scale": ("ln_final.hook_scale", "batch pos 1"),
    "final_normalized": ("ln_final.hook_normalized", _RESIDUAL),
    "logits": ("unembed.hook_out", "batch pos d_vocab"),
}
KINDS = tuple(_KINDS)
LAYERLESS = tuple(kind for kind, (name, _) in _KINDS.items() if "{layer}" not in name)


@dataclass(frozen=True, slots=True)
class Site:
    """One place of the model: what is computed there and, inside a block, in which layer."""

    kind: str
    layer: int | None = None

    @property
    def name(self) -> str:
        """TransformerLens's name of the activation, such as `blocks.5.attn.hook_z`."""
        return _KINDS[self.kind][0].format(layer=self.layer)

    @property
    def axes(self) -> tuple[str, ...]:
        """The names of the activation's axes, such as `("batch", "pos", "head", "d_head")`."""
        return tuple(_KINDS[self.kind][1].split())

    @property
    def order(self) -> tuple[int, int]:
        """Sorts sites as a sequential model computes them: before, inside and after the blocks."""
        outside = -1 if self.kind in ("embed", "pos_embed") else 1 << 30
        return outside if self.layer is None else self.layer, KINDS.index(self.kind)

    def __str__(self) -> str:
        return self.name


def embed() -> Site:
    """Token embeddings."""
    return _site("embed")


def pos_embed() -> Site:
    """Learned position embeddings; absent from models with rotary or no positions."""
    return _site("pos_embed")


def resid_pre(layer: int) -> Site:
    """The residual stream as the layer receives it."""
    return _site("resid_pre", layer)


def attn_in(layer: int) -> Site:
    """The stream before the norm as each head reads it; absent where heads share keys and values."""
    return _site("attn_in", layer)


def q_input(layer: int) -> Site:
    """The stream before the norm as each head's queries read it: a copy, normed by itself if edited."""
    return _site("q_input", layer)


def k_input(layer: int) -> Site:
    """The same for each head's keys."""
    return _site("k_input", layer)


def v_input(layer: int) -> Site:
    """The same for each head's values."""
    return _site("v_input", layer)


def ln1_scale(layer: int) -> Site:
    """What the norm before attention divides by."""
    return _site("ln1_scale", layer)


def ln1_normalized(layer: int) -> Site:
    """The stream after the norm before attention, without the norm's own weight and bias."""
    return _site("ln1_normalized", layer)


def q(layer: int) -> Site:
    """Queries, before q/k norm and rotation."""
    return _site("q", layer)


def k(layer: int) -> Site:
    """Keys, before q/k norm and rotation."""
    return _site("k", layer)


def v(layer: int) -> Site:
    """Values."""
    return _site("v", layer)


def q_scale(layer: int) -> Site:
    """What the norm of queries divides by; only where queries and keys are normed."""
    return _site("q_scale", layer)


def k_scale(layer: int) -> Site:
    """What the norm of keys divides by; only where queries and keys are normed."""
    return _site("k_scale", layer)


def rot_q(layer: int) -> Site:
    """Queries after rotation; rotary models only."""
    return _site("rot_q", layer)


def rot_k(layer: int) -> Site:
    """Keys after rotation; rotary models only."""
    return _site("rot_k", layer)


def scores(layer: int) -> Site:
    """Scaled and masked attention scores, before the softmax."""
    return _site("scores", layer)


def pattern(layer: int) -> Site:
    """Attention, after the softmax: every row of keys sums to 1."""
    return _site("pattern", layer)


def z(layer: int) -> Site:
    """Values mixed by the pattern: what the output projection reads. The site of a head."""
    return _site("z", layer)


def head_out(layer: int) -> Site:
    """What each head writes to the stream (z through its rows of W_O); computed only when asked for."""
    return _site("head_out", layer)


def attn_out(layer: int) -> Site:
    """What the attention layer writes to the stream: all heads and the bias b_O."""
    return _site("attn_out", layer)


def resid_mid(layer: int) -> Site:
    """The stream between attention and MLP; absent from parallel and attention-only blocks."""
    return _site("resid_mid", layer)


def mlp_in(layer: int) -> Site:
    """The stream before the norm as the MLP reads it."""
    return _site("mlp_in", layer)


def ln2_scale(layer: int) -> Site:
    """What the norm before the MLP divides by."""
    return _site("ln2_scale", layer)


def ln2_normalized(layer: int) -> Site:
    """The stream after the norm before the MLP, without the norm's own weight and bias."""
    return _site("ln2_normalized", layer)


def mlp_pre(layer: int) -> Site:
    """What enters the MLP's non-linearity: x W_in, or x W_gate in a gated MLP."""
    return _site("mlp_pre", layer)


def gate(layer: int) -> Site:
    """Gated MLPs only: the activated gate, act(x W_gate), which multiplies `mlp_pre_linear`."""
    return _site("gate", layer)


def mlp_pre_linear(layer: int) -> Site:
    """Gated MLPs only: x W_in, which the gate multiplies."""
    return _site("mlp_pre_linear", layer)


def mlp_post(layer: int) -> Site:
    """Neuron activations: what W_out reads."""
    return _site("mlp_post", layer)


def mlp_out(layer: int) -> Site:
    """What the MLP writes to the stream, its bias b_out included."""
    return _site("mlp_out", layer)


def resid_post(layer: int) -> Site:
    """The residual stream as the layer leaves it."""
    return _site("resid_post", layer)


def final_scale() -> Site:
    """What the final norm divides by."""
    return _site("final_scale")


def final_normalized() -> Site:
    """The stream after the final norm, without the norm's own weight and bias."""
    return _site("final_normalized")


def logits() -> Site:
    """The model's output, before any softmax."""
    return _site("logits")


def parse(name: str | Site | tuple[str, int]) -> Site:
    """The site with this name: a Site, `blocks.5.attn.hook_z`, or TransformerLens's `("z", 5)`.

    Raises  UsageError for a name that no model has; the message lists the nearest names.
    """
    if isinstance(name, Site):
        return name
    if isinstance(name, tuple) and len(name) == 2:
        kind, layer = _SHORT.get(name[0], name[0]), name[1]
        if kind not in _KINDS:
            raise UsageError(f"no kind of site is called {kind!r}; {nearest(str(kind), KINDS)}")
        if kind in LAYERLESS:
            raise UsageError(f"{kind!r} belongs to no layer, got {name!r}")
        return _site(kind, layer)
    if not isinstance(name, str):
        raise UsageError(f"expected a Site, a hook name or (kind, layer), got {name!r}")
    digits = re.search(r"(?<=blocks\.)\d+", name)
    template = name.replace(digits[0], "{layer}", 1) if digits else name
    if not (kind := _BY_NAME.get(template, name if name in LAYERLESS else "")):
        spelt = [hook.format(layer=digits[0] if digits else "0") for hook in _BY_NAME]
        raise UsageError(f"no site is called {name!r}; {nearest(name, spelt)}")
    return _site(kind, int(digits[0]) if digits else None)


def among(site: Site, existing: Collection[Site]) -> Site:
    """`site`, if the model has it.

    Raises  UsageError otherwise; the message lists the nearest sites that the model has.
    """
    if site in existing:
        return site
    close = nearest(site.name, [each.name for each in existing])
    raise UsageError(f"this model has no site {site.name!r}; {close}")


_site = cache(Site)
_BY_NAME = {name: kind for kind, (name, _) in _KINDS.items()}
# The short names that TransformerLens accepts in `cache["attn_scores", 5]` and that differ from ours.
_SHORT = {
    name.rsplit("hook_", 1)[1]: kind
    for kind, (name, _) in _KINDS.items()
    if "ln" not in kind and "final" not in kind and kind != "logits"
} | {"post": "mlp_post", "pre": "mlp_pre", "attn": "pattern"}
