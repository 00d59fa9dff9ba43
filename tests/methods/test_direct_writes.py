"""What components write to the residual stream adds up, from neurons and heads to whole layers."""

import pytest
import torch

import interp
from interp import components
from interp.components import (
    MLP,
    AttentionLayer,
    Embedding,
    Head,
    KVHead,
    Layer,
    PosEmbedding,
    together,
)
from interp.methods.direct import change_written, written


@pytest.fixture(scope="module", params=["tiny-gpt2", "tiny-llama", "tiny-attn-only"])
def model(request):
    return interp.load(request.param, dtype=torch.float64)


@pytest.fixture
def runs(model):
    """Two runs on random tokens, everything kept."""
    random = torch.Generator().manual_seed(3)
    tokens = torch.randint(model.config.d_vocab, (2, 3, 7), generator=random)
    return [model.run(each, keep="all").cache for each in tokens]


def added(model, several, runs):
    return torch.stack([change_written(model, each, *runs) for each in several]).sum(0)


def test_the_parts_of_a_layer_write_what_the_layer_writes(model, runs):
    heads = [each for each in components.heads(model) if each.layer == 1]
    groups = [each for each in components.kv_heads(model) if each.layer == 1]
    whole = change_written(model, AttentionLayer(1), *runs)
    for several in (heads, groups, [together(*heads)]):
        torch.testing.assert_close(added(model, several, runs), whole, atol=1e-12, rtol=0)
    if model.config.d_mlp:
        mlp = change_written(model, MLP(1), *runs)
        every = [together(*components.neurons(model, 1))]
        torch.testing.assert_close(added(model, every, runs), mlp, atol=1e-12, rtol=0)
        whole = whole + mlp
    torch.testing.assert_close(change_written(model, Layer(1), *runs), whole)


def test_embeddings_and_layers_write_the_residual_stream(model, runs):
    cache, config = runs[0], model.config
    every = [Embedding(), *([PosEmbedding()] if config.positions == "learned" else [])]
    every += components.layers(model)
    stream = torch.stack([written(model, each, cache, at=3) for each in every]).sum(0)
    torch.testing.assert_close(stream, cache.stack("resid_post")[-1, :, 3], atol=1e-12, rtol=0)


def test_what_changes_is_what_is_written_afterwards_less_what_was_before(model, runs):
    for each in (Head(1, 2), Layer(0), KVHead(1, 0), Embedding()):
        before, after = (written(model, each, cache) for cache in runs)
        torch.testing.assert_close(change_written(model, each, *runs), after - before)


def test_a_head_writes_z_through_its_own_rows(model, runs):
    old, new = (cache.stack("z")[1, :, 4, 2] for cache in runs)
    expected = (new - old) @ model.block(1).attn.W_O[2]
    torch.testing.assert_close(change_written(model, Head(1, 2), *runs, at=4), expected)


def test_joints_and_embeddings_write_too(model, runs):
    both = together(KVHead(0, 0), Embedding())
    apart = added(model, both.components, runs)
    torch.testing.assert_close(change_written(model, both, *runs), apart)
