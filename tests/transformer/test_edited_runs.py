"""Runs with edits: only what is addressed changes, and it changes as an equal model would."""

from itertools import product

import pytest
import torch

from interp import edits, sites
from interp.errors import UsageError
from interp.transformer.inputs import ON_REQUEST

# Between them they compute every kind of site; no activation function is exactly zero anywhere.
MODELS = {
    "gpt2": {"activation": "gelu_new", "n_kv_heads": 6},
    "llama": {
        **{"positions": "rotary", "gated": True, "norm": "rmsnorm", "activation": "silu"},
        "qk_norm": True,
    },
}
CLOSE = {"rtol": 1e-11, "atol": 1e-11}


def _every_site():
    for family, kind in product(MODELS, sites.KINDS):
        gated = family == "llama"
        ungated = ("rot_q", "rot_k", "gate", "mlp_pre_linear", "q_scale", "k_scale")
        if kind in (("pos_embed", "attn_in") if gated else ungated):
            continue
        yield pytest.param(family, kind, id=f"{family}-{kind}")


EVERY_SITE = list(_every_site())


def at(kind):
    return sites.Site(kind, None if kind in sites.LAYERLESS else 1)


def made_at(site, other):
    """One edit of each verb here, each of another part."""
    drawn = torch.randn(other[site].shape, generator=torch.Generator().manual_seed(3)).double()
    vector = drawn.flatten(0, -2)[0]
    heads = {"heads": [2, 0]} if {"head", "kv_head"} & set(site.axes) else {}
    per_example = [[1, 6], [2, 0], [3, 3], [4, 5], [6, 1]]
    yield edits.zero(site, **heads, positions=[5, 1])
    yield edits.put(site, drawn)
    yield edits.patch(site, other, positions=per_example, **heads)
    yield edits.mean(site, other[site], over="other prompts", **heads)
    yield edits.add(site, vector, scale=-0.5, positions=per_example)
    yield edits.call(site, lambda part: part.mul_(2).add_(1), positions=-1, **heads)


@pytest.mark.parametrize(("family", "kind"), EVERY_SITE)
def test_a_run_goes_on_with_the_edited_activation(build, tokens, other_tokens, family, kind):
    model, site = build(MODELS[family]), at(kind)
    base = model.run(tokens, keep=[site])
    other = {site: model.run(other_tokens, keep=[site]).cache[site] + 0.25}
    for edit in made_at(site, other):
        run = model.run(tokens, [edit], keep=[site])
        assert torch.equal(run.cache[site], edit.apply(base.cache[site])), str(edit)
        assert not torch.equal(run.cache[site], base.cache[site]), str(edit)
        assert not torch.equal(run.logits, base.logits), str(edit)
    # Only this activation carries an edit on: put back, the run is as it was.
    undone = model.run(tokens, [edit, edits.freeze(site, base.cache)])
    torch.testing.assert_close(undone.logits, base.logits, **CLOSE)


@pytest.mark.parametrize(("family", "kind"), EVERY_SITE)
def test_patching_a_run_with_itself_changes_nothing(build, tokens, family, kind):
    model, site = build(MODELS[family]), at(kind)
    base = model.run(tokens, keep=[site])
    for where in ({}, {"positions": [[1, 6], [2, 0], [3, 3], [4, 5], [6, 1]]}):
        again = model.run(tokens, [edits.patch(site, base.cache, **where)])
        if kind in ON_REQUEST:  # Then heads are read or summed one by one.
            torch.testing.assert_close(again.logits, base.logits, **CLOSE)
        else:
            assert torch.equal(again.logits, base.logits)


@pytest.mark.parametrize("family", MODELS)
def test_a_stream_patched_whole_gives_the_other_run(build, tokens, other_tokens, family):
    model = build(MODELS[family])
    other = model.run(other_tokens, keep="all")
    for kind in ("resid_pre", "resid_mid", "resid_post", "final_normalized", "logits"):
        patched = model.run(tokens, [edits.patch(at(kind), other.cache)])
        assert torch.equal(patched.logits, other.logits), kind


