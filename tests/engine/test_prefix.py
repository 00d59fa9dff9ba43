"""What prompts begin with alike is computed once, and the effects stay what they were."""

import pytest
import torch

import interp
from interp import edits, sites
from interp.engine.plan import plan
from interp.metrics import LogitDifference, Loss

EXACT = 1e-10
SHARED_FOUR = 4


@pytest.fixture(params=["gpt2", "llama", "neox", "qwen3", "attention_only", "windowed"])
def alike(request, lab):
    """A model and six prompts: the first four tokens of 0, 1, 2 are one, those of 3, 4 another."""
    model = lab.model(lab.families[request.param])
    tokens = torch.randint(10, 50, (6, 9), generator=torch.Generator().manual_seed(3))
    tokens[1:3, :SHARED_FOUR] = tokens[0, :SHARED_FOUR]
    tokens[4, :SHARED_FOUR] = tokens[3, :SHARED_FOUR]
    tokens[:, :1] = 7
    real = torch.ones_like(tokens).bool()
    return model, tokens, real, LogitDifference(torch.arange(6), torch.arange(6, 12))


def planned(model, tokens, interventions, metric, **options):
    return plan(model, tokens, interventions, metric, **options)


def prefixes(found):
    return [job.prefix for chunk in found.chunks for job in chunk]


def changes(model, tokens):
    """Edits that do the same to prompts that are the same: at heads, MLPs and the stream."""
    width = model.config.d_model
    vector = torch.linspace(-1, 1, width, dtype=torch.float64)
    found = [edits.zero(sites.z(layer), heads=[head]) for layer in range(3) for head in (0, 3)]
    found += [edits.add(sites.resid_pre(1), vector), edits.add(sites.resid_post(0), vector, 0.3)]
    found += [edits.zero(sites.attn_out(0)), edits.zero(sites.z(1), positions=[1, 2, 6])]
    inputs = (sites.q_input(1), sites.k_input(0), sites.v_input(1))
    found += [edits.add(site, vector, 0.5, heads=[1]) for site in inputs]
    if model.config.d_mlp:
        found += [edits.add(sites.mlp_in(1), vector)]
        found += [edits.zero(sites.mlp_out(1)), edits.zero(sites.mlp_post(2), units=[1, 5])]
    cache = model.run(tokens, keep=[sites.z(1)]).cache
    same = cache[sites.z(1)].clone() + 0.5
    same[[1, 2], :SHARED_FOUR] = same[0, :SHARED_FOUR]
    same[4, :SHARED_FOUR] = same[3, :SHARED_FOUR]
    return [*found, edits.patch(sites.z(1), {sites.z(1): same}, heads=[2])]


def test_effects_are_those_of_whole_passes_and_fewer_tokens_run(lab, alike):
    model, tokens, real, metric = alike
    interventions = changes(model, tokens)
    found = planned(model, tokens, interventions, metric)
    shared = prefixes(found)
    assert all(each is not None and each.stop == SHARED_FOUR for each in shared)
    # Three groups: 0, 1, 2; 3, 4; and 5 alone.
    assert {len(each.leaders) for each in shared} == {3}
    jobs = [job for chunk in found.chunks for job in chunk if job.start == 0]
    assert {job.n_tokens(9) for job in jobs} == {3 * 4 + 6 * 5}
    effects = interp.sweep(model, tokens, interventions, metric, base=found)
    expected = lab.naive(model, tokens, real, interventions, metric)
    assert float(expected.abs().max()) > 0.01
    for row, wanted, edit in zip(effects, expected, interventions, strict=True):
        assert lab.worst(row, wanted) <= EXACT, str(edit)


def test_pieces_and_jobs_that_share_nothing_run_in_the_same_batch(lab, alike):
    model, tokens, real, metric = alike
    values = torch.randn(6, 9, model.config.d_model, dtype=torch.float64)
    interventions = [
        *changes(model, tokens),
        edits.patch(sites.attn_out(0), {sites.attn_out(0): values}),
        edits.zero(sites.attn_out(1), positions=[5]),
    ]
    expected = lab.naive(model, tokens, real, interventions, metric)
    sizes = set()
    for memory in (None, 600_000, 400_000, 300_000, 200_000):
        found = planned(model, tokens, interventions, metric, memory=memory)
        chunks = [chunk for part in found.parts() for chunk in part.chunks]
        sizes |= {len(job.examples) for chunk in chunks for job in chunk}
        effects = interp.sweep(model, tokens, interventions, metric, base=found)
        assert lab.worst(effects, expected) <= EXACT
    assert sizes & {2, 3, 4, 5}
    together = planned(model, tokens, interventions, metric)
    assert {each is None for each in prefixes(together)} == {True, False}


def test_nothing_is_shared_where_it_would_be_wrong(lab, alike):
    model, tokens, real, metric = alike
    apart = torch.randn(6, 9, model.config.d_model, dtype=torch.float64)
    reads_beyond = [edits.zero(sites.v(1), heads=[0]), edits.zero(sites.pattern(1), heads=[0])]
    for interventions in (
        [edits.patch(sites.attn_out(0), {sites.attn_out(0): apart})],
        reads_beyond,
        [[edits.zero(sites.z(0), heads=[0]), edits.zero(sites.z(2))]],
    ):
        found = planned(model, tokens, interventions, metric)
        assert prefixes(found) == [None] * len(interventions)
    one = [edits.zero(sites.z(0), heads=[0])]
    assert prefixes(planned(model, tokens, one, Loss(tokens))) == [None]
    early = LogitDifference(torch.arange(6), torch.arange(6, 12), at=torch.full((6,), 2))
    assert prefixes(planned(model, tokens, one, early))[0].stop == 2
    padded = real.clone()
    padded[5, :2] = False
    assert prefixes(planned(model, tokens, one, metric, attention_mask=padded)) == [None]


def test_an_encoder_shares_nothing(lab):
    model = lab.model(lab.families["encoder"])
    metric = LogitDifference(torch.arange(3), torch.arange(3, 6))
    found = planned(model, torch.full((3, 9), 7), [edits.zero(sites.mlp_out(0))], metric)
    assert prefixes(found) == [None]
