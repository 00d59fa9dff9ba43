"""A part of a model is one value: it knows its name, its columns, its slices, and whether a model has it."""

import doctest
import pickle
from dataclasses import FrozenInstanceError

import jaxtyping
import numpy as np
import pytest

import interp
from interp import components, sites
from interp.components import (
    MLP,
    AttentionBias,
    AttentionLayer,
    Embedding,
    Head,
    KVHead,
    Layer,
    Logits,
    MLPBias,
    Neuron,
    PosEmbedding,
    Slice,
    parse,
    together,
)
from interp.errors import UsageError

# Each with its spelling, its kind and the columns that name it.
EVERY = (
    (Head(5, 1), "L5H1", "head", {"layer": 5, "head": 1}),
    (KVHead(5, 1), "L5KV1", "kv_head", {"layer": 5, "kv_head": 1}),
    (Neuron(5, 77), "L5N77", "neuron", {"layer": 5, "neuron": 77}),
    (MLP(5), "L5 MLP", "mlp", {"layer": 5}),
    (AttentionLayer(5), "L5 attention", "attention", {"layer": 5}),
    (Layer(5), "L5 block", "block", {"layer": 5}),
    (AttentionBias(0), "L0 attn bias", "attn_bias", {"layer": 0}),
    (MLPBias(0), "L0 mlp bias", "mlp_bias", {"layer": 0}),
    (Embedding(), "embed", "embed", {}),
    (PosEmbedding(), "pos_embed", "pos_embed", {}),
    (Logits(), "logits", "logits", {}),
    (
        together(Head(5, 1), MLP(6)),
        "L5H1 + L6 MLP",
        "joint",
        {"components": "L5H1 + L6 MLP"},
    ),
)


@pytest.fixture(
    scope="module", params=["tiny-gpt2", "tiny-llama", "tiny-attn-only"], ids=lambda name: name
)
def model(request):
    return interp.load(request.param)


@pytest.mark.parametrize(("component", "name", "kind", "columns"), EVERY, ids=str)
def test_a_component_has_its_name_its_kind_and_its_columns(component, name, kind, columns):
    assert (str(component), component.kind, component.columns()) == (name, kind, columns)
    assert list(component.columns()) == list(columns)


@pytest.mark.parametrize("component", [each for each, *_ in EVERY], ids=str)
def test_a_name_is_read_back_and_a_component_is_a_value(component):
    assert parse(str(component)) == component
    assert pickle.loads(pickle.dumps(component)) == component
    assert sum(component == other for other, *_ in EVERY) == 1
    assert len({component, parse(str(component))}) == 1
    with pytest.raises((FrozenInstanceError, AttributeError, TypeError)):
        component.layer = 3


@pytest.fixture
def unchecked_signatures():
    """As for a user: annotations are not checked when a function is called."""
    jaxtyping.config.update("jaxtyping_disable", True)


def test_the_examples_of_the_documentation_hold():
    assert doctest.testmod(components).attempted >= 4
    assert doctest.testmod(components).failed == 0


def test_numbers_of_an_array_name_the_same_component(unchecked_signatures):
    head = Head(np.int64(5), np.int32(1))
    assert head == Head(5, 1)
    assert repr(head) == "Head(layer=5, index=1)"


@pytest.mark.parametrize("wrong", [-1, 1.0, True, None, "1", float("nan")])
def test_what_is_no_number_of_a_layer_is_refused(wrong, unchecked_signatures):
    with pytest.raises(UsageError, match="layer of Head is a whole number from 0 on, got"):
        Head(wrong, 0)
    with pytest.raises(UsageError, match="index of Neuron is a whole number from 0 on, got"):
        Neuron(0, wrong)


@pytest.mark.parametrize(
    "text",
    ["", "L5", "L5H", "l5h1", "L05H1", " L5H1", "L5H1 ", "L5H1+L6H0", "L5H1 + ", "x" * 999, 5],
)
def test_other_spellings_are_refused_and_the_known_ones_named(text, unchecked_signatures):
    with pytest.raises(
        UsageError, match="components are spelt L5H1, L5KV1, L5N1, L5 MLP"
    ) as caught:
        parse(text)
    assert len(str(caught.value)) < 600


def test_lists_name_every_part_layer_by_layer(model):
    config = model.config
    assert [str(each) for each in components.heads(model)[: config.n_heads + 1]] == [
        *(f"L0H{head}" for head in range(config.n_heads)),
        "L1H0",
    ]
    assert len(components.heads(model)) == config.n_layers * config.n_heads
    assert len(components.kv_heads(config)) == config.n_layers * config.n_kv_heads
    assert components.attention_layers(model) == list(map(AttentionLayer, range(config.n_layers)))
    assert components.layers(model) == list(map(Layer, range(config.n_layers)))
    if config.d_mlp:
        assert components.mlps(config) == list(map(MLP, range(config.n_layers)))
        assert len(components.neurons(model)) == config.n_layers * config.d_mlp
        assert components.neurons(model)[config.d_mlp] == Neuron(1, 0)
        assert components.neurons(model, 1) == [Neuron(1, unit) for unit in range(config.d_mlp)]


