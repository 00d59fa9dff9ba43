"""What is read and removed inside someone else's model, beside plain computations on its weights."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from interp.classifiers import ablate, attention, disentangled, occlude, stream
from interp.classifiers.places import FrozenNorm, Place, find, read_by
from interp.components import Head
from interp.errors import NotApplicable

KINDS = (
    "bert",
    "roberta",
    "distilbert",
    "electra",
    "albert",
    "deberta",
    "deberta-v2",
    "gpt2",
    "llama",
)
DEBERTAS = ("deberta", "deberta-v2")
# Where the values of a head come from: weight rows (or columns) of a module in every layer.
VALUES = {
    "bert": "bert.encoder.layer.{}.attention.self.value",
    "deberta-v2": "deberta.encoder.layer.{}.attention.self.value_proj",
    "distilbert": "distilbert.transformer.layer.{}.attention.v_lin",
    "gpt2": "transformer.h.{}.attn.c_attn",
}


@pytest.fixture(params=KINDS)
def opened(request, classifiers, some):
    """A classifier, its places and one pair as it reads it."""
    classifier = classifiers(request.param)
    reading = classifier.read(some[0])
    return classifier, find(classifier, reading), reading


def log_odds_without_values(classifier, kind, reading, layer, head):
    """Zero z by zeroing what makes the head's values: another way to the same model."""
    changed = copy.deepcopy(classifier.model)
    module = changed.get_submodule(VALUES[kind].format(layer))
    rows = slice(6 * head, 6 * head + 6)
    with torch.no_grad():
        if kind == "gpt2":
            module.weight[:, 48:][:, rows] = 0
            module.bias[48:][rows] = 0
        else:
            module.weight[rows] = 0
            module.bias[rows] = 0
    return float(replace(classifier, model=changed).decide(reading.inputs)[0])


@pytest.mark.parametrize("kind", VALUES)
def test_zero_ablation_equals_a_model_whose_head_has_no_values(kind, classifiers, some):
    classifier = classifiers(kind)
    reading = classifier.read(some[0])
    places = find(classifier, reading)
    base = float(classifier.decide(reading.inputs)[0])
    effects = ablate.ablated(classifier, places, reading, torch.zeros(3, 4, 6))
    assert effects.abs().min() > 1e-6
    for layer, head in ((0, 1), (1, 3), (2, 0)):
        expected = log_odds_without_values(classifier, kind, reading, layer, head) - base
        assert float(effects[layer, head]) == pytest.approx(expected, abs=1e-9)


def test_heads_in_a_batch_equal_each_head_in_a_run_of_its_own(opened):
    classifier, places, reading = opened
    mean = ablate.means(classifier, places, [reading])
    effects = ablate.ablated(classifier, places, reading, mean)
    for layer in range(3):
        single = ablate.alone(classifier, places, reading, Head(layer, 2), mean[layer, 2])
        assert float(effects[layer, 2]) == pytest.approx(single, abs=1e-9)


def test_nothing_is_left_behind_when_a_change_raises(opened):
    classifier, places, reading = opened
    before = classifier.logits(reading.inputs)

    def breaks(number, given):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), read_by(places.attention, breaks):
        classifier.logits(reading.inputs)
    ablate.ablated(classifier, places, reading, torch.zeros(3, 4, 6))
    stream.parts(classifier, places, reading)
    pattern = attention.patterns(classifier, reading)
    attention.check_heads(classifier, places, reading)
    assert torch.equal(attention.patterns(classifier, reading), pattern)
    for module in classifier.model.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
        assert "forward" not in module.__dict__
    assert torch.equal(classifier.logits(reading.inputs), before)


def test_the_parts_sum_to_the_vector_that_is_read(opened):
    classifier, places, reading = opened
    found = stream.parts(classifier, places, reading)
    # The norms of these compute in float32 whatever the model's dtype.
    wide = 1e-6 if classifier.origin.family in ("deberta", "llama") else 1e-9
    assert found.error < wide
    assert found.frozen < wide
    assert float(found.shares.sum()) == pytest.approx(1)
    heads = [part for part in found.names if part.kind == "head"]
    assert len(heads) == 12
    rest = found.contributions[-1].abs().max()
    # Only what has no name of its own: the bias of a projection from narrow embeddings.
    assert (rest > wide) == (classifier.origin.family in ("albert", "electra"))


