"""What a run keeps: everything asked for, in memory of its own, and nothing else changes."""

import pytest
import torch

from interp import edits, sites
from interp.errors import UsageError
from interp.transformer.inputs import ON_REQUEST


def storage(tensor):
    return tensor.untyped_storage().data_ptr()


def sizes(config, batch, pos):
    return {
        "batch": batch,
        "pos": pos,
        "query": pos,
        "key": pos,
        "head": config.n_heads,
        "kv_head": config.n_kv_heads,
        "d_head": config.d_head,
        "d_model": config.d_model,
        "d_mlp": config.d_mlp,
        "d_vocab": config.d_vocab_out,
        "1": 1,
    }


def test_keeping_all_keeps_every_site_but_those_on_request_in_the_shape_of_its_axes(
    build, settings, tokens
):
    model = build(settings)
    cache = model.run(tokens, keep="all").cache
    assert list(cache) == [site for site in model.sites if site.kind not in ON_REQUEST]
    size = sizes(model.config, *tokens.shape)
    for site, activation in cache.items():
        assert activation.shape == tuple(size[axis] for axis in site.axes), site.name


def test_keeping_changes_no_bit_of_the_logits(build, settings, tokens):
    model = build(settings)
    plain = model.run(tokens).logits
    assert torch.equal(model.run(tokens, keep="all").logits, plain)
    with_heads = [sites.head_out(0), sites.head_out(1), sites.z(1)]
    assert torch.equal(model.run(tokens, keep=with_heads).logits, plain)


def test_the_heads_and_the_bias_add_up_to_attn_out(build, settings, tokens):
    model = build(settings)
    cache = model.run(tokens, keep=lambda site: True).cache
    for layer in range(2):
        bias = model.block(layer).attn.b_O
        total = cache[sites.head_out(layer)].sum(-2)
        total = total if bias is None else total + bias
        torch.testing.assert_close(total, cache[sites.attn_out(layer)], rtol=1e-12, atol=1e-12)


def test_patterns_sum_to_one_and_see_only_what_they_may(build, settings, tokens):
    model = build(settings)
    cache = model.run(tokens, keep="all").cache
    distance = torch.arange(7)[:, None] - torch.arange(7)[None, :]
    for layer in range(2):
        window = (model.config.windows or (None, None))[layer]
        hidden = distance.abs() >= (window or 8)
        if model.config.causal:
            hidden |= distance < 0
        pattern, scores = cache[sites.pattern(layer)], cache[sites.scores(layer)]
        torch.testing.assert_close(pattern.sum(-1), torch.ones(5, 6, 7, dtype=torch.float64))
        assert bool((pattern[..., hidden] == 0).all())
        assert bool((scores[..., hidden] == -torch.inf).all())
        assert bool((pattern[..., ~hidden] > 0).all())
        assert bool(scores[..., ~hidden].isfinite().all())


def test_nothing_kept_shares_memory_with_anything(build, settings, tokens):
    model = build(settings)
    run = model.run(tokens, keep=lambda site: True)
    others = [run.logits, *model.parameters()]
    everything = [*run.cache.values(), *others]
    assert len({storage(tensor) for tensor in everything}) == len(everything)


def test_an_in_place_change_of_one_activation_reaches_no_other(build, architecture, tokens):
    model = build(architecture)
    run = model.run(tokens, keep=lambda site: True)
    before = {site: activation.clone() for site, activation in run.cache.items()}
    logits = run.logits.clone()
    for changed, unchanged in before.items():
        run.cache[changed].fill_(3.0)
        for site, activation in run.cache.items():
            wanted = torch.full_like(activation, 3.0) if site == changed else before[site]
            assert torch.equal(activation, wanted), (changed.name, site.name)
        run.cache[changed].copy_(unchanged)
    assert torch.equal(run.logits, logits)
    run.logits.zero_()
    assert torch.equal(run.cache[sites.logits()], logits)


def test_changing_weights_after_a_run_changes_nothing_kept(build, architecture, tokens):
    model = build(architecture)
    run = model.run(tokens, keep=lambda site: True)
    before = {site: activation.clone() for site, activation in run.cache.items()}
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(0.5)
    assert all(torch.equal(run.cache[site], before[site]) for site in before)


def test_changing_the_token_tensor_after_a_run_does_not_change_what_the_run_read(build, tokens):
    mine = tokens.clone()
    run = build({}).run(mine)
    mine[0, 0] = 36 - mine[0, 0]
    assert torch.equal(run.tokens, tokens)


EVERYWHERE = {"gpt2": {}, "llama": {"positions": "rotary", "gated": True, "norm": "rmsnorm"}}


