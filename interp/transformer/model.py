"""The clean transformer: embed, blocks, final norm, unembed."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from interp import sites
from interp.errors import UsageError, brief
from interp.sites import Site
from interp.tokenizers import Bos, Choice, bos_of
from interp.tokenizers.loading import TokenizerLoader
from interp.transformer.block import Block
from interp.transformer.config import Config
from interp.transformer.embed import Embed, PosEmbed, Unembed
from interp.transformer.hooks import NO_HOOKS, Hooks
from interp.transformer.layout import flat_in_place
from interp.transformer.norm import LayerNorm
from interp.transformer.run import run, run_with_cache, run_with_hooks
from interp.transformer.surroundings import Surroundings, surroundings
from interp.transformer.text import (
    Prompts,
    to_batch,
    to_single_str_token,
    to_single_token,
    to_str_tokens,
    to_tokens,
)
from interp.visible import title


@dataclass(frozen=True, slots=True)
class Origin:
    """Name, architecture family, revision and checksum of the weights, and what a reader must know.

    `notes` are sentences that every report about this model repeats, such as that its weights were
    quantised or folded.
    """

    name: str
    family: str
    weights_sha256: str
    revision: str | None = None
    notes: tuple[str, ...] = ()


class Transformer(nn.Module):
    """A transformer that shows everything it computes.

    Parameters are called and shaped as TransformerLens calls and shapes them. The model holds no
    state between runs.
    """

    def __init__(
        self,
        config: Config,
        origin: Origin | None = None,
        tokenizer: TokenizerLoader | None = None,
        bos: Choice = "auto",
    ) -> None:
        super().__init__()
        self.config = config
        self.origin = origin or Origin("unnamed", "unnamed", "")
        self._load_tokenizer = tokenizer
        self.bos_choice = bos
        self.embed = Embed(config)
        if config.positions == "learned":
            self.pos_embed = PosEmbed(config)
        self.blocks = nn.ModuleList(Block(config, layer) for layer in range(config.n_layers))
        self.ln_final = LayerNorm(config)
        self.unembed = Unembed(config, self.embed)
        # Fused kernels, which show less, are for whoever asks for training.
        self.eval()

    def check(self, weights: Mapping[str, Tensor]) -> None:
        """Passes if these are the model's weights by name and shape.

        Raises  UsageError for a missing or unused name and for a wrong shape.
        """
        own = dict(self.named_parameters())
        if missing := sorted(own.keys() - weights.keys()):
            raise UsageError(f"weights lack {len(missing)} tensors, the first is {missing[0]!r}")
        if unused := sorted(weights.keys() - own.keys()):
            raise UsageError(
                f"weights hold {len(unused)} tensors of no use, the first is {brief(unused[0])}"
            )
        for name, parameter in own.items():
            if weights[name].shape != parameter.shape:
                raise UsageError(
                    f"{name} must have shape {list(parameter.shape)}, "
                    f"got {brief(list(weights[name].shape))}"
                )

    def assign(self, weights: Mapping[str, Tensor]) -> None:
        """Makes these tensors the model's parameters, without copying them where their layout allows.

        Raises  UsageError for a missing or unused name and for a wrong shape.
        """
        self.check(weights)
        for name in dict(self.named_parameters()):
            path, _, leaf = name.rpartition(".")
            weight = nn.Parameter(flat_in_place(name, weights[name]))
            self.get_submodule(path).register_parameter(leaf, weight)

    @property
    def name(self) -> str:
        """What the model is called: the name under which it was loaded, of an absolute path the end."""
        return title(self.origin.name)

    @property
    def family(self) -> str:
        """The architecture family, such as `gpt2` or `llama`."""
        return self.origin.family

    @property
    def dtype(self) -> torch.dtype:
        """The type of the weights."""
        return self.embed.W_E.dtype

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.embed.W_E.device

    @property
    def has_tokenizer(self) -> bool:
        """Whether `tokenizer` is to be had."""
        return self._load_tokenizer is not None

    @cached_property
    def tokenizer(self) -> Any:
        """The Hugging Face tokenizer, loaded on first use.

        Raises  UsageError for a model that has none: give it token ids.
        """
        if self._load_tokenizer is None:
            raise UsageError(
                f"{self.name} has no tokenizer; give token ids [batch pos] instead of text"
            )
        return self._load_tokenizer()

    @cached_property
    def bos(self) -> Bos:
        """The token that stands before a prompt of a task, as chosen on loading, and why.

        Raises  UsageError for a model without a tokenizer, and for one that has no BOS where one was
                asked for.
        """
        return bos_of(self.tokenizer, self.bos_choice)

    def block(self, layer: int) -> Block:
        """This layer."""
        return cast(Block, self.blocks[layer])

    @cached_property
    def sites(self) -> tuple[Site, ...]:
        """Every site of this model, in the order in which it is computed."""
        config = self.config
        absent = {"pos_embed"} if config.positions != "learned" else set()
        if config.positions != "rotary":
            absent |= {"rot_q", "rot_k"}
        of_heads = {"q_scale", "k_scale"}
        if config.norm == "none":
            ends = ("_scale", "_normalized")
            absent |= {kind for kind in sites.KINDS if kind.endswith(ends)} - of_heads
        if not config.qk_norm:
            absent |= of_heads
        if config.n_kv_heads != config.n_heads:
            absent |= {"attn_in"}
        if not config.d_mlp:
            absent |= {kind for kind in sites.KINDS if kind.startswith(("mlp", "ln2", "gate"))}
        if config.parallel or not config.d_mlp:
            absent |= {"resid_mid"}
        if not config.gated:
            absent |= {"gate", "mlp_pre_linear"}
        found = [
            Site(kind, layer)
            for kind in sites.KINDS
            if kind not in absent
            for layer in ([None] if kind in sites.LAYERLESS else range(config.n_layers))
        ]
        return tuple(sorted(found, key=lambda site: site.order))

    def compute(
        self,
        tokens: Int[Tensor, "batch pos"],
        real: Bool[Tensor, "batch pos"],
        hooks: Hooks = NO_HOOKS,
        logits_at: Int[Tensor, "batch label"] | None = None,
    ) -> Float[Tensor, "batch label d_vocab"]:
        """Logits at the positions asked for, or at all; `real` is False on padding."""
        return self.read_out(self.stream(tokens, real, hooks), hooks, logits_at)

    def stream(
        self,
        tokens: Int[Tensor, "batch pos"],
        real: Bool[Tensor, "batch pos"],
        hooks: Hooks = NO_HOOKS,
        n_layers: int | None = None,
    ) -> Float[Tensor, "batch pos d_model"]:
        """The residual stream after so many blocks, by default after the last."""
        config = self.config
        resid = hooks(sites.embed(), self.embed(tokens))
        around = self.surroundings(real, resid)
        if config.positions == "learned":
            resid = resid + hooks(sites.pos_embed(), self.pos_embed(tokens, around.positions))
        for layer in range(config.n_layers if n_layers is None else n_layers):
            resid = self.block(layer)(resid, around.mask(layer), around.rotary, hooks)
        return resid

    def surroundings(self, real: Bool[Tensor, "batch pos"], like: Tensor) -> Surroundings:
        """Positions, angles and masks of a batch."""
        return surroundings(self.config, real, like)

    def read_out(
        self,
        resid: Float[Tensor, "batch pos d_model"],
        hooks: Hooks = NO_HOOKS,
        logits_at: Int[Tensor, "batch label"] | None = None,
    ) -> Float[Tensor, "batch label d_vocab"]:
        """The final norm and the unembedding, at the positions asked for or at all."""
        normed = self.ln_final(resid, hooks, sites.final_scale(), sites.final_normalized())
        if logits_at is not None:
            examples = torch.arange(len(normed), device=normed.device)[:, None]
            normed = normed[examples, logits_at]
        return hooks(sites.logits(), self.unembed(normed))

    def forward(
        self, tokens: Prompts, attention_mask: Tensor | None = None
    ) -> Float[Tensor, "batch pos d_vocab"]:
        """Logits, with gradients if PyTorch records them."""
        tokens, real = to_batch(self, tokens, attention_mask)
        return self.compute(tokens, real)

    run = run
    run_with_cache = run_with_cache
    run_with_hooks = run_with_hooks
    to_tokens = to_tokens
    to_str_tokens = to_str_tokens
    to_single_token = to_single_token
    to_single_str_token = to_single_str_token

    def __repr__(self) -> str:
        config = self.config
        return (
            f"{type(self).__name__}({config.n_layers} layers × {config.n_heads} heads, "
            f"d_model {config.d_model}, d_mlp {config.d_mlp}, d_vocab {config.d_vocab})"
        )
