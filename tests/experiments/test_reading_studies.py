"""The observational studies on tiny models: valid reports, exact tables, checks that hold."""

import math
from dataclasses import replace
from itertools import islice, permutations

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
from interp.study.declaration import why_not
from interp.study.registry import discover
from interp.training.presets import fresh

ON_TASKS = (
    "logit_attribution",
    "logit_lens",
    "layernorm",
    "mlp_neurons",
    "attention_patterns",
    "task_check",
)
ON_WEIGHTS = {
    "induction_heads": {"length": 12, "sequences": 3},
    "head_circuits": {"sample": 50},
}
MODELS = (
    "tiny-gpt2",
    "tiny-neox",
    "tiny-llama",
    "tiny-qwen3",
    "tiny-attn-only",
    "tiny-bidirectional",
)
INTERFACES = {
    "logit_attribution": (
        "components",
        ["component", "layer", "head", "contribution", "ci_low", "ci_high"],
    ),
    "induction_heads": (
        "heads",
        [
            "layer",
            "head",
            "induction",
            "previous_token",
            "duplicate_token",
            "first_token",
            "current_token",
            "prefix_matching",
            "copying",
        ],
    ),
    "logit_lens": (
        "lens",
        [
            "layer",
            "position",
            "label",
            "top_token",
            "answer_rank",
            "answer_log_prob",
            "kl",
            "entropy",
        ],
    ),
}
STUDIES = discover().studies


@pytest.fixture(scope="module", params=MODELS)
def model(request):
    return interp.load(request.param)


def run(name, model, task=None, **settings):
    """The study's report, or the reason why it does not apply."""
    function = STUDIES[name].load()
    if reason := why_not(function, model):
        return reason
    torch.manual_seed(0)
    try:
        report = function(model, task, **settings)
    except NotApplicable as reason:
        return str(reason)
    assert isinstance(report, Report)
    return report


def check(name, report):
    assert report.sections
    assert report.answer
    assert report.checks or name == "task_check"
    assert [each.name for each in report.checks if not each.passed and not each.control] == []
    if name in INTERFACES:
        table, columns = INTERFACES[name]
        assert list(report.files[table].columns) == columns


@pytest.mark.parametrize("name", ON_TASKS)
def test_a_study_of_a_task_yields_a_valid_report(name, model):
    task = tasks.build("ioi", model.tokenizer, 8, 0)
    found = run(name, model, task, **({"others": False} if name == "task_check" else {}))
    refused = {
        "layernorm": model.config.norm == "none",
        "mlp_neurons": not model.config.d_mlp,
    }
    if refused.get(name):
        assert model.name in found
        return
    check(name, found)


def test_an_interval_of_attention_stays_within_what_attention_can_be(model):
    report = run("attention_patterns", model, tasks.build("ioi", model.tokenizer, 8, 0))
    between = next(each.frame for each in report.tables if each.name == "between")
    ends = between[["ci_low", "ci_high"]].dropna()
    assert len(ends)
    assert ends.stack().between(0, 1).all()


@pytest.mark.parametrize("name", [*ON_TASKS, "anatomy", "head_decomposition", *ON_WEIGHTS])
def test_a_study_runs_in_half_precision(name):
    model = interp.load("tiny-llama", dtype=torch.bfloat16)
    settings = ON_WEIGHTS.get(name, {"others": False} if name == "task_check" else {})
    task = tasks.build("ioi", model.tokenizer, 8, 0) if name in ON_TASKS else None
    # Sums close as well as so few digits let them, which the report's own checks say.
    assert isinstance(run(name, model, task, **settings), Report)


@pytest.mark.parametrize("name", ON_WEIGHTS)
def test_a_study_without_a_task_yields_a_valid_report(name, model):
    found = run(name, model, **ON_WEIGHTS[name])
    if name == "induction_heads" and not model.config.causal:
        assert "sees later tokens" in found
        return
    check(name, found)
    if name == "head_circuits":
        refused = [each.name for each in found.not_run]
        assert bool(refused) == model.config.qk_norm
        kinds = set(found.files["composition"].kind)
        assert kinds == ({"V"} if model.config.qk_norm else {"Q", "K", "V"})


def test_components_add_up_to_the_mean_logit_difference(model):
    task = tasks.build("ioi", model.tokenizer, 8, 0)
    components = run("logit_attribution", model, task).files["components"]
    gate = tasks.gate(model, task)
    assert components.contribution.sum() == pytest.approx(gate.clean_each.mean(), abs=1e-4)
    assert set(components.component) <= {"embed", "pos_embed", "head", "mlp", "bias"}
    assert not components.duplicated(["component", "layer", "head"]).any()
    heads = components[components.component == "head"]
    assert len(heads) == model.config.n_layers * model.config.n_heads
    assert heads[["layer", "head"]].notna().all().all()
    assert components[components.component == "mlp"]["head"].isna().all()


