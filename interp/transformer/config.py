"""The shape of a transformer: families are settings of one set of components."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from functools import partial
from typing import Any, Literal

from interp.errors import UsageError, brief, nearest
from interp.transformer.bounds import MOST_LAYERS, flag, number, one_of, whole

Norm = Literal["layernorm", "rmsnorm", "none"]
Positions = Literal["learned", "rotary", "none"]
Scaling = Literal["linear", "llama3"]
Activation = Literal["gelu", "gelu_new", "relu", "silu"]


# A matrix of more numbers than these fits into no memory.
_MOST_NUMBERS = 2**40
# Settings of most families after GPT-2.
NO_BIASES: dict[str, Any] = dict.fromkeys(("q_bias", "kv_bias", "o_bias", "mlp_bias"), False)
_NEEDED = ("n_layers", "n_heads", "d_model", "d_head", "d_vocab", "n_ctx")


@dataclass(frozen=True, slots=True)
class RotaryScaling:
    """How rotary frequencies are stretched for contexts longer than those of pre-training.

    `linear` divides every frequency by `factor`; `llama3` leaves high frequencies, divides low ones
    and blends between, by the wavelength against `original_n_ctx`.

    Raises  UsageError for factors that stretch nothing or contradict each other.
    Source  Hugging Face `rope_type` "linear" and "llama3".
    """

    kind: Scaling
    factor: float
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    original_n_ctx: int = 8192

    def __post_init__(self) -> None:
        _assign(self, _checked_scaling)
        if self.kind == "llama3" and self.high_freq_factor <= self.low_freq_factor:
            raise UsageError(
                f"high_freq_factor must be above low_freq_factor {self.low_freq_factor}, "
                f"got {self.high_freq_factor}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything that decides what the model computes, apart from its weights.

    `d_mlp = 0` is an attention-only model. `rotary_dim` is how many of a head's dimensions rotate
    (0: all of a rotary model's; zeros of `n_kv_heads`, `d_vocab_out` and `attn_scale` mean the usual).
    `attn_scale` is what scores are divided by; `attn_scale_by_layer` divides them by layer + 1 too
    (GPT-2's `scale_attn_by_inverse_layer_idx`). `windows` holds, for every layer, how many
    positions back attention reaches, or None; empty means everywhere all positions.

    Raises  UsageError for a setting that is of another kind or beyond its bounds, and when settings
            contradict each other.
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
        _assign(self, _checked)
        self._default("n_kv_heads", self.n_heads)
        self._default("d_vocab_out", self.d_vocab)
        self._default("attn_scale", self.d_head**0.5)
        if self.positions == "rotary":
            self._default("rotary_dim", self.d_head)
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
        if self.windows and len(self.windows) != self.n_layers:
            raise UsageError(
                f"windows needs one entry for each of {self.n_layers} layers, got {len(self.windows)}"
            )
        widest = max(
            *(self.d_vocab, self.d_vocab_out, self.n_heads * self.d_head, self.d_mlp),
            self.n_ctx if self.positions == "learned" else 0,
        )
        if widest * self.d_model > _MOST_NUMBERS:
            raise UsageError(
                f"a matrix of {widest:,} × {self.d_model:,} numbers fits into no memory; "
                "sizes this large are a mistake"
            )

    def _default(self, name: str, value: Any) -> None:
        if not getattr(self, name):
            object.__setattr__(self, name, value)

    @property
    def group(self) -> int:
        """How many query heads read each key/value head."""
        return self.n_heads // self.n_kv_heads

    def window(self, layer: int) -> int | None:
        """How many positions back this layer's attention reaches; None for all."""
        return self.windows[layer] if self.windows else None

    def to_dict(self) -> dict[str, Any]:
        """Plain data from which `from_dict` makes an equal Config."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Config":
        """The Config that `to_dict` described.

        Raises  UsageError for a setting that does not exist, is missing or cannot be meant.
        """
        if not isinstance(data, dict):
            raise UsageError(f"settings must be an object of names and values, got {brief(data)}")
        for name in data:
            if name not in _KINDS:
                raise UsageError(f"no setting is called {brief(name)}; {nearest(name, _KINDS)}")
        for name in _NEEDED:
            if name not in data:
                raise UsageError(f"the setting {name} is missing")
        # A dict comes from a file as a rule, and has values of any kind.
        return cls(**_checked(data))


def _assign(settings: Any, checked: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Has a frozen dataclass keep its own values as `checked` gives them."""
    values = {field.name: getattr(settings, field.name) for field in fields(settings)}
    for name, value in checked(values).items():
        object.__setattr__(settings, name, value)


def _checked(values: dict[str, Any]) -> dict[str, Any]:
    """The values, each of the kind and within the bounds of its setting."""
    return {name: _KINDS[name](name, value) for name, value in values.items()}


def _checked_scaling(values: dict[str, Any]) -> dict[str, Any]:
    return {name: _SCALING_KINDS[name](name, value) for name, value in values.items()}


def _windows(name: str, value: Any) -> tuple[int | None, ...]:
    if value is not None and not isinstance(value, list | tuple):
        raise UsageError(f"{name} must be a list, got {brief(value)}")
    return tuple(
        None if reach is None else whole("a window of positions", reach, least=1)
        for reach in value or ()
    )


def _scaling(name: str, value: Any) -> RotaryScaling | None:
    if value is None or isinstance(value, RotaryScaling):
        return value
    if not isinstance(value, dict):
        raise UsageError(f"{name} must be an object of settings, got {brief(value)}")
    if unknown := [each for each in value if each not in _SCALING_KINDS]:
        raise UsageError(f"no setting of {name} is called {brief(unknown[0])}")
    if missing := [each for each in ("kind", "factor") if each not in value]:
        raise UsageError(f"the setting {missing[0]} of {name} is missing")
    return RotaryScaling(**_checked_scaling(value))


_POSITIVE = partial(number, above=0)
_KINDS: dict[str, Callable[[str, Any], Any]] = {
    **dict.fromkeys(("n_kv_heads", "d_mlp", "d_vocab_out", "rotary_dim"), whole),
    **dict.fromkeys(_NEEDED, partial(whole, least=1)),
    "n_layers": partial(whole, least=1, most=MOST_LAYERS),
    **{
        name: partial(one_of, choices=choices)
        for name, choices in (("norm", Norm), ("positions", Positions), ("activation", Activation))
    },
    **dict.fromkeys(("norm_eps", "attn_scale"), partial(number, least=0)),
    "rotary_base": _POSITIVE,
    "rotary_scaling": _scaling,
    **dict.fromkeys(("gated", "parallel", "causal", "tied", "qk_norm", "unembed_bias"), flag),
    **dict.fromkeys(("q_bias", "kv_bias", "o_bias", "mlp_bias", "attn_scale_by_layer"), flag),
    "windows": _windows,
}
_SCALING_KINDS: dict[str, Callable[[str, Any], Any]] = {
    "kind": partial(one_of, choices=Scaling),
    **dict.fromkeys(("factor", "low_freq_factor", "high_freq_factor"), _POSITIVE),
    "original_n_ctx": partial(whole, least=1),
}
