"""Studies that remove or patch components: valid reports on models of every kind, and, where one
head is known to do the work, that head and no other."""

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

import interp
from interp import tasks
from interp.errors import NotApplicable
from interp.report import Report
from interp.study import registry
from interp.tasks import Prompt, Task
from interp.tasks.splits import halved
from interp.transformer import Config, Origin, Transformer

ROOT = Path(__file__).parent.parent.parent
COLUMNS = {
    "head_ablation": {
        "heads": [
            *("layer", "head", "ablation", "effect", "ci_low", "ci_high"),
            *("p_corrected", "direct_effect"),
        ],
        "heads_by_order": [
            *("layer", "head", "ablation", "order", "effect", "ci_low", "ci_high", "n"),
        ],
    },
    "mlp_ablation": {
        "mlps": [
            *("layer", "ablation", "effect", "ci_low", "ci_high", "p_corrected"),
            "direct_effect",
        ],
    },
    "layer_ablation": {
        "layers": [
            *("layer", "part", "ablation", "effect", "ci_low", "ci_high", "p_corrected"),
            "direct_effect",
        ],
    },
    "activation_patching": {
        name: ["layer", "position", "label", "effect", "recovery"]
        for name in ("resid_pre", "attn_out", "mlp_out")
    },
    "self_repair": {
        "self_repair": [
            *("layer", "head", "total", "direct", "later_heads", "later_mlps", "rescaling"),
            *("offset", "ci_low", "ci_high", "p_corrected", "n", "self_repair", "share_repaired"),
        ],
    },
}


def study(name):
    return registry.read(ROOT / "experiments" / f"{name}.py").load()


def tables(report):
    return {table.name: table.frame for table in report.tables} | dict(report.files)


@pytest.mark.parametrize("model_name", ["tiny-gpt2", "tiny-llama"])
@pytest.mark.parametrize("name", COLUMNS)
def test_a_study_gives_a_valid_report_with_its_tables(name, model_name):
    model = interp.load(model_name)
    report = study(name)(model, tasks.build("ioi", model.tokenizer, n=8, seed=0))
    assert isinstance(report, Report)
    assert all(check.passed for check in report.checks), report.checks
    found = tables(report)
    for table, columns in COLUMNS[name].items():
        assert list(found[table].columns) == columns


def test_the_split_of_the_strongest_heads_closes_in_its_table():
    model = interp.load("tiny-llama", dtype=torch.float64)
    report = study("head_ablation")(model, tasks.build("ioi", model.tokenizer, n=8, seed=0))
    split = tables(report)["offsets"]
    terms = split["direct"] + split["later_heads"] + split["later_mlps"] + split["rescaling"]
    np.testing.assert_allclose(terms, split["total"], atol=1e-10)
    repaired = (split["offset"] > 0) & (split["direct"] < 0)
    np.testing.assert_array_equal(split["self_repair"].notna(), repaired)


def test_one_row_a_layer_head_and_ablation():
    model = interp.load("tiny-gpt2")
    report = study("head_ablation")(model, tasks.build("ioi", model.tokenizer, n=8, seed=0))
    heads = tables(report)["heads"]
    config = model.config
    assert len(heads) == 3 * config.n_layers * config.n_heads
    assert not heads.duplicated(["layer", "head", "ablation"]).any()


NAMES, FILLERS, END = range(1, 7), range(7, 11), 11
PLANTED = (1, 2)


@pytest.fixture(scope="module")
def planted():
    """Two layers of 48 heads, all but one with random weights that write where nothing reads. The
    last token of L1H2 looks for the token at position 1 and writes its name to the logits."""
    config = Config(
        n_layers=2,
        n_heads=48,
        n_kv_heads=48,
        d_model=36,
        d_head=6,
        d_mlp=0,
        d_vocab=12,
        n_ctx=8,
        norm="none",
        tied=False,
    )
    model = Transformer(config, Origin("planted", "random", "")).double()
    generator = torch.Generator().manual_seed(0)
    weights = {}
    for name, parameter in model.named_parameters():
        drawn = 0.3 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        weights[name] = torch.zeros_like(drawn) if ".b_" in name or name.startswith("b_") else drawn
    # Dimensions of the stream: tokens 0–11, positions 12–19, names as logits 20–25, scratch after.
    weights["embed.W_E"] = torch.eye(12, 36, dtype=torch.float64)
    weights["pos_embed.W_pos"] = torch.eye(8, 36, dtype=torch.float64).roll(12, 1)
    layer, head = PLANTED
    for each in range(config.n_layers):
        weights[f"blocks.{each}.attn.W_O"][..., :26] = 0
    read = f"blocks.{layer}.attn."
    for name in ("W_Q", "W_K", "W_V", "W_O"):
        weights[read + name][head] = 0
    weights[read + "W_Q"][head, END, 0] = 30
    weights[read + "W_K"][head, 12 + 1, 0] = 30
    for number, token in enumerate(NAMES):
        weights[read + "W_V"][head, token, number] = 1
        weights[read + "W_O"][head, number, 20 + number] = 4
    weights["unembed.W_U"] = torch.zeros(36, 12, dtype=torch.float64)
    for number, token in enumerate(NAMES):
        weights["unembed.W_U"][20 + number, token] = 1
    model.assign(weights)
    return model


