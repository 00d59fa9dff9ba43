"""What cannot be meant as an edit is refused when it is written, and a mean leaves padding out."""

import jaxtyping
import pytest
import torch

import interp
from interp import edits, sites
from interp.errors import UsageError
from interp.metrics import LogitDifference
from interp.transformer import Config, Transformer

Z = sites.z(1)
REFERENCE = torch.randn(3, 5, 4, 2, generator=torch.Generator().manual_seed(0)).double()
METRIC = LogitDifference(torch.arange(3), torch.arange(3, 6))


@pytest.fixture(autouse=True)
def _as_outside_the_tests():
    """Signatures are not checked where users work; the next test begins with its checks again."""
    jaxtyping.config.update("jaxtyping_disable", True)


@pytest.fixture(scope="module")
def model():
    config = Config(n_layers=2, n_heads=4, d_model=10, d_head=2, d_mlp=12, d_vocab=30, n_ctx=8)
    model = Transformer(config).double()
    for number, weight in enumerate(model.parameters()):
        generator = torch.Generator().manual_seed(number)
        torch.nn.init.normal_(weight, std=0.3, generator=generator)
    return model


TOKENS = torch.randint(0, 30, (3, 5), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda: edits.put(Z, REFERENCE[:, :, [1, 1]], heads=[1, 1]), "named once, got \\[1, 1\\]"),
        (lambda: edits.zero(Z, heads=[0, 2, 0]), "named once"),
        (lambda: edits.zero(Z, positions=[3, 3]), "named once"),
        (lambda: edits.zero(sites.mlp_post(0), units=[7, 7]), "named once"),
        (lambda: edits.put(Z, REFERENCE[:, :2], positions=[[1, 1], [2, 3], [0, 1]]), "named once"),
        (
            lambda: edits.put(Z, REFERENCE.to(torch.complex64)),
            "real numbers to put, got torch.comp",
        ),
        (lambda: edits.add(Z, REFERENCE.to(torch.complex64)), "real numbers to add"),
        (lambda: edits.put(Z, REFERENCE.to("meta")), "got one on the meta device"),
        (lambda: edits.put(Z, 3.0), "expected a tensor to put, got float: 3.0"),
        (lambda: edits.add(Z, [1.0, 2.0]), "expected a tensor to add, got list"),
        (lambda: edits.add(Z, REFERENCE[0, 0, 0], scale="2"), "scale must be a number, got '2'"),
        (lambda: edits.call(Z, REFERENCE), "expected a function"),
        (lambda: edits.mean(Z, REFERENCE[:0], "nothing"), "at least one reference prompt"),
        (lambda: edits.mean(Z, REFERENCE[0], "one"), "batch pos head d_head"),
        (lambda: edits.mean(Z, 1.0, "one"), "expected a tensor to take the mean of"),
        (
            lambda: edits.mean(Z, REFERENCE, "them", real=torch.ones(3, 4)),
            "real must have the shape \\[3, 5\\]",
        ),
    ],
)
def test_a_slip_is_refused_where_it_is_made(made, words):
    with pytest.raises(UsageError, match=words):
        made()


def test_an_index_named_twice_is_found_where_one_counts_from_the_end(model):
    twice = edits.zero(Z, heads=[1, -3])
    with pytest.raises(UsageError, match="every head index may be named once"):
        model.run(TOKENS, edits=[twice])
    with pytest.raises(UsageError, match="every head index may be named once"):
        interp.plan(model, TOKENS, [twice], METRIC)


def test_one_edit_needs_no_list(model):
    one = edits.zero(Z, heads=1)
    assert torch.equal(model.run(TOKENS, edits=one).logits, model.run(TOKENS, edits=[one]).logits)
    alone = interp.sweep(model, TOKENS, one, METRIC)
    assert alone.shape == (1, 3)
    assert torch.equal(alone, interp.sweep(model, TOKENS, [one], METRIC))
    assert interp.plan(model, TOKENS, one, METRIC).n_interventions == 1


@pytest.mark.parametrize("given", ["blocks.1.attn.hook_z", [Z], 7, [[edits.zero(Z)], ["zero"]]])
def test_what_is_no_edit_is_named(model, given):
    with pytest.raises(UsageError, match="expected an edit such as edits.zero"):
        interp.sweep(model, TOKENS, given, METRIC)
    if not isinstance(given, list):
        with pytest.raises(UsageError, match="expected an edit such as edits.zero"):
            model.run(TOKENS, edits=given)


@pytest.mark.parametrize(
    "memory", [float("nan"), float("inf"), -1, 0, 1.5, True, "64M", -(10**400)]
)
def test_memory_that_is_no_number_of_bytes_is_refused(model, memory):
    with pytest.raises(UsageError, match="memory must be a positive number of bytes"):
        interp.sweep(model, TOKENS, edits.zero(Z), METRIC, memory=memory)
    with (
        pytest.raises(UsageError, match="memory must be a positive number of bytes"),
        interp.engine.options(memory=memory),
    ):
        pass


REAL = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 1, 1, 1, 0]]).bool()


@pytest.mark.parametrize("kind", ["z", "resid_pre", "pattern", "mlp_post"])
def test_a_mean_leaves_padding_out(model, kind):
    """Of an activation as a run kept it, and of any that is given with its mask."""
    site = sites.Site(kind, 1)
    kept = model.run(TOKENS, attention_mask=REAL, keep=[site]).cache[site]
    axis = site.axes.index("query" if kind == "pattern" else "pos")
    expected = torch.stack(
        [kept.select(axis, at)[REAL[:, at]].mean(0) for at in range(5)],
        dim=axis - 1,
    )
    for edit in (
        edits.mean(site, kept, "them"),
        edits.mean(site, kept.clone(), "them", real=REAL),
    ):
        torch.testing.assert_close(edit.value.tensor, expected)
    assert not torch.allclose(edits.mean(site, kept.clone(), "them").value.tensor, expected)
    whole = model.run(TOKENS, keep=[site]).cache[site]
    assert torch.equal(edits.mean(site, whole, "them").value.tensor, whole.mean(0))


def test_a_position_that_is_padding_in_all_prompts_has_no_mean(model):
    kept = model.run(TOKENS, attention_mask=REAL, keep=[Z]).cache[Z]
    short = kept[1:], REAL[1:]
    with pytest.raises(UsageError, match="padding in every one of 2 reference prompts"):
        edits.mean(Z, short[0], "them", real=short[1])
    there = edits.mean(Z, short[0], "them", positions=[0, 3], real=short[1])
    assert not bool(there.value.tensor.isnan().any())