def surgery(model, build, settings, changes):
    """The model with some entries of its weights set to zero."""
    changed = build(settings)
    with torch.no_grad():
        for name, index in changes:
            changed.get_parameter(name)[index] = 0.0
    return changed


WHOLE = slice(None)
SURGERIES = [
    (edits.zero(sites.z(1), heads=4), [("blocks.1.attn.W_O", 4)]),
    (edits.zero(sites.head_out(1), heads=[4, 0]), [("blocks.1.attn.W_O", [4, 0])]),
    (
        edits.zero(sites.attn_out(0)),
        [("blocks.0.attn.W_O", WHOLE), ("blocks.0.attn.b_O", WHOLE)],
    ),
    (edits.zero(sites.q(0), heads=5), [("blocks.0.attn.W_Q", 5), ("blocks.0.attn.b_Q", 5)]),
    (edits.zero(sites.k(1), heads=2), [("blocks.1.attn.W_K", 2), ("blocks.1.attn.b_K", 2)]),
    (
        edits.zero(sites.v(1), heads=[0, 2]),
        [("blocks.1.attn.W_V", [0, 2]), ("blocks.1.attn.b_V", [0, 2])],
    ),
    (edits.zero(sites.z(0), heads=3, units=6), [("blocks.0.attn.W_O", (3, 6))]),
    (edits.zero(sites.mlp_post(0), units=[27, 9]), [("blocks.0.mlp.W_out", [27, 9])]),
    (
        edits.zero(sites.mlp_out(1)),
        [("blocks.1.mlp.W_out", WHOLE), ("blocks.1.mlp.b_out", WHOLE)],
    ),
    (
        edits.zero(sites.mlp_pre(1), units=3),
        [("blocks.1.mlp.W_in", (WHOLE, 3)), ("blocks.1.mlp.b_in", 3)],
    ),
]


@pytest.mark.parametrize(("edit", "changes"), SURGERIES, ids=[str(edit) for edit, _ in SURGERIES])
@pytest.mark.parametrize("settings_of", [{}, {"positions": "rotary", "parallel": True}])
def test_a_zero_ablation_is_the_model_without_those_weights(
    build, tokens, edit, changes, settings_of
):
    model = build(settings_of)
    ablated = model.run(tokens, [edit]).logits
    without = surgery(model, build, settings_of, changes).run(tokens).logits
    torch.testing.assert_close(ablated, without, **CLOSE)
    assert not torch.allclose(ablated, model.run(tokens).logits)


def test_a_key_value_head_edits_exactly_the_queries_that_read_it(build, tokens, other_tokens):
    model = build({})
    other = model.run(other_tokens, keep=[sites.v(1)]).cache
    base = model.run(tokens, keep=[sites.z(1), sites.v(1)])
    for kv_head in range(3):
        edit = edits.patch(sites.v(1), other, heads=kv_head, positions=[0, 2])
        z = model.run(tokens, [edit], keep=[sites.z(1)]).cache[sites.z(1)]
        moved = (z != base.cache[sites.z(1)]).any(-1).any(1).any(0)
        assert moved.nonzero().flatten().tolist() == [2 * kv_head, 2 * kv_head + 1]


@pytest.mark.parametrize("heads", [3, [5, 0]])
def test_an_edit_of_head_out_is_the_same_edit_of_z(
    build, architecture, tokens, other_tokens, heads
):
    model = build(architecture)
    other = model.run(other_tokens, keep=[sites.z(1), sites.head_out(1)]).cache
    for by_head_out, by_z in (
        (edits.zero(sites.head_out(1), heads=heads), edits.zero(sites.z(1), heads=heads)),
        (
            edits.patch(sites.head_out(1), other, heads=heads, positions=[2, 6]),
            edits.patch(sites.z(1), other, heads=heads, positions=[2, 6]),
        ),
        (
            edits.mean(sites.head_out(1), other[sites.head_out(1)], "others", heads=heads),
            edits.mean(sites.z(1), other[sites.z(1)], "others", heads=heads),
        ),
    ):
        torch.testing.assert_close(
            model.run(tokens, [by_head_out]).logits, model.run(tokens, [by_z]).logits, **CLOSE
        )