@pytest.fixture(scope="module")
def copying():
    """“name filler … END” goes on with the name; the corrupted prompt has another one. Sixteen templates:
    four fillers, each at four lengths."""
    made = []
    for number, (filler, many) in enumerate(product(FILLERS, (2, 3, 4, 5))):
        middle = (filler,) * many
        for name, other in ((1, 2), (3, 4), (5, 6)):
            tokens = {which: (0, which, *middle, END) for which in (name, other)}
            made.append(
                Prompt(
                    clean=str(tokens[name]),
                    corrupted=str(tokens[other]),
                    answer=str(name),
                    wrong=str(other),
                    clean_tokens=tokens[name],
                    corrupted_tokens=tokens[other],
                    answer_token=name,
                    wrong_token=other,
                    template=f"t{number}",
                    cluster=f"t{number}",
                    positions={"NAME": 1, "END": len(tokens[name]) - 1},
                )
            )
    return Task("copying", "Does it copy?", halved(made), bos=0)


def spelt():
    """A word for every token, so that a page can show it."""
    words = WordLevel({str(token): token for token in range(12)}, unk_token="0")
    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer(words), unk_token="0")


@pytest.fixture(scope="module")
def speaking(planted):
    """The same model, with words for its tokens."""
    model = Transformer(planted.config, replace(planted.origin), spelt)
    model.assign(dict(planted.named_parameters()))
    return model.double()


def only(frame, column, layer_head, **which):
    """Whether this head alone has a value other than 0."""
    for name, value in which.items():
        frame = frame[frame[name] == value]
    strong = frame[frame[column].abs() > 1e-6]
    return [tuple(map(int, row)) for row in strong[["layer", "head"]].to_numpy()] == [layer_head]


def test_ablation_names_the_planted_head_and_no_other(speaking, copying):
    report = study("head_ablation")(speaking, copying, top=3)
    heads = tables(report)["heads"]
    # Three corrupted prompts a template have no mean.
    assert set(heads["ablation"]) == {"zero", "resample"}
    assert any("mean ablation" in each.name for each in report.not_run)
    for kind in ("zero", "resample"):
        assert only(heads, "effect", PLANTED, ablation=kind)
        assert only(heads, "direct_effect", PLANTED, ablation=kind)
    assert "L1H2 matters most" in report.answer
    for table in ("top_heads", "confirmed"):
        first = tables(report)[table].iloc[0]
        assert (first["layer"], first["head"]) == PLANTED
        assert first["effect"] < -1
    assert report.verdict == "supported"
    rank = tables(report)["controls"].iloc[0]
    assert rank["p"] == pytest.approx(1 / 48, abs=0.006)


def test_a_choice_that_confirms_on_too_few_templates_has_estimates_and_no_verdict(
    speaking, copying
):
    few = copying.only(np.array([int(prompt.template[1:]) % 4 == 0 for prompt in copying.kept]))
    report = study("head_ablation")(speaking, replace(few, prompts=halved(few.prompts)), top=3)
    assert report.verdict == "inconclusive"
    confirmed = tables(report)["confirmed"]
    assert confirmed["effect"].iloc[0] < -1
    assert confirmed[["ci_low", "ci_high", "p"]].isna().all().all()
    one = few.only(np.array([prompt.template == "t0" for prompt in few.kept]))
    with pytest.raises(NotApplicable, match="of one template"):
        study("head_ablation")(speaking, replace(one, prompts=halved(one.prompts)), top=3)


def test_patching_names_the_planted_head_and_the_place_of_the_name(speaking, copying):
    report = study("activation_patching")(speaking, copying, top=2)
    found = tables(report)
    assert only(found["heads"], "effect", PLANTED)
    best = found["heads"].set_index(["layer", "head"]).loc[PLANTED]
    assert best["recovery"] == pytest.approx(1, abs=1e-6)
    cells = found["resid_pre"].set_index(["layer", "label"])["recovery"]
    for layer in (0, 1):
        assert cells[layer, "NAME"] == pytest.approx(1, abs=1e-6)
        assert cells[layer, "END"] == pytest.approx(0, abs=1e-6)
        assert cells[layer, "first"] == 0
    sites_of_best = found["heads_by_site"].set_index(["layer", "head", "site"])["recovery"]
    assert sites_of_best[(*PLANTED, "v")] == pytest.approx(1, abs=1e-6)
    assert sites_of_best[(*PLANTED, "pattern")] == pytest.approx(0, abs=1e-6)


def test_only_the_planted_head_writes_and_nothing_repairs_it(speaking, copying):
    table = tables(study("self_repair")(speaking, copying))["self_repair"]
    assert only(table, "direct", PLANTED)
    np.testing.assert_allclose(table["offset"], 0, atol=1e-10)


def test_positions_are_numbered_only_where_all_prompts_agree(speaking, copying):
    cells = tables(study("activation_patching")(speaking, copying, top=2))["resid_pre"]
    by_label = cells.groupby("label")["position"].first()
    assert by_label["NAME"] == 1
    assert by_label["first"] == 0
    assert pd.isna(by_label["END"])
