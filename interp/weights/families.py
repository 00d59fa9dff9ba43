"""One function a Hugging Face family: its tensors under the clean transformer's names.

Every tensor is a view of what the checkpoint holds; only GPT-NeoX's queries, keys and values, which
lie interleaved by head, are laid out anew.
"""

from collections.abc import Callable, Iterator

from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from interp.transformer import Config
from interp.weights.reader import Reader

Named = Iterator[tuple[str, Tensor]]
Convert = Callable[[Config, Reader], Named]


def gpt2(config: Config, read: Reader) -> Named:
    """GPT-2: its `Conv1D` weights are `[in out]`, the transpose of a `Linear`'s."""
    top = "transformer." if "transformer.wte.weight" in read else ""
    d_model, width = config.d_model, config.n_heads * config.d_head
    yield "embed.W_E", read(f"{top}wte.weight")
    yield "pos_embed.W_pos", read(f"{top}wpe.weight")
    for layer in range(config.n_layers):
        ours, theirs = f"blocks.{layer}.", f"{top}h.{layer}."
        yield from _norm(read, f"{ours}ln1", f"{theirs}ln_1")
        weights = read(f"{theirs}attn.c_attn.weight", d_model, 3 * width).chunk(3, dim=-1)
        biases = read(f"{theirs}attn.c_attn.bias", 3 * width).chunk(3, dim=-1)
        for letter, weight, bias in zip("QKV", weights, biases, strict=True):
            yield f"{ours}attn.W_{letter}", _reading(weight.T, config.n_heads)
            yield f"{ours}attn.b_{letter}", _by_head(bias, config.n_heads)
        out = read(f"{theirs}attn.c_proj.weight", width, d_model)
        yield f"{ours}attn.W_O", _writing(out.T, config.n_heads)
        yield f"{ours}attn.b_O", read(f"{theirs}attn.c_proj.bias")
        yield from _norm(read, f"{ours}ln2", f"{theirs}ln_2")
        for side, part in (("in", "c_fc"), ("out", "c_proj")):
            yield f"{ours}mlp.W_{side}", read(f"{theirs}mlp.{part}.weight")
            yield f"{ours}mlp.b_{side}", read(f"{theirs}mlp.{part}.bias")
    yield from _norm(read, "ln_final", f"{top}ln_f")
    # Masks, and what attends to an encoder, which a language model on its own has none of.
    read.ignore(r".*\.attn\.(bias|masked_bias)|.*\.(crossattention|ln_cross_attn)\..*")
    yield from _unembed(config, read, "lm_head.weight", f"{top}wte.weight")


def gpt_neox(config: Config, read: Reader) -> Named:
    """GPT-NeoX and Pythia: queries, keys and values of one head lie together, head after head."""
    top = "gpt_neox." if "gpt_neox.embed_in.weight" in read else ""
    d_model, width = config.d_model, config.n_heads * config.d_head
    yield "embed.W_E", read(f"{top}embed_in.weight")
    for layer in range(config.n_layers):
        ours, theirs = f"blocks.{layer}.", f"{top}layers.{layer}."
        yield from _norm(read, f"{ours}ln1", f"{theirs}input_layernorm")
        yield from _norm(read, f"{ours}ln2", f"{theirs}post_attention_layernorm")
        fused = f"{theirs}attention.query_key_value"
        weights = _interleaved(read(f"{fused}.weight", 3 * width, d_model), config.n_heads)
        for letter, weight in zip("QKV", weights, strict=True):
            yield (
                f"{ours}attn.W_{letter}",
                rearrange(weight, "head d_head d_model -> head d_model d_head"),
            )
        if config.q_bias:
            biases = _interleaved(read(f"{fused}.bias", 3 * width), config.n_heads)
            for letter, bias in zip("QKV", biases, strict=True):
                yield f"{ours}attn.b_{letter}", bias
        out = read(f"{theirs}attention.dense.weight", d_model, width)
        yield f"{ours}attn.W_O", _writing(out, config.n_heads)
        if config.o_bias:
            yield f"{ours}attn.b_O", read(f"{theirs}attention.dense.bias")
        for side, part in (("in", "dense_h_to_4h"), ("out", "dense_4h_to_h")):
            yield from _linear(config, read, f"{ours}mlp", side, f"{theirs}mlp.{part}", bias=True)
    yield from _norm(read, "ln_final", f"{top}final_layer_norm")
    read.ignore(r".*\.attention\.(bias|masked_bias|rotary_emb\.inv_freq)")
    yield from _unembed(config, read, "embed_out.weight", f"{top}embed_in.weight")


