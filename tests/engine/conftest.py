"""Small random models of every family, random interventions on them, and the slow oracle."""

import random
from types import SimpleNamespace

import pytest
import torch

SIZES = {
    "n_layers": 3,
    "n_heads": 6,
    "n_kv_heads": 6,
    "d_model": 20,
    "d_head": 4,
    "d_mlp": 28,
    "d_vocab": 50,
    "n_ctx": 24,
}
_PLAIN = {"q_bias": False, "kv_bias": False, "o_bias": False, "mlp_bias": False}
_LLAMA = {"norm": "rmsnorm", "positions": "rotary", "gated": True, "activation": "silu"}
FAMILIES = {
    "gpt2": {},
    "neox": {"parallel": True, "positions": "rotary", "rotary_dim": 2, "tied": False},
    "llama": {**_LLAMA, **_PLAIN, "n_kv_heads": 2},
    "qwen3": {**_LLAMA, "n_kv_heads": 3, "qk_norm": True, "d_head": 6, "tied": False},
    "attention_only": {
        "d_mlp": 0,
        "norm": "none",
        "positions": "none",
        "unembed_bias": True,
        "tied": False,
    },
    "attention_only_normed": {"d_mlp": 0, "n_kv_heads": 3, "parallel": True},
    "encoder": {"causal": False, "activation": "relu", "windows": (None, 3, 4)},
    "windowed": {"windows": (3, None, 4), "positions": "rotary", "norm": "rmsnorm"},
    "learned_qk_norm": {"qk_norm": True, "n_kv_heads": 2, "attn_scale_by_layer": True},
    "parallel_gated": {
        **_LLAMA,
        "parallel": True,
        "n_kv_heads": 1,
        "d_vocab_out": 43,
        "tied": False,
    },
}
PADDED = ("gpt2", "llama", "encoder", "windowed")
N_EXAMPLES, N_POS = 4, 9
# From where to where a prompt is real: padded on the right, on the left, and not at all.
PADDINGS = {"whole": {}, "padded": {0: (2, 9), 1: (0, 7), 2: (1, 8)}}


def _model(settings, dtype=torch.float64, seed=0):
    from interp.transformer import Config, Transformer

    model = Transformer(Config(**{**SIZES, **settings})).to(dtype)
    generator = torch.Generator().manual_seed(seed)
    for name, weight in model.named_parameters():
        drawn = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
        weight.data = (0.25 * drawn + (1.0 if name.endswith(".w") else 0.0)).to(dtype)
    return model


