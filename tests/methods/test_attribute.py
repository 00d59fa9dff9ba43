"""Direct logit attribution and the lens: ours, Hugging Face's with hooks, and TransformerLens's."""

import numpy as np
import pytest
import torch
from torch.overrides import TorchFunctionMode

import interp
from interp import sites, tasks
from interp.methods import attribute, lens, neurons
from interp.methods.decompose import at
from interp.methods.rescaling import frozen_and_anew, without
from interp.tasks.batches import PromptBatch, places, whole
from interp.weights.comparison import reference_in

VOCABULARY = 61
KINDS = {
    "gpt2": {"model_type": "gpt2", "n_embd": 24, "n_layer": 3, "n_head": 4, "n_positions": 40},
    "neox": {"model_type": "gpt_neox", "hidden_size": 32, "num_hidden_layers": 3}
    | {"num_attention_heads": 4, "intermediate_size": 52, "max_position_embeddings": 40}
    | {"rotary_pct": 0.25},
    "llama": {"model_type": "llama", "hidden_size": 36, "num_hidden_layers": 3}
    | {"num_attention_heads": 6, "num_key_value_heads": 2, "intermediate_size": 52}
    | {"max_position_embeddings": 40, "attention_bias": True, "mlp_bias": True},
}


class Lifted(TorchFunctionMode):
    """Whoever asks for float32 gets float64: Hugging Face keeps islands of it in a wider model."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        func = torch.Tensor.double if func is torch.Tensor.float else func
        wide = {k: torch.float64 if v is torch.float32 else v for k, v in (kwargs or {}).items()}
        return func(*(torch.float64 if a is torch.float32 else a for a in args), **wide)


@pytest.fixture(scope="module", params=KINDS)
def folder(request, tmp_path_factory):
    """A random Hugging Face model of this kind: biases and norm weights random too."""
    from transformers import AutoConfig, AutoModelForCausalLM

    settings = dict(KINDS[request.param])
    config = AutoConfig.for_model(
        settings.pop("model_type"),
        **settings,
        vocab_size=VOCABULARY,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=None,
    )
    model = AutoModelForCausalLM.from_config(config)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            drawn = torch.randn(parameter.shape, generator=generator)
            gain = drawn.ndim == 1 and "weight" in name
            parameter.copy_(1 + 0.3 * drawn if gain else 0.2 * drawn)
    place = tmp_path_factory.mktemp(request.param)
    model.save_pretrained(place)
    return place


@pytest.fixture(scope="module")
def ours(folder):
    return interp.load(str(folder), dtype=torch.float64)


@pytest.fixture(scope="module")
def prompts():
    generator = torch.Generator().manual_seed(3)
    tokens = torch.randint(VOCABULARY, (3, 11), generator=generator)
    return PromptBatch.of_tokens(
        tokens, tokens, torch.tensor([5, 17, 44]), torch.tensor([9, 2, 30])
    )


def of_huggingface(folder, prompts):
    """Each head's and MLP's direct effect, from hooks on the inputs of output projections, and the
    stream that the final norm reads."""
    with Lifted(), torch.no_grad():
        theirs = reference_in(folder, torch.float64)
        base = theirs.base_model
        layers = base.h if hasattr(base, "h") else base.layers
        final = next(
            getattr(base, name)
            for name in ("ln_f", "final_layer_norm", "norm")
            if hasattr(base, name)
        )
        seen = {}
        for number, layer in enumerate(layers):
            attention = layer.attn if hasattr(layer, "attn") else getattr(layer, "self_attn", None)
            attention = attention or layer.attention
            out = next(
                getattr(attention, name)
                for name in ("c_proj", "o_proj", "dense")
                if hasattr(attention, name)
            )
            out.register_forward_hook(
                lambda module, given, made, number=number: seen.update(
                    {("in", number): given[0], ("W", number): module}
                )
            )
            layer.mlp.register_forward_hook(
                lambda module, given, made, number=number: seen.update({("mlp", number): made})
            )
        final.register_forward_hook(
            lambda module, given, made: seen.update(x=given[0], normed=made)
        )
        logits = theirs(prompts.clean).logits[:, -1]
    x = seen["x"][:, -1]
    eps = getattr(final, "eps", getattr(final, "variance_epsilon", None))
    centre = getattr(final, "bias", None) is not None
    mid = x - x.mean(-1, keepdim=True) if centre else x
    scale = (mid.square().mean(-1, keepdim=True) + eps).sqrt()
    unembed = theirs.get_output_embeddings().weight
    apart = unembed[prompts.answer] - unembed[prompts.distractor]

    def effect(written):
        written = written - written.mean(-1, keepdim=True) if centre else written
        return (written / scale * final.weight * apart).sum(-1)

    heads, mlps = [], []
    n_heads = theirs.config.num_attention_heads
    for number in range(len(layers)):
        module, given = seen["W", number], seen["in", number][:, -1]
        weight = module.weight if type(module).__name__ == "Conv1D" else module.weight.T
        size = given.shape[-1] // n_heads
        for head in range(n_heads):
            part = slice(head * size, (head + 1) * size)
            heads.append(effect(given[:, part] @ weight[part]))
        mlps.append(effect(seen["mlp", number][:, -1]))
    difference = logits.gather(1, prompts.answer[:, None]) - logits.gather(
        1, prompts.distractor[:, None]
    )
    return torch.stack(heads).detach(), torch.stack(mlps).detach(), difference[:, 0]


def test_direct_effects_are_those_computed_from_hugging_face_with_hooks(folder, ours, prompts):
    run = prompts.run(ours, keep=attribute.wanted(ours))
    found = attribute.attribute(ours, run, prompts)
    heads, mlps, difference = of_huggingface(folder, prompts)
    torch.testing.assert_close(found.of("head"), heads, rtol=1e-9, atol=1e-9)
    biases = [found.of(kind) for kind in ("mlp", "mlp_bias")]
    own = biases[0] + (biases[1] if len(biases[1]) else 0)
    torch.testing.assert_close(own, mlps, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(found.logit_difference, difference, rtol=1e-9, atol=1e-9)
    assert found.error <= 1e-10


@pytest.fixture(scope="module")
def bridge(folder, tmp_path_factory):
    """TransformerLens's bridge on the same weights, its final norm's weight 1 and bias 0, because its
    attribution leaves both out; and ours with the same."""
    from transformer_lens.model_bridge import TransformerBridge
    from transformers import AutoModelForCausalLM, AutoTokenizer

    place = tmp_path_factory.mktemp("bridge")
    theirs = AutoModelForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        for name, parameter in theirs.named_parameters():
            if name.endswith(("ln_f.weight", "final_layer_norm.weight", "model.norm.weight")):
                parameter.fill_(1)
            if name.endswith(("ln_f.bias", "final_layer_norm.bias")):
                parameter.zero_()
    theirs.save_pretrained(place)
    interp.load("tiny-gpt2").tokenizer.save_pretrained(place / "tokenizer")
    ours = interp.load(str(place), dtype=torch.float64)
    with Lifted(), torch.no_grad():
        made = TransformerBridge.boot_transformers(
            f"random/{ours.family}",
            hf_model=reference_in(place, torch.float64),
            tokenizer=AutoTokenizer.from_pretrained(place / "tokenizer"),
        )
    return made, ours


@pytest.mark.filterwarnings("ignore")
def test_direct_effects_are_those_of_transformerlens(bridge, prompts):
    theirs, ours = bridge
    with Lifted(), torch.no_grad():
        _, cache = theirs.run_with_cache(prompts.clean)
        heads = torch.stack(
            [
                torch.einsum(
                    "bhd,hdm->hbm", cache[f"blocks.{layer}.attn.hook_z"][:, -1], theirs.W_O[layer]
                )
                for layer in range(3)
            ]
        ).flatten(0, 1)
        attributed = cache.logit_attrs(
            heads, tokens=prompts.answer, incorrect_tokens=prompts.distractor, pos_slice=-1
        )
    run = prompts.run(ours, keep=attribute.wanted(ours))
    found = attribute.attribute(ours, run, prompts)
    torch.testing.assert_close(found.of("head"), attributed, rtol=1e-8, atol=1e-8)


@pytest.mark.filterwarnings("ignore")
def test_the_lens_is_transformerlenss_accumulated_stream_unembedded(bridge, prompts):
    theirs, ours = bridge
    with Lifted(), torch.no_grad():
        _, cache = theirs.run_with_cache(prompts.clean)
        streams = [cache["blocks.0.hook_resid_pre"]]
        streams += [cache[f"blocks.{layer}.hook_resid_post"] for layer in range(3)]
        expected = torch.stack([theirs.unembed(theirs.ln_final(x)) for x in streams]).log_softmax(
            -1
        )
    run = prompts.run(ours, keep=lens.entries(ours))
    seen = lens.lens(ours, run, torch.stack([prompts.answer, prompts.distractor]))
    for row, tokens in enumerate((prompts.answer, prompts.distractor)):
        wanted = expected.gather(-1, tokens[None, :, None, None].expand(4, 3, 11, 1))[..., 0]
        torch.testing.assert_close(seen.log_prob[row], wanted, rtol=1e-8, atol=1e-8)


def test_the_lens_is_hugging_faces_hidden_states_unembedded(folder, ours, prompts):
    with Lifted(), torch.no_grad():
        theirs = reference_in(folder, torch.float64)
        out = theirs(prompts.clean, output_hidden_states=True)
        base = theirs.base_model
        norm = next(
            getattr(base, name)
            for name in ("ln_f", "final_layer_norm", "norm")
            if hasattr(base, name)
        )
        unembed = theirs.get_output_embeddings()
        # The last hidden state has been through the norm already.
        logits = [unembed(norm(x)) for x in out.hidden_states[:-1]] + [out.logits]
        expected = torch.stack(logits).log_softmax(-1)
    run = prompts.run(ours, keep=lens.entries(ours))
    seen = lens.lens(ours, run, prompts.answer[None])
    answers = prompts.answer[None, :, None, None].expand(4, 3, 11, 1)
    wanted = expected.gather(-1, answers)
    close = {"rtol": 1e-8, "atol": 1e-8}
    torch.testing.assert_close(seen.log_prob[0], wanted[..., 0], **close)
    assert torch.equal(seen.top, expected.argmax(-1))
    assert torch.equal(seen.rank[0], (expected > wanted).sum(-1) + 1.0)
    probabilities = expected.exp()
    torch.testing.assert_close(seen.entropy, -(probabilities * expected).sum(-1), **close)
    kl = (probabilities[-1] * (expected[-1] - expected)).sum(-1)
    torch.testing.assert_close(seen.kl, kl, **close)
    assert seen.error <= 1e-9


def test_the_lens_on_padded_prompts_is_that_of_each_alone(ours, prompts):
    tokens, lengths = prompts.clean, torch.tensor([11, 7, 4])
    real = torch.arange(11)[None] < lengths[:, None]
    padded = PromptBatch.of_tokens(tokens, tokens, prompts.answer, prompts.distractor, real)
    seen = lens.lens(ours, padded.run(ours, keep=lens.entries(ours)), prompts.answer[None])
    for row, length in enumerate(lengths.tolist()):
        alone = ours.run(tokens[row : row + 1, :length], keep=lens.entries(ours), logits_at=-1)
        one = lens.lens(ours, alone, prompts.answer[None, row : row + 1])
        torch.testing.assert_close(seen.log_prob[0, :, row, :length], one.log_prob[0, :, 0])
        assert seen.kl[:, row, length:].isnan().all()
        assert (seen.top[:, row, length:] == -1).all()


def test_what_a_head_brings_from_each_position_adds_up_to_its_effect(ours, prompts):
    looked_at = [site(layer) for layer in range(3) for site in (sites.pattern, sites.v)]
    run = prompts.run(ours, keep={*attribute.wanted(ours), *looked_at})
    found = attribute.attribute(ours, run, prompts)
    for row, component in enumerate(each for each in found.components if each.kind == "head"):
        source = attribute.by_source(ours, run, prompts, component)
        torch.testing.assert_close(source.sum(-1), found.of("head")[row], rtol=1e-9, atol=1e-9)


def test_all_neurons_add_up_to_their_mlps(ours, prompts):
    run = prompts.run(ours, keep={*attribute.wanted(ours), *neurons.kept(ours)})
    found = neurons.effects(ours, run, prompts)
    whole = attribute.attribute(ours, run, prompts)
    torch.testing.assert_close(found.effect.sum(1), whole.of("mlp"), rtol=1e-9, atol=1e-9)


def test_leaving_out_a_part_of_the_norm_leaves_the_sum_wrong(ours, prompts):
    run = prompts.run(ours, keep=attribute.wanted(ours))
    parts = ["its scale", "its weight"] + ["its centring"] * (ours.config.norm == "layernorm")
    for left_out in parts:
        assert without(ours, run, prompts, left_out).error > 1e-3


def test_a_write_taken_away_rescales_what_is_left(ours, prompts):
    run = prompts.run(ours, keep=attribute.wanted(ours))
    frozen, anew = frozen_and_anew(ours, run, prompts)
    found = attribute.attribute(ours, run, prompts)
    np.testing.assert_allclose(frozen, found.of("head").numpy(), rtol=1e-9, atol=1e-9)

    end = at(run, prompts.end[:, None]).cache
    stream = end[attribute.stream_end(ours)] - end[sites.z(1)][:, :, 2] @ ours.block(1).attn.W_O[2]
    logits = ours.read_out(stream)[:, 0]
    rows = torch.arange(3)
    changed = logits[rows, prompts.answer] - logits[rows, prompts.distractor]
    number = ours.config.n_heads + 2
    np.testing.assert_allclose(
        anew[number], (found.logit_difference - changed).detach().numpy(), atol=1e-9
    )


def test_a_tasks_prompts_are_one_batch_in_its_order():
    model = interp.load("tiny-gpt2")
    task = tasks.build("ioi", model.tokenizer, 6, 0)
    made = whole(task, model.device)
    for row, prompt in enumerate(task.kept):
        assert tuple(made.clean[row][made.real[row]].tolist()) == prompt.clean_tokens
        assert int(made.end[row]) == len(prompt.clean_tokens) - 1
    named = places(task)
    assert next(iter(named)) == "BOS"
    assert named["END"] == made.end.tolist()


def test_logit_differences_of_the_lens_are_those_of_its_log_probabilities(ours, prompts):
    seen = lens.lens(
        ours,
        prompts.run(ours, keep=lens.entries(ours)),
        torch.stack([prompts.answer, prompts.distractor]),
    )
    rows = torch.arange(len(prompts.end))
    answer, wrong = seen.log_prob[:, :, rows, prompts.end].double()
    torch.testing.assert_close(
        lens.logit_differences(ours, prompts).to(answer), answer - wrong, rtol=1e-4, atol=1e-4
    )
