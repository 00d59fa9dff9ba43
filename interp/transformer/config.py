"""The shape of a transformer: families are settings of one set of components."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from interp.errors import UsageError, nearest

Norm = Literal["layernorm", "rmsnorm", "none"]
Positions = Literal["learned", "rotary", "none"]
Activation = Literal["gelu", "gelu_new", "relu", "silu"]


@dataclass(frozen=True, slots=True)
class RotaryScaling:
    """How rotary frequencies are stretched for contexts longer than those of pre-training.

    `linear` divides every frequency by `factor`; `llama3` leaves high frequencies, divides low ones
    and blends between, by the wavelength against `original_n_ctx`.

    Source  Hugging Face `rope_type` "linear" and "llama3".
    """

    kind: Literal["linear", "llama3"]
    factor: float
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    original_n_ctx: int = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything that decides what the model computes, apart from its weights.

    `d_mlp = 0` is an attention-only model. `rotary_dim` is how many of a head's dimensions rotate
    (0: all of a rotary model's; zeros of `n_kv_heads`, `d_vocab_out` and `attn_scale` mean the usual).
    `attn_scale` is what scores are divided by; `attn_scale_by_layer` divides them by layer + 1 too
    (GPT-2's `scale_attn_by_inverse_layer_idx`). `windows` holds, for every layer, how many
    positions back attention reaches, or None; empty means everywhere all positions.

    Raises  UsageError when the settings contradict each other.
    """

    n_layers: int
    n_heads: int
    d_model: int
    d_head: int
    d_vocab: int
    n_ctx: int
    n_kv_heads: int = 0
    d_mlp: int = 0
    d_vocab_out: int = 0
    norm: Norm = "layernorm"
    norm_eps: float = 1e-5
    positions: Positions = "learned"
    rotary_dim: int = 0
    rotary_base: float = 10_000.0
    rotary_scaling: RotaryScaling | None = None
    activation: Activation = "gelu_new"
    gated: bool = False
    parallel: bool = False
    causal: bool = True
    tied: bool = True
    qk_norm: bool = False
    q_bias: bool = True
    kv_bias: bool = True
    o_bias: bool = True
    mlp_bias: bool = True
    unembed_bias: bool = False
    attn_scale: float = 0.0
    attn_scale_by_layer: bool = False
    windows: tuple[int | None, ...] = ()

    def __post_init__(self) -> None:
        self._default("n_kv_heads", self.n_heads)
        self._default("d_vocab_out", self.d_vocab)
        self._default("attn_scale", self.d_head**0.5)
        if self.positions == "rotary":
            self._default("rotary_dim", self.d_head)
        for name in ("n_layers", "n_heads", "d_model", "d_head", "d_vocab", "n_ctx"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.d_mlp < 0:
            raise UsageError(f"d_mlp must be 0 (no MLP) or more, got {self.d_mlp}")
        if self.n_heads % self.n_kv_heads:
            raise UsageError(
                f"n_heads must be a multiple of n_kv_heads, got {self.n_heads} and {self.n_kv_heads}"
            )
        if self.positions == "rotary" and (self.rotary_dim % 2 or self.rotary_dim > self.d_head):
            raise UsageError(
                f"rotary_dim must be even and at most d_head {self.d_head}, got {self.rotary_dim}"
            )
        if self.tied and self.d_vocab_out != self.d_vocab:
            raise UsageError("a tied unembedding needs d_vocab_out equal to d_vocab")
        for name, choices in (("norm", Norm), ("positions", Positions), ("activation", Activation)):
            value, known = getattr(self, name), get_args(choices)
            if value not in known:
                raise UsageError(f"{name} must be one of {', '.join(known)}, got {value!r}")
        if any(window is not None and window < 1 for window in self.windows):
            raise UsageError(f"a window must reach at least 1 position, got {self.windows}")
        if self.windows and len(self.windows) != self.n_layers:
            raise UsageError(
                f"windows needs one entry for each of {self.n_layers} layers, got {len(self.windows)}"
            )

    def _default(self, name: str, value: Any) -> None:
        if not getattr(self, name):
            object.__setattr__(self, name, value)

    @property
    def group(self) -> int:
        """How many query heads read each key/value head."""
        return self.n_heads // self.n_kv_heads

    def to_dict(self) -> dict[str, Any]:
        """Plain data from which `from_dict` makes an equal Config."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Config:
        """The Config that `to_dict` described.

        Raises  UsageError for a setting that does not exist.
        """
        known = {field.name for field in fields(cls)}
        for name in data:
            if name not in known:
                raise UsageError(f"no setting is called {name!r}; {nearest(name, known)}")
        values = dict(data)
        if isinstance(scaling := values.get("rotary_scaling"), dict):
            values["rotary_scaling"] = RotaryScaling(**scaling)
        values["windows"] = tuple(values.get("windows") or ())
        return cls(**values)