def test_the_groups_of_a_layer_are_its_heads(model):
    groups = [each for each in components.kv_heads(model) if each.layer == 1]
    (found,) = {each.slices(model)[0].site for each in groups}
    assert found == sites.z(1)
    shared = [head for each in groups for head in each.slices(model)[0].heads]
    assert shared == list(range(model.config.n_heads))


def test_slices_are_places_that_the_model_has(model):
    every = [*components.heads(model), *components.layers(model), Embedding()]
    if model.config.d_mlp:
        every += [*components.mlps(model), Neuron(1, 3)]
    if model.config.positions == "learned":
        every.append(PosEmbedding())
    assert set(components.sites_of(every, model)) <= set(model.sites)
    assert Head(1, 2).slices(model) == (Slice(sites.z(1), heads=(2,)),)
    layer = [sites.attn_out(1), *([sites.mlp_out(1)] if model.config.d_mlp else [])]
    assert [each.site for each in Layer(1).slices(model)] == layer


def test_what_a_model_has_not_is_refused_and_what_it_has_named(model):
    config = model.config
    last = config.n_layers - 1
    wrong = [
        (Head(config.n_layers, 0), f"{model.name} has layers 0…{last}, got {config.n_layers}"),
        (Head(0, config.n_heads), f"has heads 0…{config.n_heads - 1}, got {config.n_heads}"),
        (KVHead(0, config.n_kv_heads), f"has kv_heads 0…{config.n_kv_heads - 1}"),
        (AttentionLayer(99), f"has layers 0…{last}, got 99"),
        (together(Head(0, 0), Layer(99)), f"has layers 0…{last}, got 99"),
    ]
    if config.d_mlp:
        wrong.append((Neuron(0, config.d_mlp), f"has neurons 0…{config.d_mlp - 1}"))
    else:
        wrong += [(each, "attention only") for each in (MLP(0), Neuron(0, 0), MLPBias(0))]
        for listed in (components.mlps, components.neurons):
            with pytest.raises(UsageError, match="attention only"):
                listed(model)
    if config.positions != "learned":
        wrong.append((PosEmbedding(), "no learned position embeddings"))
    if not config.o_bias:
        wrong.append((AttentionBias(0), "no biases of attention layers"))
    if not config.mlp_bias and config.d_mlp:
        wrong.append((MLPBias(0), "no biases of MLPs"))
    for component, words in wrong:
        with pytest.raises(UsageError, match=words):
            component.check(model)
        with pytest.raises(UsageError, match=words):
            component.slices(model)


def test_what_is_no_activation_has_no_slices():
    model = interp.load("tiny-gpt2")
    for each in (AttentionBias(0), MLPBias(0), Logits()):
        each.check(model)
        with pytest.raises(UsageError, match="is no activation of a run"):
            each.slices(model)


@pytest.mark.parametrize("given", [(5, 1), "L5H1", 5, None, Head])
def test_what_is_no_component_is_refused(given, unchecked_signatures):
    model = interp.load("tiny-gpt2")
    for call in (lambda: together(Head(1, 0), given), lambda: components.sites_of([given], model)):
        with pytest.raises(UsageError, match=r"expected a component, such as Head\(5, 1\)"):
            call()


def test_one_component_where_several_are_expected_is_refused(unchecked_signatures):
    with pytest.raises(UsageError, match="expected a list of components, such as"):
        components.sites_of(MLP(1), interp.load("tiny-gpt2"))


def test_together_joins_slices_of_a_site_and_refuses_a_part_beside_its_whole():
    model = interp.load("tiny-gpt2")
    joint = together(Head(1, 2), Head(1, 0), Head(2, 1), Neuron(1, 3))
    assert joint.slices(model) == (
        Slice(sites.z(1), heads=(0, 2)),
        Slice(sites.z(2), heads=(1,)),
        Slice(sites.mlp_post(1), units=(3,)),
    )
    assert (joint.layer, together(Head(1, 2), MLP(1)).layer) == (None, 1)
    assert str(together(Head(1, 2), MLP(1), name="the pair")) == "the pair"
    for both in ((Head(1, 0), AttentionLayer(1)), (Layer(1), Head(1, 0)), (MLP(1), Neuron(1, 0))):
        with pytest.raises(UsageError, match="names a part and the whole"):
            together(*both).slices(model)
    with pytest.raises(UsageError, match="one component at least"):
        together()