def test_a_contribution_is_the_heads_write_through_the_norms_at_their_scale(classifiers, some):
    classifier = classifiers("bert")
    reading = classifier.read(some[2])
    layer = classifier.model.bert.encoder.layer[2]
    held = {}
    for name, module in (
        ("z", layer.attention.output.dense),
        ("ln1", layer.attention.output.LayerNorm),
        ("ln2", layer.output.LayerNorm),
    ):
        module.register_forward_hook(lambda m, given, out, name=name: held.update({name: given[0]}))
    classifier.logits(reading.inputs)
    for module in (layer.attention.output.dense, layer.attention.output.LayerNorm):
        module._forward_hooks.clear()
    layer.output.LayerNorm._forward_hooks.clear()

    def through(norm, vector, stream_there):
        scale = (stream_there.var(unbiased=False) + norm.eps).sqrt()
        return (vector - vector.mean()) / scale * norm.weight

    head = 3
    weight = layer.attention.output.dense.weight[:, 6 * head : 6 * head + 6]
    written = weight @ held["z"][0, 0, 6 * head : 6 * head + 6]
    written = through(layer.attention.output.LayerNorm, written, held["ln1"][0, 0])
    written = through(layer.output.LayerNorm, written, held["ln2"][0, 0])
    found = stream.parts(classifier, find(classifier, reading), reading)
    row = found.names.index(Head(2, head))
    torch.testing.assert_close(found.contributions[row], written.detach(), atol=1e-10, rtol=0)

    # Its direct effect: the pooler, with its tanh, on the vector without it.
    model = classifier.model
    pooled = torch.tanh(model.bert.pooler.dense(found.vector - written))
    without = float(classifier.log_odds(model.classifier(pooled)[None]).detach()[0])
    base = float(classifier.decide(reading.inputs)[0])
    assert float(found.direct[row]) == pytest.approx(without - base, abs=1e-10)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("mean", [0.0, 1e-4, 1.0])
@pytest.mark.parametrize("centres", [True, False])
def test_a_norm_is_held_as_what_it_computes_also_where_a_vector_has_no_mean(dtype, mean, centres):
    kind = torch.nn.LayerNorm if centres else torch.nn.RMSNorm
    module = kind(16, eps=1e-6, dtype=dtype)
    generator = torch.Generator().manual_seed(0)
    given = torch.randn(16, generator=generator, dtype=torch.float64)
    given = (given - given.mean() + mean).to(dtype)
    with torch.no_grad():
        module.weight.copy_(torch.randn(16, generator=generator))
        held = FrozenNorm(Place("norm", module, 0), given, module(given))
    other = torch.randn(16, generator=generator, dtype=torch.float64).to(dtype) + 3
    wide = given.double() - given.double().mean() * centres
    scale = (wide.square().mean() + 1e-6).sqrt()
    expected = (other.double() - other.double().mean() * centres) / scale * module.weight.double()
    found = held.scaled(other).double()
    assert (found - expected).abs().max() < 20 * torch.finfo(dtype).eps * expected.abs().max()


def test_a_decision_from_several_tokens_is_not_taken_apart(classifiers, some, monkeypatch):
    classifier = classifiers("bert")
    forward = classifier.model.bert.pooler.forward
    averaged = lambda hidden: forward(hidden.mean(1, keepdim=True))  # noqa: E731
    monkeypatch.setattr(classifier.model.bert.pooler, "forward", averaged)
    reading = classifier.read(some[0])
    with pytest.raises(NotApplicable, match=r"from \d+ tokens, not from one"):
        stream.parts(classifier, find(classifier, reading), reading)


@pytest.mark.parametrize("kind", DEBERTAS)
def test_the_terms_sum_to_the_scores_that_the_pattern_came_from(kind, classifiers, some):
    classifier = classifiers(kind)
    reading = classifier.read(some[0])
    found, pattern = (
        disentangled.terms(classifier, reading),
        attention.patterns(classifier, reading),
    )
    assert disentangled.mismatch(found, pattern) < 1e-9
    torch.testing.assert_close(found.sum(0).softmax(-1), pattern)
    assert disentangled.shares(found).sum(0).numpy() == pytest.approx(np.ones((3, 4)))
    # One term short, and the scores are other ones.
    assert disentangled.mismatch(found[:2], pattern) > 1e-3


