"""The parts of the stream add up to it, whole and projected, at every place of it."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from interp import edits, sites
from interp.components import (
    MLP,
    AttentionBias,
    Embedding,
    Head,
    MLPBias,
    Neuron,
    PosEmbedding,
)
from interp.errors import UsageError
from interp.methods.decompose import decompose, needs, project
from interp.transformer import Config, Transformer

SIZES = {
    "n_layers": 3,
    "n_heads": 6,
    "n_kv_heads": 2,
    "d_model": 20,
    "d_head": 8,
    "d_mlp": 28,
    "d_vocab": 37,
    "n_ctx": 13,
}
MODELS = {
    "gpt2": {},
    "neox": {"positions": "rotary", "rotary_dim": 4, "parallel": True, "n_kv_heads": 6},
    "llama": {
        "norm": "rmsnorm",
        "positions": "rotary",
        "gated": True,
        "activation": "silu",
        "o_bias": False,
        "mlp_bias": False,
    },
    "qwen3": {"norm": "rmsnorm", "positions": "rotary", "gated": True, "qk_norm": True},
    "attention_only": {"norm": "none", "d_mlp": 0, "tied": False},
    "attention_without_bias": {"d_mlp": 0, "o_bias": False, "positions": "none"},
    "only_attention_biased": {"mlp_bias": False, "activation": "relu"},
    "only_mlp_biased": {"o_bias": False, "norm": "rmsnorm"},
    "encoder": {"causal": False, "windows": (2, None, 4)},
}
STREAM = ("resid_pre", "resid_mid", "resid_post")
TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5}


def random_model(settings, dtype=torch.float64):
    model = Transformer(Config(**{**SIZES, **settings})).to(dtype)
    generator = torch.Generator().manual_seed(0)
    for weight in model.parameters():
        drawn = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
        weight.data = (0.3 * drawn).to(dtype)
    return model


@pytest.fixture(scope="module", params=list(MODELS))
def settings(request):
    return MODELS[request.param]


@pytest.fixture(scope="module")
def tokens():
    return torch.randint(0, 37, (4, 7), generator=torch.Generator().manual_seed(1))


def places(model):
    return [site for site in model.sites if site.kind in STREAM]


def directions(like):
    generator = torch.Generator().manual_seed(5)
    return torch.randn(like.shape, generator=generator, dtype=torch.float64).to(like.dtype)


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
def test_the_parts_add_up_to_the_stream_everywhere(settings, tokens, dtype):
    model = random_model(settings, dtype)
    for site in places(model):
        run = model.run(tokens, keep=needs(model, site))
        found = decompose(model, run, site)
        assert torch.equal(found.stream, run.cache[site])
        assert len(found.components) == len(found.parts) == len(set(found.components))
        assert found.error.shape == tokens.shape
        assert float(found.error.max()) <= TOLERANCE[dtype], site.name
        on = project(model, run, site, directions(found.stream))
        assert float(on.error.max()) <= TOLERANCE[dtype], site.name


def test_every_part_is_what_its_writer_wrote(settings, tokens):
    model = random_model(settings)
    last = sites.resid_post(2)
    run = model.run(tokens, keep=lambda site: True)
    found = decompose(model, run, last)
    parts = dict(zip(found.components, found.parts, strict=True))
    assert torch.equal(parts.pop(Embedding()), run.cache[sites.embed()])
    if model.config.positions == "learned":
        assert torch.equal(parts.pop(PosEmbedding()), run.cache[sites.pos_embed()])
    for layer in range(3):
        block = model.block(layer)
        for head in range(6):
            torch.testing.assert_close(
                parts.pop(Head(layer, head)),
                run.cache[sites.head_out(layer)][:, :, head],
                rtol=1e-12,
                atol=1e-12,
            )
        if block.attn.b_O is not None:
            bias = parts.pop(AttentionBias(layer))
            assert torch.equal(bias, block.attn.b_O.expand(4, 7, 20))
        if model.config.d_mlp:
            written = parts.pop(MLP(layer))
            if model.config.mlp_bias:
                written = written + parts.pop(MLPBias(layer))
            torch.testing.assert_close(
                written, run.cache[sites.mlp_out(layer)], rtol=1e-12, atol=1e-12
            )
    assert not parts


def test_only_what_was_written_before_a_place_is_a_part_of_it(settings, tokens):
    model = random_model(settings)
    run = model.run(tokens, keep="all")
    for site in places(model):
        for component in decompose(model, run, site).components:
            if component.layer is None:
                continue
            attention = component.kind in ("head", "attn_bias")
            here = site.kind == "resid_post" or (site.kind == "resid_mid" and attention)
            assert component.layer < site.layer + here, (site.name, str(component))


def test_what_a_place_needs_is_enough_and_nothing_of_it_can_be_left_out(settings, tokens):
    model = random_model(settings)
    for site in (places(model)[1], places(model)[-1]):
        wanted = needs(model, site)
        assert len(wanted) == len(set(wanted))
        for missing in wanted:
            run = model.run(tokens[:1], keep=[each for each in wanted if each != missing])
            with pytest.raises(UsageError, match="was not kept"):
                decompose(model, run, site)


def test_a_projection_is_the_dot_product_with_every_part(settings, tokens):
    model = random_model(settings)
    run = model.run(tokens, keep="all")
    for site in places(model):
        whole = decompose(model, run, site)
        direction = directions(whole.stream)
        found = project(model, run, site, direction)
        assert found.components == whole.components
        torch.testing.assert_close(
            found.parts, (whole.parts * direction).sum(-1), rtol=1e-11, atol=1e-11
        )
        torch.testing.assert_close(
            found.total, (whole.stream * direction).sum(-1), rtol=1e-11, atol=1e-11
        )


def test_the_neurons_of_a_layer_add_up_to_its_mlp(settings, tokens):
    model = random_model(settings)
    if not model.config.d_mlp:
        pytest.skip("a model without MLPs has no neurons")
    site = sites.resid_post(2)
    run = model.run(tokens, keep=needs(model, site))
    direction = directions(run.cache[site])
    by_mlp = project(model, run, site, direction)
    by_neuron = project(model, run, site, direction, neurons=[0, 2])
    assert float(by_neuron.error.max()) <= 1e-12
    mlps = dict(zip(by_mlp.components, by_mlp.parts, strict=True))
    parts = dict(zip(by_neuron.components, by_neuron.parts, strict=True))
    for layer in (0, 2):
        neurons = [parts.pop(Neuron(layer, unit)) for unit in range(28)]
        torch.testing.assert_close(
            torch.stack(neurons).sum(0), mlps.pop(MLP(layer)), rtol=1e-11, atol=1e-11
        )
        unit = model.run(tokens, keep=[sites.mlp_post(layer)]).cache[sites.mlp_post(layer)]
        alone = unit[:, :, 9, None] * model.block(layer).mlp.W_out[9]
        torch.testing.assert_close(neurons[9], (alone * direction).sum(-1), rtol=1e-11, atol=1e-11)
    assert {name: part.tolist() for name, part in parts.items()} == {
        name: part.tolist() for name, part in mlps.items()
    }


class Largest(TorchDispatchMode):
    """The number of entries of the largest tensor that anything makes, views included."""

    def __init__(self):
        super().__init__()
        self.entries = 0

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        made = function(*arguments, **(options or {}))
        for each in made if isinstance(made, (tuple, list)) else [made]:
            if isinstance(each, torch.Tensor):
                self.entries = max(self.entries, each.numel())
        return made


def test_a_projection_never_builds_what_every_head_writes():
    settings = {"n_heads": 10, "n_kv_heads": 5, "d_model": 96, "d_head": 4, "d_mlp": 100}
    model = random_model({**settings, "n_layers": 1, "n_ctx": 32})
    tokens = torch.randint(0, 37, (8, 32), generator=torch.Generator().manual_seed(2))
    site = sites.resid_post(0)
    run = model.run(tokens, keep=needs(model, site))
    direction = directions(run.cache[site])
    every_head = 8 * 32 * 10 * 96
    with Largest() as largest:
        project(model, run, site, direction, neurons=[0])
    assert largest.entries < every_head / 3
    with Largest() as largest:
        decompose(model, run, site)
    assert largest.entries >= every_head


def test_a_stream_that_was_changed_from_outside_does_not_close(tokens):
    model = random_model({})
    site = sites.resid_post(2)
    steer = edits.add(sites.resid_mid(1), torch.ones(20, dtype=torch.float64))
    run = model.run(tokens, [steer], keep=needs(model, site))
    assert float(decompose(model, run, site).error.min()) > 1e-3
    assert float(project(model, run, site, directions(run.cache[site])).error.max()) > 1e-3


def test_an_ablated_run_closes_on_what_its_heads_then_wrote(tokens):
    model = random_model({})
    site = sites.resid_post(2)
    run = model.run(tokens, [edits.zero(sites.z(1), heads=4)], keep=needs(model, site))
    found = decompose(model, run, site)
    assert float(found.error.max()) <= 1e-12
    silent = found.components.index(Head(1, 4))
    assert not found.parts[silent].any()


@pytest.mark.parametrize(
    "site", [sites.attn_out(1), sites.embed(), sites.z(0), sites.final_normalized(), sites.logits()]
)
def test_a_place_outside_the_stream_is_refused(tokens, site):
    model = random_model({})
    run = model.run(tokens, keep="all")
    with pytest.raises(UsageError, match="only the stream is a sum"):
        decompose(model, run, site)
    with pytest.raises(UsageError, match="only the stream is a sum"):
        needs(model, site)


def test_a_place_that_the_model_lacks_is_refused(tokens):
    for settings, site in (({}, sites.resid_post(3)), ({"parallel": True}, sites.resid_mid(0))):
        with pytest.raises(UsageError, match="this model has no site"):
            needs(random_model(settings), site)


def test_a_direction_of_another_shape_and_neurons_that_wrote_nothing_are_refused(tokens):
    model = random_model({})
    site = sites.resid_mid(1)
    run = model.run(tokens, keep=needs(model, site))
    direction = directions(run.cache[site])
    with pytest.raises(UsageError, match=r"of shape \[4, 7, 20\], got \[1, 7, 20\]"):
        project(model, run, site, direction[:1])
    for layer in (1, 7, -1):
        with pytest.raises(UsageError, match=f"no MLP of layer {layer} has written"):
            project(model, run, site, direction, neurons=[layer])