@pytest.mark.parametrize("family", EVERYWHERE)
def test_a_function_that_works_in_place_cannot_reach_what_was_kept_before_it(build, family, tokens):
    model = build(EVERYWHERE[family])
    base = model.run(tokens, keep=lambda site: True)

    def ruin(activation, hook):
        activation.fill_(7.0)

    for site in model.sites:
        kept = model.run(
            tokens, [edits.call(site, lambda part: part.fill_(7.0))], keep=lambda site: True
        ).cache
        assert bool((kept[site] == 7.0).all())
        earlier = [other for other in model.sites if other.order < site.order]
        for other in earlier:
            assert torch.equal(kept[other], base.cache[other]), (site.name, other.name)
        _, cached = model.run_with_cache(
            tokens,
            names_filter=lambda name: True,
            edits=[edits.call(site, lambda part: part.fill_(7.0))],
        )
        assert torch.equal(cached[site], kept[site])
        hooked = model.run_with_hooks(tokens, fwd_hooks=[(site.name, ruin)])
        torch.testing.assert_close(hooked, kept[sites.logits()], equal_nan=True)


@pytest.mark.parametrize("family", EVERYWHERE)
def test_what_is_kept_of_an_edited_run_is_its_own(build, family, tokens):
    """Neither the value of an edit nor a tensor that a function holds on to is the one kept."""
    model = build(EVERYWHERE[family])
    base = model.run(tokens, keep=lambda site: True)
    for site in model.sites:
        held = base.cache[site].clone()
        for edit in (
            edits.freeze(site, base.cache),
            edits.call(site, lambda part, held=held: held),
        ):
            kept = model.run(tokens, [edit], keep=[site]).cache[site]
            assert storage(kept) not in {storage(base.cache[site]), storage(held)}


def test_two_functions_that_share_a_buffer_do_not_reach_each_other(build, tokens):
    model = build({"n_kv_heads": 6})
    buffer = torch.zeros(5, 7, 6, 8, dtype=torch.float64)
    together = [
        edits.call(sites.q(0), lambda part: buffer.fill_(1.0)),
        edits.call(sites.k(0), lambda part: buffer.fill_(2.0)),
    ]
    apart = [
        edits.put(sites.q(0), torch.full_like(buffer, 1.0)),
        edits.put(sites.k(0), torch.full_like(buffer, 2.0)),
    ]
    assert torch.equal(model.run(tokens, together).logits, model.run(tokens, apart).logits)


def test_keep_takes_sites_names_a_test_or_all(build, tokens):
    model = build({})
    z = sites.z(1)
    for keep in ([z], [z.name], z.name, lambda site: site == z, (z for _ in range(1))):
        assert list(model.run(tokens, keep=keep).cache) == [z]
    assert len(model.run(tokens).cache) == 0


@pytest.mark.parametrize(
    ("settings_of", "absent"),
    [
        ({"positions": "rotary"}, sites.pos_embed()),
        ({"positions": "learned"}, sites.rot_q(0)),
        ({"d_mlp": 0}, sites.ln2_scale(0)),
        ({"d_mlp": 0}, sites.mlp_out(1)),
        ({"d_mlp": 0}, sites.resid_mid(1)),
        ({"parallel": True}, sites.resid_mid(1)),
        ({"norm": "none"}, sites.final_scale()),
        ({}, sites.gate(0)),
        ({}, sites.z(2)),
    ],
)
def test_a_site_that_the_model_lacks_is_refused_with_the_nearest(
    build, tokens, settings_of, absent
):
    model = build(settings_of)
    before = model.run(tokens).logits
    with pytest.raises(UsageError, match="no site.*nearest names|no site.*known names") as refused:
        model.run(tokens, keep=[absent])
    assert absent.name in str(refused.value)
    with pytest.raises(UsageError, match="no site"):
        model.run(tokens, [edits.zero(absent)])
    assert torch.equal(model.run(tokens).logits, before)


def test_a_misspelt_site_names_the_nearest(build, tokens):
    model = build({})
    with pytest.raises(UsageError, match="blocks.1.attn.hook_z") as refused:
        model.run(tokens, keep=["blocks.1.attn.hook_zz"])
    assert "nearest names" in str(refused.value)
    with pytest.raises(UsageError, match="nearest names: mlp_post"):
        model.run(tokens).cache["mlp_pots", 1]


def test_what_was_not_kept_is_an_error_that_says_how_to_keep_it(build, tokens):
    run = build({}).run(tokens, keep=[sites.z(0)])
    with pytest.raises(UsageError, match=r"keep=\[sites.z\(1\)\]"):
        run.cache[sites.z(1)]
    with pytest.raises(UsageError, match=r"keep=\[sites.embed\(\)\]"):
        run.cache["hook_embed"]
