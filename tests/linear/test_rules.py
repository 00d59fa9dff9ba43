"""Every rule that claims to be a gradient is one: of the model in which its part is frozen."""

from dataclasses import replace

import pytest
import torch

import interp
from interp import edits, sites
from interp.linear import GIM, RELP, TRUE, Rules, frozen, slopes
from interp.metrics import LogitDifference
from interp.transformer import Config, Transformer
from interp.transformer.mlp import ACTIVATIONS

TOKENS = torch.tensor([[1, 5, 9, 2], [7, 3, 3, 8]])
KINDS = ["tiny-gpt2", "tiny-neox", "tiny-llama", "tiny-qwen3"]
FROZEN = {
    "block_norm": ("ln1_scale", "ln2_scale"),
    "qk_norm": ("q_scale", "k_scale"),
    "final_norm": ("final_scale",),
    "pattern": ("pattern",),
}


@pytest.fixture(scope="module", params=KINDS)
def model(request):
    return interp.load(request.param, dtype=torch.float64)


@pytest.fixture(scope="module")
def metric():
    return LogitDifference(torch.tensor([4, 6]), torch.tensor([2, 1]))


def kept_still(model, kinds):
    """Edits that hold these kinds of sites at the run on TOKENS."""
    held = [site for site in model.sites if site.kind in kinds]
    cache = model.run(TOKENS, keep=held).cache
    return [edits.freeze(site, cache) for site in held]


def value(model, metric, made):
    logits = model.run(TOKENS, made, logits_at=-1).logits[:, 0].gather(-1, metric.columns)
    return logits[:, 0] - logits[:, 1]


def nudged(model, metric, site, also=(), size=1e-5):
    """The change of the metric for a random nudge of a site, and the nudge, by finite differences."""
    like = model.run(TOKENS, keep=[site]).cache[site]
    nudge = torch.randn(like.shape, generator=torch.Generator().manual_seed(3)).to(like)
    ends = [
        value(model, metric, [*also, edits.add(site, sign * size * nudge, 1.0)])
        for sign in (1.0, -1.0)
    ]
    return (ends[0] - ends[1]) / (2 * size), nudge


@pytest.mark.parametrize(
    "parts",
    [
        (),
        ("block_norm",),
        ("qk_norm",),
        ("final_norm",),
        ("pattern",),
        ("norm",),
        ("norm", "pattern"),
    ],
    ids=lambda parts: "+".join(parts) or "true",
)
def test_frozen_parts_give_the_gradient_of_the_model_with_them_frozen(model, metric, parts):
    kinds = [kind for part in parts for name in FROZEN for kind in FROZEN[name]
             if name == part or (part == "norm" and name != "pattern")]  # fmt: skip
    for site in (sites.embed(), sites.resid_post(0)):
        found = slopes(model, TOKENS, metric, rules=frozen(*parts), at=[site])
        expected, nudge = nudged(model, metric, site, kept_still(model, kinds))
        mine = (found.slope[site] * nudge).sum((1, 2))
        torch.testing.assert_close(mine, expected, rtol=1e-6, atol=1e-8)