def test_terms_equal_the_equations_written_out(classifiers, some):
    classifier = classifiers("deberta-v2")
    reading = classifier.read(some[1])
    found = disentangled.terms(classifier, reading)
    encoder = classifier.model.deberta.encoder
    own = encoder.layer[1].attention.self
    seen = []
    handle = own.register_forward_pre_hook(lambda m, given: seen.append(given[0][0]))
    classifier.logits(reading.inputs)
    handle.remove()
    table = encoder.LayerNorm(encoder.rel_embeddings.weight)
    n, head, buckets = len(reading.strings), 2, 4

    def bucket(distance):
        """Near distances as they are, far ones by their logarithm."""
        middle = buckets // 2
        if abs(distance) <= middle:
            return distance
        far = np.ceil(np.log(abs(distance) / middle) / np.log(39 / middle) * (middle - 1)) + middle
        return int(far) * (1 if distance > 0 else -1)

    def of(module, rows):
        return module(rows)[:, 6 * head : 6 * head + 6].detach()

    query, key = of(own.query_proj, seen[0]), of(own.key_proj, seen[0])
    place_query, place_key = of(own.pos_query_proj, table), of(own.pos_key_proj, table)
    root = np.sqrt(3 * 6)
    for i in range(n):
        for j in range(n):
            there = min(max(bucket(i - j) + buckets, 0), 2 * buckets - 1)
            expected = [
                query[i] @ key[j],
                query[i] @ place_key[there],
                place_query[there] @ key[j],
            ]
            written = np.array([float(each) for each in expected]) / root
            # The model's own root is a float32.
            assert found[:, 1, head, i, j].numpy() == pytest.approx(written, rel=1e-6)


@pytest.mark.parametrize(("term", "module"), [("c2p", "pos_key_proj"), ("p2c", "pos_query_proj")])
def test_a_term_taken_out_equals_a_model_without_its_projection(term, module, classifiers, some):
    classifier = classifiers("deberta-v2")
    reading = classifier.read(some[0])
    layers, everywhere = disentangled.without(classifier, reading, term)
    base = float(classifier.decide(reading.inputs)[0])
    changed = copy.deepcopy(classifier.model)
    for number in (1, 0, 2):
        projection = getattr(changed.deberta.encoder.layer[number].attention.self, module)
        with torch.no_grad():
            projection.weight.zero_()
            projection.bias.zero_()
        decided = float(replace(classifier, model=changed).decide(reading.inputs)[0]) - base
        if number == 1:
            assert float(layers[1]) == pytest.approx(decided, abs=1e-9)
    assert everywhere == pytest.approx(decided, abs=1e-9)
    assert (
        "disentangled_attention_bias"
        not in changed.deberta.encoder.layer[0].attention.self.__dict__
    )
    assert float(classifier.decide(reading.inputs)[0]) == base


def test_other_models_have_no_terms(classifiers, some):
    with pytest.raises(NotApplicable, match="is no DeBERTa"):
        disentangled.terms(classifiers("bert"), classifiers("bert").read(some[0]))


def test_occlusion_equals_one_changed_text_at_a_time(opened):
    classifier, _, reading = opened
    base = float(classifier.decide(reading.inputs)[0])
    masked = occlude.masked(classifier, reading, occlude.occluder(classifier))
    deleted = occlude.deleted(classifier, reading)
    assert [np.isnan(each) for each in masked] == [each is None for each in reading.sentence]
    for pos in (reading.of(0)[1], reading.of(1)[-1]):
        inputs = {name: each.clone() for name, each in reading.inputs.items()}
        inputs["input_ids"][0, pos] = classifier.tokenizer.mask_token_id
        assert masked[pos] == pytest.approx(float(classifier.decide(inputs)[0]) - base, abs=1e-9)
        kept = [each for each in range(len(reading.strings)) if each != pos]
        inputs = {name: each[:, kept] for name, each in reading.inputs.items()}
        assert deleted[pos] == pytest.approx(float(classifier.decide(inputs)[0]) - base, abs=1e-9)


def test_attention_across_counts_what_goes_to_the_other_sentence(opened):
    classifier, _, reading = opened
    pattern = attention.patterns(classifier, reading)
    assert pattern.shape[:2] == (3, 4)
    torch.testing.assert_close(pattern.sum(-1), torch.ones_like(pattern[..., 0]))
    first, second = reading.of(0), reading.of(1)
    even = attention.chance(pattern, reading)
    if classifier.origin.family in ("gpt2", "llama"):
        assert pattern[..., first[0], second[0]].max() == 0
    else:
        n, ours, theirs = len(reading.strings), len(first), len(second)
        assert even == pytest.approx(2 * ours * theirs / n / (ours + theirs))
    looks = sum(pattern[1, 2, query, second].sum() for query in first)
    looks += sum(pattern[1, 2, query, first].sum() for query in second)
    shares = attention.across(pattern, reading)
    assert float(shares[1, 2]) == pytest.approx(float(looks) / (len(first) + len(second)))