def test_edits_of_one_site_are_made_in_the_order_given(build, tokens):
    model, site = build({}), sites.z(0)
    bias = torch.linspace(1, 2, 8, dtype=torch.float64)
    zero, add = edits.zero(site, heads=1), edits.add(site, bias, heads=1)
    double = edits.call(site, lambda part: part * 2, heads=[1, 4])

    def head(*made):
        return model.run(tokens, made, keep=[site]).cache[site][:, :, 1]

    wanted = bias.expand(5, 7, 8)
    assert torch.equal(head(add, zero), torch.zeros_like(wanted))
    assert torch.equal(head(zero, add), wanted)
    assert torch.equal(head(zero, add, double), wanted * 2)
    assert torch.equal(head(zero, double, add), wanted)


def test_an_edit_sees_what_an_earlier_site_was_changed_to(build, tokens):
    model = build({})
    seen = []
    model.run(
        tokens,
        [
            edits.zero(sites.attn_out(0)),
            edits.call(sites.resid_mid(0), lambda part: seen.append(part.clone()) or part),
        ],
    )
    pre = model.run(tokens, keep=[sites.resid_pre(0)]).cache[sites.resid_pre(0)]
    assert torch.equal(seen[0], pre)


def test_edits_may_come_from_a_generator(build, tokens):
    model = build({})
    listed = [edits.zero(sites.z(layer), heads=0) for layer in range(2)]
    assert torch.equal(
        model.run(tokens, (edit for edit in listed)).logits, model.run(tokens, listed).logits
    )


def test_with_attention_frozen_only_the_changed_position_moves(build, architecture, tokens):
    model = build(architecture)
    base = model.run(tokens, keep="all")
    changed = tokens.clone()
    changed[:, 3] = (tokens[:, 3] + 1) % 37
    frozen = [edits.freeze(sites.attn_out(layer), base.cache) for layer in range(2)]
    still = model.run(changed, frozen).logits != base.logits
    assert still.any(-1).any(0).tolist() == [False, False, False, True, False, False, False]
    free = (model.run(changed).logits != base.logits).any(-1).any(0).tolist()
    before = [False] * 3 if model.config.causal else [True] * 3
    assert free == [*before, *[True] * 4]


def state(model):
    parts = dict(model.named_parameters())
    return (
        {name: value.clone() for name, value in parts.items()},
        {name: sorted(vars(module)) for name, module in model.named_modules()},
        sum(
            len(module._forward_hooks) + len(module._forward_pre_hooks)
            for module in model.modules()
        ),
    )


@pytest.mark.parametrize("kind", ["embed", "q", "pattern", "mlp_out", "logits"])
def test_nothing_stays_behind_after_an_edit_raises(build, tokens, kind):
    model = build({})
    base = model.run(tokens, keep="all")
    weights, attributes, hooks = state(model)

    def broken(part):
        part.fill_(1e9)
        raise ZeroDivisionError("in the middle of a run")

    with pytest.raises(ZeroDivisionError):
        model.run(tokens, [edits.call(at(kind), broken)], keep="all", grad=True)
    with pytest.raises(UsageError):
        model.run(tokens, [edits.put(at(kind), torch.zeros(3))], keep="all")
    with pytest.raises(ZeroDivisionError):
        model.run_with_hooks(tokens, fwd_hooks=[(at(kind).name, lambda part, hook: broken(part))])
    after = state(model)
    assert all(torch.equal(weights[name], after[0][name]) for name in weights)
    assert (attributes, hooks) == after[1:]
    again = model.run(tokens, keep="all")
    assert torch.equal(again.logits, base.logits)
    assert all(torch.equal(again.cache[site], base.cache[site]) for site in base.cache)
    assert torch.is_grad_enabled()


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: edits.zero(sites.z(1), heads=6), r"head indices must lie in -6…5, got \[6\]"),
        (lambda: edits.zero(sites.z(1), heads=[0, -7]), "head indices must lie"),
        (lambda: edits.zero(sites.k(1), heads=3), "kv_head indices must lie in -3…2"),
        (lambda: edits.zero(sites.z(1), positions=7), "pos indices must lie in -7…6"),
        (lambda: edits.zero(sites.pattern(1), positions=[7]), "query indices must lie"),
        (lambda: edits.zero(sites.pattern(1), units=[7]), "key indices must lie"),
        (lambda: edits.zero(sites.mlp_post(1), units=[2, 28]), "d_mlp indices must lie in -28…27"),
        (lambda: edits.zero(sites.z(1), positions=[[0]] * 4 + [[9]]), "pos indices must lie"),
        (lambda: edits.zero(sites.z(1), positions=[[0], [1]]), "for 2 examples, the run has 5"),
        (lambda: edits.zero(sites.z(1), positions=[]), "pos indices must lie"),
        (lambda: edits.zero(sites.resid_pre(1), heads=0), "has no head axis, only batch pos"),
        (lambda: edits.zero(sites.ln1_scale(1), units=0), "has no d_head axis"),
    ],
)
def test_a_part_that_does_not_exist_is_refused(build, tokens, made, message):
    with pytest.raises(UsageError, match=message):
        build({}).run(tokens, [made()])