def llama(config: Config, read: Reader) -> Named:
    """Llama and all that have its names: Mistral, SmolLM, Qwen2, Qwen3."""
    top = "model." if "model.embed_tokens.weight" in read else ""
    d_model, d_head = config.d_model, config.d_head
    yield "embed.W_E", read(f"{top}embed_tokens.weight")
    for layer in range(config.n_layers):
        ours, theirs = f"blocks.{layer}.", f"{top}layers.{layer}."
        yield f"{ours}ln1.w", read(f"{theirs}input_layernorm.weight")
        yield f"{ours}ln2.w", read(f"{theirs}post_attention_layernorm.weight")
        for letter, n_heads, biased in (
            ("Q", config.n_heads, config.q_bias),
            ("K", config.n_kv_heads, config.kv_bias),
            ("V", config.n_kv_heads, config.kv_bias),
        ):
            part = f"{theirs}self_attn.{letter.lower()}_proj"
            width = n_heads * d_head
            yield (
                f"{ours}attn.W_{letter}",
                _reading(read(f"{part}.weight", width, d_model), n_heads),
            )
            if biased:
                yield f"{ours}attn.b_{letter}", _by_head(read(f"{part}.bias", width), n_heads)
        out = read(f"{theirs}self_attn.o_proj.weight", d_model, config.n_heads * d_head)
        yield f"{ours}attn.W_O", _writing(out, config.n_heads)
        if config.o_bias:
            yield f"{ours}attn.b_O", read(f"{theirs}self_attn.o_proj.bias")
        if config.qk_norm:
            yield f"{ours}attn.q_norm.w", read(f"{theirs}self_attn.q_norm.weight")
            yield f"{ours}attn.k_norm.w", read(f"{theirs}self_attn.k_norm.weight")
        for side, part in (("in", "up_proj"), ("gate", "gate_proj"), ("out", "down_proj")):
            yield from _linear(
                config, read, f"{ours}mlp", side, f"{theirs}mlp.{part}", config.mlp_bias
            )
    yield "ln_final.w", read(f"{top}norm.weight")
    read.ignore(r".*\.rotary_emb\.inv_freq")
    yield from _unembed(config, read, "lm_head.weight", f"{top}embed_tokens.weight")


def _norm(read: Reader, ours: str, theirs: str) -> Named:
    yield f"{ours}.w", read(f"{theirs}.weight")
    yield f"{ours}.b", read(f"{theirs}.bias")


def _linear(config: Config, read: Reader, ours: str, side: str, theirs: str, bias: bool) -> Named:
    """One side of an MLP out of a `Linear`, whose weight is `[out in]`."""
    out, into = (config.d_model, config.d_mlp)[:: 1 if side == "out" else -1]
    yield f"{ours}.W_{side}", read(f"{theirs}.weight", out, into).T
    if bias:
        yield f"{ours}.b_{side}", read(f"{theirs}.bias")


def _unembed(config: Config, read: Reader, head: str, embedding: str) -> Named:
    """W_U, if it is not W_E: some tied checkpoints store it all the same, and have to mean it."""
    if not config.tied:
        yield "unembed.W_U", read(head, config.d_vocab_out, config.d_model).T
    elif head in read:
        read.must_equal(head, embedding)


def _reading(linear: Tensor, n_heads: int) -> Float[Tensor, "head d_model d_head"]:
    """A `Linear`'s weight, rows by head, as what the heads read with."""
    return rearrange(linear, "(head d_head) d_model -> head d_model d_head", head=n_heads)


def _writing(linear: Tensor, n_heads: int) -> Float[Tensor, "head d_head d_model"]:
    """A `Linear`'s weight, columns by head, as what the heads write with."""
    return rearrange(linear, "d_model (head d_head) -> head d_head d_model", head=n_heads)


def _by_head(bias: Tensor, n_heads: int) -> Float[Tensor, "head d_head"]:
    return rearrange(bias, "(head d_head) -> head d_head", head=n_heads)


def _interleaved(fused: Tensor, n_heads: int) -> tuple[Tensor, ...]:
    """Queries, keys and values, `[head d_head …]` each."""
    return rearrange(
        fused, "(head component d_head) ... -> component head d_head ...", head=n_heads, component=3
    ).unbind()


FAMILIES: dict[str, Convert] = {
    "gpt2": gpt2,
    "gpt_neox": gpt_neox,
    **dict.fromkeys(("llama", "mistral", "qwen2", "qwen3"), llama),
}
