"""Ours against TransformerLens's bridge, at every site that both have."""

import pytest
import torch

import interp
from interp import edits
from interp.weights.comparison import reference_in

# The bridge itself differs from Hugging Face on these, so there is nothing to hold ours to.
NOT_BRIDGED = {
    "gpt2-unscaled-relu": "it scales scores all the same",
    "neox-unbiased-linear": "it needs biases of q, k and v",
}
# Ours alone has these: q and k after rotation in GPT-NeoX, the activated gate, and (there with other
# axes) what queries and keys are normed by.
OURS_ALONE = ("hook_rot_q", "hook_rot_k", "hook_gate", "hook_q_scale", "hook_k_scale")


@pytest.fixture
def tokenizer(tmp_path):
    """A tokenizer with a folder of its own, without which the bridge cannot boot."""
    from transformers import AutoTokenizer

    interp.load("tiny-gpt2").tokenizer.save_pretrained(tmp_path)
    return AutoTokenizer.from_pretrained(tmp_path)


@pytest.mark.filterwarnings("ignore")
def test_every_site_that_both_have_is_equal(kind, folder_of, tokens, tokenizer, lifted):
    if kind in NOT_BRIDGED:
        pytest.skip(f"TransformerLens's bridge differs from Hugging Face here: {NOT_BRIDGED[kind]}")
    from transformer_lens.model_bridge import TransformerBridge

    ours = interp.load(str(folder_of(kind)), dtype=torch.float64)
    with lifted(), torch.no_grad():
        bridge = TransformerBridge.boot_transformers(
            f"random/{ours.family}",
            hf_model=reference_in(folder_of(kind), torch.float64),
            tokenizer=tokenizer,
        )
        logits, theirs = bridge.run_with_cache(tokens)
    run = ours.run(tokens, keep="all")
    assert (run.logits - logits).abs().max() <= 1e-9
    compared = set()
    for site, activation in run.cache.items():
        if site.name not in theirs:
            assert site.name.endswith(OURS_ALONE)
            continue
        expected = theirs[site.name]
        assert activation.shape == expected.shape, site.name
        # What is masked is minus infinity here and a very negative number there.
        seen = activation.isfinite()
        assert (expected[~seen] < -1e30).all(), site.name
        assert (activation - expected)[seen].abs().max() <= 1e-9, site.name
        compared.add(site.kind)
    assert {
        "q",
        "k",
        "v",
        "scores",
        "pattern",
        "z",
        "attn_out",
        "mlp_post",
        "resid_post",
    } < compared
    assert {"ln1_scale", "ln1_normalized", "final_normalized", "logits"} < compared


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["gpt2", "neox", "llama", "qwen3"])
def test_inputs_of_readers_are_equal_as_they_are_and_where_they_are_edited(
    kind, folder_of, tokens, tokenizer, lifted
):
    from transformer_lens.model_bridge import TransformerBridge

    ours = interp.load(str(folder_of(kind)), dtype=torch.float64)
    drawn = torch.Generator().manual_seed(0)
    with lifted(), torch.no_grad():
        bridge = TransformerBridge.boot_transformers(
            f"random/{ours.family}",
            hf_model=reference_in(folder_of(kind), torch.float64),
            tokenizer=tokenizer,
        )
        bridge.set_use_hook_mlp_in(True)
        for together in (False, True):
            bridge.set_use_split_qkv_input(False)
            bridge.set_use_attn_in(together)
            bridge.set_use_split_qkv_input(not together)
            kinds = ("attn_in",) if together else ("q_input", "k_input", "v_input")
            for site in (site for site in ours.sites if site.kind in (*kinds, "mlp_in")):
                size = ours.run(tokens, keep=[site]).cache[site].shape
                added = torch.randn(size, generator=drawn, dtype=torch.float64)
                seen = {}

                def hook(value, hook, added=added, seen=seen):
                    seen["before"] = value.clone()
                    return value + added

                theirs = bridge.run_with_hooks(tokens, fwd_hooks=[(site.name, hook)])
                run = ours.run(tokens, edits.add(site, added))
                before = ours.run(tokens, keep=[site]).cache[site]
                assert (before - seen["before"]).abs().max() <= 1e-9, site.name
                assert (run.logits - theirs).abs().max() <= 1e-9, site.name