def _prompts(padding, seed=0):
    """Prompts, others that differ from them from one position on (the first prompt not at all), and
    which tokens are real."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(0, SIZES["d_vocab"], (N_EXAMPLES, N_POS), generator=generator)
    other = tokens.clone()
    other[1:, random.Random(seed).randrange(N_POS - 2) :] += 1
    other %= SIZES["d_vocab"]
    real = torch.ones_like(tokens).bool()
    for example, (first, end) in PADDINGS[padding].items():
        real[example] = False
        real[example, first:end] = True
    return tokens, other, real


def _place(site, config, draw):
    """A random part of a site: heads, positions (shared or for each prompt, some counted from the
    end), units."""
    part = {}
    head_axis = {"head", "kv_head"} & set(site.axes)
    if head_axis and draw.random() < 0.7:
        n_heads = config.n_kv_heads if "kv_head" in head_axis else config.n_heads
        chosen = draw.sample(range(n_heads), min(n_heads, draw.choice([1, 2])))
        part["heads"] = [head - n_heads if draw.random() < 0.2 else head for head in chosen]
    if draw.random() < 0.7:
        part["positions"] = draw.choice(
            [
                [draw.randrange(N_POS)],
                -1,
                draw.sample(range(N_POS), 3),
                [1, -2],
                [[draw.randrange(N_POS)] for _ in range(N_EXAMPLES)],
                [draw.sample(range(-N_POS, 0), 2) for _ in range(N_EXAMPLES)],
            ]
        )
    if site.axes[-1] in ("d_model", "d_mlp", "d_head", "key", "d_vocab") and draw.random() < 0.3:
        part["units"] = draw.sample(range(4), 2)
    return part


def _edit(site, value, part, cache, draw):
    """An edit of this value; a divisor is only moved, never put to zero."""
    from interp import edits

    width = len(part["units"]) if "units" in part else cache[site].shape[-1]
    generator = torch.Generator().manual_seed(draw.randrange(10**6))
    vector = torch.randn(width, dtype=cache[site].dtype, generator=generator)
    if site.kind.endswith("scale") and value == "zero":
        value = "patch"
    match value:
        case "zero":
            return edits.zero(site, **part)
        case "patch":
            return edits.patch(site, cache, **part)
        case "mean":
            return edits.mean(site, cache[site], "other prompts", **part)
        case "freeze":
            return edits.freeze(site, cache)
        case "add vector":
            return edits.add(site, 0.1 * vector.abs(), 0.5, **part)
        case "add tensor":
            moved = edits.patch(site, cache, **part).value.tensor
            return edits.add(site, moved.nan_to_num(neginf=0.0).abs(), 0.3, **part)
        case "call":
            return edits.call(site, lambda old: old * 0.5, **part)


VALUES = ("zero", "patch", "mean", "freeze", "add vector", "add tensor", "call")


def _sites(model):
    from interp import sites

    # Never computed unless somebody names it.
    also = [sites.head_out(layer) for layer in range(model.config.n_layers)]
    return [*model.sites, *(site for site in also if site not in model.sites)]


def _random_interventions(model, cache, n, seed):
    draw = random.Random(seed)
    found = []
    for _ in range(n):
        several = [
            (draw.choice(_sites(model)), draw.choice(VALUES[:-1]))
            for _ in range(draw.choice([1, 1, 2, 3, 4]))
        ]
        found.append(
            [_edit(s, value, _place(s, model.config, draw), cache, draw) for s, value in several]
        )
    return found


def _every_site_and_value(model, cache, seed, n_values):
    """Every kind of site with (so many of) all values, each in a random part of a random layer."""
    draw, found = random.Random(seed), []
    kinds = dict.fromkeys(site.kind for site in _sites(model))
    for kind in kinds:
        here = [site for site in _sites(model) if site.kind == kind]
        for value in draw.sample(VALUES, n_values):
            site = draw.choice(here)
            found.append(_edit(site, value, _place(site, model.config, draw), cache, draw))
    return found


def _naive(model, tokens, real, interventions, metric):
    """The obvious loop: one whole run for each intervention, nothing shared and nothing skipped."""
    from interp.edits import Edit
    from interp.metrics import measured

    logits = model.run(tokens, attention_mask=real).logits
    rows = torch.arange(len(tokens))[:, None]
    metric = metric.bound(logits[rows, metric.positions(real)])
    before = measured(metric, logits, real)
    effects = []
    for each in interventions:
        made = [each] if isinstance(each, Edit) else each
        edited = model.run(tokens, edits=made, attention_mask=real)
        effects.append(measured(metric, edited.logits, real) - before)
    return torch.stack(effects)


def _metrics(tokens, real, n_vocab):
    """One metric of every kind, at the end and elsewhere."""
    from interp.metrics import (
        Accuracy,
        AnswerLogProb,
        KLToBase,
        LogitDifference,
        Loss,
        ProbabilitySum,
    )

    answer, wrong = torch.tensor([1, 2, 3, 4]), torch.tensor([5, 6, 7, 5])
    inside = torch.where(real[:, 4], 4, 6)
    right = torch.zeros(len(tokens), n_vocab, dtype=torch.bool)
    right[:, 3:9] = True
    shown = tokens % n_vocab
    return {
        "logit difference": LogitDifference(answer, wrong),
        "logit difference inside": LogitDifference(answer, wrong, at=inside),
        "log-probability": AnswerLogProb(answer),
        "probability sum": ProbabilitySum(right, ~right, at=-2),
        "KL": KLToBase(),
        "loss": Loss(shown, 2, None if bool(real.all()) else real),
        "accuracy": Accuracy(answer, wrong),
    }


def _worst(found, expected):
    """The largest difference, relative to effects above 1."""
    return float(((found - expected).abs() / expected.abs().clamp(min=1)).max())


@pytest.fixture(scope="session")
def lab():
    """The functions above, and the names of what there is."""
    return SimpleNamespace(
        families=FAMILIES,
        values=VALUES,
        model=_model,
        prompts=_prompts,
        sites=_sites,
        edit=_edit,
        place=_place,
        random_interventions=_random_interventions,
        every_site_and_value=_every_site_and_value,
        naive=_naive,
        metrics=_metrics,
        worst=_worst,
    )


def pytest_generate_tests(metafunc):
    """`family` is every one; `family` with `padding` is every one with prompts as they are, and those
    whose attention differs most with padded ones too, or every pair where a test is marked so."""
    names = [name for name in ("family", "padding") if name in metafunc.fixturenames]
    if names == ["family", "padding"]:
        padded = FAMILIES if metafunc.definition.get_closest_marker("every_pair") else PADDED
        pairs = [(name, "whole") for name in FAMILIES] + [(name, "padded") for name in padded]
        metafunc.parametrize(("family", "padding"), pairs)
    elif names:
        metafunc.parametrize(names[0], FAMILIES if names == ["family"] else PADDINGS)