def test_the_last_row_of_the_lens_is_the_model(model):
    task = tasks.build("ioi", model.tokenizer, 8, 0)
    table = run("logit_lens", model, task, example=1).files["lens"]
    prompt = task.kept[1]
    logits = model.run([list(prompt.clean_tokens)]).logits[0].log_softmax(-1)
    last = table[table.layer == model.config.n_layers].sort_values("position")
    wanted = logits[:, prompt.answer_token].tolist()
    assert last.answer_log_prob.tolist() == pytest.approx(wanted, abs=1e-4)
    assert last.top_token.tolist() == model.to_str_tokens(logits.argmax(-1))
    assert last.kl.abs().max() < 1e-4
    assert last.label.tolist()[-1] == "END"
    assert len(table) == (model.config.n_layers + 1) * len(prompt.clean_tokens)


def test_a_file_of_prompts_without_orders_or_names_is_read_too(tmp_path):
    model = interp.load("tiny-llama")
    names = ("Mary", "John", "Tom", "Anna", "Paul")
    frame = pd.DataFrame(
        [
            [
                f"{one} and {two} went to the park, {two} gave a ball to",
                f"{three} and {one} went to the park, {four} gave a ball to",
                f" {one}",
                f" {two}",
            ]
            for one, two, three, four in islice(permutations(names, 4), 0, None, 11)
        ],
        columns=["clean", "corrupted", "answer", "wrong"],
    )
    few, enough = tmp_path / "few.csv", tmp_path / "mine.csv"
    frame.to_csv(enough, index=False)
    frame[:2].to_csv(few, index=False)
    task = tasks.build(str(enough), model.tokenizer, None, 0)
    refused = {"attention_patterns": "name no position"}
    for name in ON_TASKS:
        found = run(name, model, task, **({"others": False} if name == "task_check" else {}))
        if name in refused:
            assert refused[name] in found
        else:
            check(name, found)
    found = run("logit_attribution", model, tasks.build(str(few), model.tokenizer, None, 0))
    assert "confirmed on others" in found


def test_scores_of_heads_are_shares_and_chance_is_told():
    model = interp.load("tiny-gpt2")
    report = run("induction_heads", model, length=12, sequences=3)
    heads = report.files["heads"]
    scores = heads.drop(columns=["layer", "head"])
    assert ((scores >= 0) & (scores <= 1 + 1e-6)).all().all()
    clearest = next(table for table in report.tables if table.name == "clearest").frame
    chance = clearest[clearest.score == "previous_token"].chance.iloc[0]
    assert chance == pytest.approx(sum(1 / (1 + q) for q in range(1, 25)) / 24)
    assert not math.isnan(clearest.ci_low.iloc[0])


@pytest.mark.parametrize(
    ("given", "shown"),
    [({"layer": 0}, "L0H"), ({"head": 2}, "H2"), ({"layer": 1, "head": 3}, "L1H3")],
)
def test_anatomy_shows_the_layer_and_the_head_that_it_was_asked_for(given, shown):
    """One of the two leaves the other to the study: the clearest head of that layer, or number."""
    report = run("anatomy", interp.load("tiny-gpt2"), **given)
    attention = next(each for each in report.sections if each.title.startswith("Attention"))
    assert f"**{shown}" in attention.blocks[0].text or f"{shown}**" in attention.blocks[0].text


@pytest.mark.parametrize("name", ["tiny-gpt2", "tiny-attn-only", "tiny-bidirectional"])
@pytest.mark.parametrize("prompt", [" Mary Mary", " Mary Mary Mary Mary", " Mary John John gave"])
def test_anatomy_takes_any_prompt_whichever_of_its_tokens_repeat(name, prompt):
    report = run("anatomy", interp.load(name), prompt=prompt)
    check("anatomy", report)
    assert report.verdict == "supported"


def test_a_prompt_of_one_token_has_nothing_to_attend_to_and_is_not_judged():
    words = WordLevel({"<unk>": 0, "Mary": 1, "John": 2}, unk_token="<unk>")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(words), unk_token="<unk>")
    config = replace(interp.load("tiny-gpt2").config, d_vocab=3, d_vocab_out=3)
    model = fresh(config, seed=0, tokenizer=lambda: tokenizer)
    assert tasks.prompt_tokens(model, "Mary").tolist() == [[1]]
    report = run("anatomy", model, prompt="Mary")
    assert report.verdict == "inconclusive"
    assert ["one token" in each.reason for each in report.not_run] == [True]
    check("anatomy", report)
