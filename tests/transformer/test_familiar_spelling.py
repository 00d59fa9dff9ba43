"""run_with_cache and run_with_hooks, as notebooks written for TransformerLens call them."""

from functools import partial

import pytest
import torch

from interp import edits, sites
from interp.errors import UsageError
from interp.transformer.inputs import ON_REQUEST


def test_run_with_cache_returns_the_logits_and_every_site_but_head_out(build, architecture, tokens):
    model = build(architecture)
    logits, cache = model.run_with_cache(tokens)
    run = model.run(tokens, keep="all")
    assert torch.equal(logits, run.logits)
    assert list(cache) == list(run.cache)
    assert all(torch.equal(cache[site], run.cache[site]) for site in cache)


def test_a_names_filter_is_a_name_a_list_or_a_function(build, tokens):
    model = build({})
    z = ["blocks.0.attn.hook_z", "blocks.1.attn.hook_z"]
    for names_filter, names in (
        (z[1], [z[1]]),
        (z, z),
        ([], []),
        (lambda name: name.endswith("hook_z"), z),
        (
            lambda name: name.endswith("hook_result"),
            [f"blocks.{i}.attn.hook_result" for i in (0, 1)],
        ),
    ):
        _, cache = model.run_with_cache(tokens, names_filter=names_filter)
        assert [site.name for site in cache] == names
    with pytest.raises(UsageError, match="nearest names: blocks.1.attn.hook_z"):
        model.run_with_cache(tokens, names_filter="blocks.1.attn.hook_zz")


def ablate(value, hook, head):
    value[:, :, head, :] = 0.0
    return value


def ablate_in_place(value, head, hook):
    value[:, :, head, :] = 0.0


def test_hooks_change_activations_by_return_or_in_place(build, architecture, tokens):
    model = build(architecture)
    wanted = model.run(tokens, [edits.zero(sites.z(1), heads=4)]).logits
    name = "blocks.1.attn.hook_z"
    for function in (
        partial(ablate, head=4),
        partial(ablate_in_place, head=4),
        lambda value, hook: ablate(value, hook, 4),
    ):
        assert torch.equal(model.run_with_hooks(tokens, fwd_hooks=[(name, function)]), wanted)
    assert not torch.equal(model.run(tokens).logits, wanted)


def test_a_hook_is_told_where_it_is(build, tokens):
    model, seen = build({}), []
    model.run_with_hooks(
        tokens,
        fwd_hooks=[
            (lambda name: name.endswith("resid_pre"), lambda value, hook: seen.append(hook)),
            ("hook_embed", lambda value, hook: seen.append(hook)),
        ],
    )
    assert [hook.name for hook in seen] == [
        "hook_embed",
        "blocks.0.hook_resid_pre",
        "blocks.1.hook_resid_pre",
    ]
    assert [hook.layer() for hook in seen[1:]] == [0, 1]
    with pytest.raises(UsageError, match="belongs to no layer"):
        seen[0].layer()


def test_hooks_that_only_read_change_no_bit(build, architecture, tokens):
    model, seen = build(architecture), {}
    names = [site.name for site in model.sites if site.kind not in ON_REQUEST]

    def read(value, hook):
        seen[hook.name] = value

    logits = model.run_with_hooks(tokens, fwd_hooks=[(name, read) for name in names])
    run = model.run(tokens, keep="all")
    assert torch.equal(logits, run.logits)
    assert all(torch.equal(seen[site.name], run.cache[site]) for site in run.cache)


def test_hooks_run_in_the_order_given(build, tokens):
    model, name = build({}), "blocks.0.hook_attn_out"
    twice = [(name, lambda value, hook: value * 2), (name, lambda value, hook: value + 1)]
    changed = edits.call(sites.attn_out(0), lambda part: part * 2 + 1)
    assert torch.equal(
        model.run_with_hooks(tokens, fwd_hooks=twice), model.run(tokens, [changed]).logits
    )


@pytest.mark.parametrize(
    ("hooked", "message"),
    [
        ("blocks.0.attn.hook_rot_q", "this model has no site"),
        ("blocks.2.attn.hook_z", "nearest names: blocks"),
        ("blocks.0.attn.hook_zz", "no site is called"),
        (lambda name: "no such" in name, "a hook never fires"),
    ],
)
def test_a_hook_that_would_never_fire_is_refused(build, tokens, hooked, message):
    with pytest.raises(UsageError, match=message):
        build({}).run_with_hooks(tokens, fwd_hooks=[(hooked, lambda value, hook: None)])


def test_a_hook_that_returns_another_shape_is_refused(build, tokens):
    with pytest.raises(UsageError, match=r"must return a tensor of shape \[5, 7, 6, 8\]"):
        build({}).run_with_hooks(
            tokens, fwd_hooks=[("blocks.0.attn.hook_z", lambda value, hook: value[:1])]
        )


def test_options_of_run_pass_through(build, tokens):
    model = build({})
    last = model.run(tokens, logits_at=-1).logits
    assert torch.equal(model.run_with_hooks(tokens, logits_at=-1), last)
    logits, _ = model.run_with_cache(tokens, names_filter="hook_embed", logits_at=-1)
    assert torch.equal(logits, last)


def test_transformer_lenss_own_cache_finds_the_same_activations(build, tokens):
    from transformer_lens import ActivationCache

    model = build({"positions": "rotary", "gated": True, "n_kv_heads": 6})
    _, cache = model.run_with_cache(tokens, names_filter=lambda name: True)
    theirs = ActivationCache({site.name: value for site, value in cache.items()}, model)
    short = "q k v z rot_q rot_k attn_scores pattern result pre post resid_pre resid_mid attn_out"
    for name in [*short.split(), "mlp_out", "resid_post", "attn"]:
        assert theirs[name, 1] is cache[name, 1]
    assert theirs["embed"] is cache["embed"]
    assert list(theirs) == [site.name for site in cache]