def test_the_ratio_is_the_gradient_of_the_model_with_its_activations_made_linear(model, metric):
    """act(x) replaced by x times what act(x) / x was: what the Identity-rule stands for."""
    act, before = ACTIVATIONS[model.config.activation], sites.mlp_pre
    kept = model.run(TOKENS, keep=[before(layer) for layer in range(model.config.n_layers)]).cache
    ratio = [
        act(kept[before(layer)]) / kept[before(layer)] for layer in range(model.config.n_layers)
    ]
    site, size = sites.resid_pre(0), 1e-5
    held = model.run(TOKENS, keep=[site]).cache[site]
    nudge = torch.randn(held.shape, generator=torch.Generator().manual_seed(3)).to(held)
    ends = []
    for sign in (1, -1):
        stream = held + sign * size * nudge
        around = model.surroundings(torch.ones_like(TOKENS, dtype=torch.bool), stream)
        for layer in range(model.config.n_layers):
            mlp = model.block(layer).mlp
            old, mlp.act = mlp.act, lambda x, layer=layer: x * ratio[layer]
            stream = model.block(layer)(stream, around.mask(layer), around.rotary)
            mlp.act = old
        logits = model.read_out(stream)[:, -1].gather(-1, metric.columns)
        ends.append(logits[:, 0] - logits[:, 1])
    expected = (ends[0] - ends[1]) / (2 * size)
    found = slopes(model, TOKENS, metric, rules=Rules(activation="ratio"), at=[site]).slope[site]
    torch.testing.assert_close((found * nudge).sum((1, 2)), expected.detach(), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", ["relu", "gelu", "silu"])
def test_the_ratio_at_nothing_is_what_it_tends_to(name):
    act = ACTIVATIONS[name]
    near = torch.tensor(1e-6, dtype=torch.float64)
    limit = (act(near) / near + act(-near) / -near) / 2 if name != "relu" else torch.tensor(0.0)
    config = Config(
        n_layers=1, n_heads=1, d_model=4, d_head=4, d_vocab=6, n_ctx=4, d_mlp=3,
        activation=name, norm="none", tied=False,
    )  # fmt: skip
    model = Transformer(config).double()
    with torch.no_grad():
        model.block(0).mlp.W_in.zero_()
        model.block(0).mlp.b_in.zero_()
    site = sites.mlp_pre(0)
    metric = LogitDifference(torch.tensor([4]), torch.tensor([2]))
    at = [site, sites.mlp_post(0)]
    found = slopes(model, TOKENS[:1, :3] % 6, metric, rules=Rules(activation="ratio"), at=at).slope
    torch.testing.assert_close(
        found[site], found[sites.mlp_post(0)] * float(limit), atol=1e-6, rtol=0
    )


def test_half_of_what_a_gated_product_gets_goes_to_each_factor(metric):
    model = interp.load("tiny-llama", dtype=torch.float64)
    last = model.config.n_layers - 1
    at = [sites.mlp_post(last), sites.gate(last), sites.mlp_pre_linear(last)]
    keep = model.run(TOKENS, keep=at).cache
    halved = slopes(model, TOKENS, metric, rules=Rules(gate="half"), at=at).slope
    full = slopes(model, TOKENS, metric, at=at).slope
    post, gate, linear = at
    torch.testing.assert_close(halved[post], full[post])
    torch.testing.assert_close(halved[gate], full[gate] / 2)
    torch.testing.assert_close(halved[linear], full[linear] / 2)
    # So that relevance is conserved: what the factors get is what the product has.
    torch.testing.assert_close(
        halved[gate] * keep[gate] + halved[linear] * keep[linear], halved[post] * keep[post]
    )


def test_gim_softens_the_softmax_and_shares_what_flows_back(model, metric):
    last = model.config.n_layers - 1
    q, k, v, scores, pattern = (
        make(last) for make in (sites.q, sites.k, sites.v, sites.scores, sites.pattern)
    )
    at, rules = [q, k, v, scores, pattern], Rules(attention="gim")
    found = slopes(model, TOKENS, metric, rules=rules, at=at)
    true = slopes(model, TOKENS, metric, at=at)
    flow = true.slope[pattern]
    softer = (true.kept[scores] / 2).softmax(-1)
    expected = softer * (flow - (flow * softer).sum(-1, keepdim=True))
    torch.testing.assert_close(found.slope[scores], expected)
    torch.testing.assert_close(found.slope[v], true.slope[v] / 2)
    # What reaches the queries is what those scores send them, a quarter of it.
    with torch.enable_grad():
        q_ = true.kept[q].clone().requires_grad_()
        attn, x = model.block(last).attn, true.kept[q]
        around = model.surroundings(torch.ones_like(TOKENS, dtype=torch.bool), x)
        rotated = attn.place_queries(q_, around.rotary)
        keys = attn.place_keys(true.kept[k], around.rotary).repeat_interleave(model.config.group, 2)
        made = torch.einsum("bqhd,bkhd->bhqk", rotated, keys) / attn.scale
        (through,) = torch.autograd.grad((made * found.slope[scores]).sum(), q_)
    torch.testing.assert_close(found.slope[q], through / 4)


def test_published_rules_are_those_of_their_authors():
    every_norm = {"block_norm": "frozen", "qk_norm": "frozen", "final_norm": "frozen"}
    assert Rules(**every_norm, activation="ratio", gate="half") == RELP
    assert Rules(**every_norm, attention="gim", gate="half") == GIM
    assert RELP.scores_queries
    assert GIM.scores_queries
    assert frozen("norm", "pattern") == replace(frozen("norm"), attention="frozen")


def test_no_rule_changes_what_is_computed(model, metric):
    expected = value(model, metric, [])
    for rules in (TRUE, RELP, GIM, frozen("pattern"), Rules(activation="ratio")):
        found = slopes(model, TOKENS, metric, rules=rules).metric
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_slopes_are_had_where_weights_take_none(model, metric):
    expected = [each for _, _, each in slopes(model, TOKENS, metric).at_readers()]
    frozen_weights = interp.load(model.name, dtype=torch.float64).requires_grad_(False)
    found = [each for _, _, each in slopes(frozen_weights, TOKENS, metric).at_readers()]
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs)
