"""Checks follow the number format: what is right passes in every one, what is wrong in none."""

import pytest
import torch

import interp
from interp import edits, sites, tasks
from interp.methods import attribute
from interp.methods.identities.steps import recomputed
from interp.report import Check, NotRun
from interp.study.registry import discover
from interp.tasks.batches import whole
from interp.views import tolerance

STUDIES = discover().studies
FORMATS = [torch.bfloat16, torch.float16, torch.float32, torch.float64]
# Studies whose verdict is that an identity closes, and those that check one on the way.
IDENTITIES = ("anatomy", "head_circuits", "head_decomposition", "induction_heads")
ON_TASKS = ("layernorm", "logit_attribution", "logit_lens", "mlp_neurons", "attention_patterns")
MODEL = {dtype: interp.load("tiny-llama", dtype=dtype) for dtype in FORMATS}


@pytest.mark.parametrize("dtype", FORMATS, ids=str)
@pytest.mark.parametrize("terms", [1, 30, 1000])
def test_sums_of_rounded_terms_lie_within_and_ten_roundings_more_do_not(dtype, terms):
    generator = torch.Generator().manual_seed(0)
    exact = torch.randn(400, terms, generator=generator, dtype=torch.float64)
    missed = (exact.to(dtype).sum(-1).double() - exact.sum(-1)).abs()
    scale = exact.abs().sum(-1)
    allowed = tolerance.rounding(dtype, 1.0, terms)
    assert (missed / scale).max() < allowed
    assert allowed < max(10 * torch.finfo(dtype).eps, 0.001)


@pytest.mark.parametrize("dtype", FORMATS, ids=str)
@pytest.mark.parametrize("name", [*IDENTITIES, *ON_TASKS])
def test_what_holds_passes_in_every_format(name, dtype):
    function = STUDIES[name].load()
    model = MODEL[dtype]
    task = tasks.build("ioi", model.tokenizer, n=8) if name in ON_TASKS else None
    small = {"length": 12, "sequences": 3} if name == "induction_heads" else {}
    report = function(model, task, **small)
    assert [check.name for check in report.checks if not check.passed] == []
    if name in ("anatomy", "head_decomposition"):
        assert report.verdict == "supported"


@pytest.mark.parametrize(
    ("dtype", "error"),
    [
        (torch.bfloat16, 10 * 2**-7),
        (torch.float16, 10 * 2**-10),
        (torch.float32, 1e-4),
        (torch.float64, 1e-12),
    ],
    ids=str,
)
def test_a_planted_fault_of_ten_roundings_fails(dtype, error):
    """Attention of one layer writes a little more than its z says."""
    model = MODEL[dtype]
    tokens = tasks.prompt_tokens(model, " Mary went to the store and John")
    more = edits.call(sites.attn_out(1), lambda value: value * (1 + error))
    for planted in ([], [more]):
        found = recomputed(model, model.run(tokens, edits=planted, keep="all"))
        passed = {name: value <= tolerance.step(model) for name, value in found.items()}
        assert passed.pop("attn_out = z · W_O") == (not planted), found
        assert all(passed.values())


@pytest.mark.parametrize(("dtype", "error"), [(torch.bfloat16, 0.5), (torch.float32, 0.01)])
def test_a_part_that_writes_more_than_it_says_is_seen_in_the_sum_of_the_parts(dtype, error):
    model = MODEL[dtype]
    prompts = whole(tasks.build("ioi", model.tokenizer, n=8), model.device)
    more = edits.call(sites.attn_out(1), lambda value: value * (1 + error))
    for planted in ([], [more]):
        run = prompts.run(model, keep=attribute.wanted(model), edits=planted)
        found = attribute.attribute(model, run, prompts)
        wide = tolerance.rounding(dtype, found.scale, len(found.components))
        assert (found.error <= wide) == (not planted), (found.error, wide)


@pytest.mark.parametrize("error", [0.01])
def test_a_control_that_rounding_hides_is_not_run_in_that_format_alone(error):
    hidden = tolerance.control("centring", error, 0.02, torch.bfloat16)
    assert isinstance(hidden, NotRun)
    assert "in bfloat16 rounding alone may come to 0.02" in hidden.reason
    missed = tolerance.control("centring", error, 0.02, torch.float32)
    assert isinstance(missed, Check)
    assert not missed.passed
    seen = tolerance.control("centring", 0.5, 0.02, torch.bfloat16)
    assert isinstance(seen, Check)
    assert seen.passed