@pytest.mark.parametrize(
    "shape",
    [(), (1,), (20,), (7, 20), (1, 7, 20), (5, 1, 20), (5, 7, 1), (5, 6, 20), (5, 7, 20, 1)],
)
def test_a_value_of_another_shape_is_refused_even_if_it_could_be_broadcast(build, tokens, shape):
    model, value = build({}), torch.zeros(shape, dtype=torch.float64)
    with pytest.raises(UsageError, match=r"expected a value of shape \[5, 7, 20\]"):
        model.run(tokens, [edits.put(sites.attn_out(0), value)])
    with pytest.raises(UsageError, match=r"must return a tensor of shape \[5, 7, 20\]"):
        model.run(tokens, [edits.call(sites.attn_out(0), lambda part: value)])
    if shape != (20,):
        with pytest.raises(UsageError, match=r"expected a vector of shape \[20\]"):
            model.run(tokens, [edits.add(sites.attn_out(0), value)])


def test_a_part_of_another_shape_is_refused(build, tokens):
    model = build({})
    for shape in ((5, 7, 8), (5, 7, 2, 1, 8), (5, 2, 7, 8), (2, 8)):
        with pytest.raises(UsageError, match=r"expected a value of shape \[5, 7, 2, 8\]"):
            model.run(tokens, [edits.put(sites.z(0), torch.zeros(shape), heads=[1, 3])])
    source = model.run(tokens[:4, :6], keep=[sites.z(0)]).cache
    with pytest.raises(UsageError, match="expected a value of shape"):
        model.run(tokens, [edits.patch(sites.z(0), source, heads=1)])
    with pytest.raises(UsageError, match="expected a value of shape"):
        model.run(tokens, [edits.mean(sites.z(0), source[sites.z(0)], over="short prompts")])


def test_a_function_that_returns_nothing_is_refused_as_an_edit(build, tokens):
    with pytest.raises(UsageError, match="must return a tensor .* got NoneType"):
        build({}).run(tokens, [edits.call(sites.z(0), lambda part: None)])


def test_an_edit_of_a_site_that_the_model_lacks_never_runs(build, tokens):
    ran = []
    rotary = build({"positions": "rotary"})
    with pytest.raises(UsageError, match="this model has no site 'hook_pos_embed'"):
        rotary.run(
            tokens,
            [
                edits.call(sites.embed(), lambda part: ran.append(1) or part),
                edits.zero("pos_embed"),
            ],
        )
    assert not ran


def test_patching_from_a_run_that_did_not_keep_the_site_is_refused(build, tokens):
    run = build({}).run(tokens, keep=[sites.z(0)])
    with pytest.raises(UsageError, match=r"keep=\[sites.z\(1\)\]"):
        edits.patch(sites.z(1), run.cache)
    with pytest.raises(UsageError, match="was not kept"):
        edits.freeze(sites.attn_out(0), run.cache)
