"""The study of sentence pairs: on random classifiers, on absent ones, and from the command line."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from interp.classifiers.classifier import Absent
from interp.classifiers.packaged import HHEM
from interp.cli.main import main
from interp.report import Report
from interp.study.registry import discover
from interp.transformer import Origin

STUDY = discover(Path(__file__).parent.parent.parent / "experiments").studies["pair_scoring"]
WORDS = "a man woman boy girl horse bridge red blue walks sits reads on in the of is book bar . ,"


def save(folder, kind, end=None, **sizes):
    """A random classifier with a tokenizer of a few words, which may put one at the end."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import AutoConfig, AutoModelForSequenceClassification
    from transformers import PreTrainedTokenizerFast as Fast

    torch.manual_seed(0)
    common = {
        "vocab_size": 32,
        "hidden_size": 24,
        "num_attention_heads": 4,
        "intermediate_size": 20,
    }
    common |= {"num_hidden_layers": 2, "pad_token_id": 0, "initializer_range": 0.4}
    config = AutoConfig.for_model(kind, **common, **sizes)
    AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
    vocabulary = {word: number for number, word in enumerate(["[PAD]", "[MASK]", *WORDS.split()])}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="[MASK]"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if end is not None:
        inner.post_processor = processors.TemplateProcessing(
            single=f"$A {end}",
            pair=f"$A $B:1 {end}:1",
            special_tokens=[(end, vocabulary[end])],
        )
    Fast(
        tokenizer_object=inner,
        mask_token="[MASK]",
        model_input_names=["input_ids", "attention_mask"],
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    place = tmp_path_factory.mktemp("classifiers")
    deberta = {"relative_attention": True, "pos_att_type": ["c2p", "p2c"], "pooler_hidden_size": 24}
    return {
        "deberta-v2": save(place / "deberta", "deberta-v2", **deberta, num_labels=2),
        "llama": save(place / "llama", "llama", num_key_value_heads=2, num_labels=1),
    }


@pytest.fixture
def work(tmp_path, monkeypatch):
    """An empty folder to work in, with three pairs and a cache of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INTERP_CACHE", str(tmp_path / "cache"))
    rows = ["a man walks,a boy sits", "a man walks,the man is red", "the horse reads,a book ."]
    (tmp_path / "pairs.csv").write_text("premise,hypothesis\n" + "\n".join(rows) + "\n")
    return tmp_path


def run(*words):
    return main(["run", "pair_scoring", "--out", "out", *map(str, words)])


def stored():
    (path,) = Path("out").glob("*/none/pair_scoring*/result.json")
    return json.loads(path.read_text()), path.parent


def test_the_classifier_that_nobody_asked_for_may_be_absent():
    function = STUDY.load()
    assert STUDY.settings[0].default == HHEM
    report = function(Absent(Origin(HHEM, "none", ""), "the hub is out of reach"), None)
    assert isinstance(report, Report)
    assert report.verdict == "not run"
    assert "--revision hhem-1.0-open" in report.answer
    assert [each.reason for each in report.not_run] == ["model not available offline"]


def test_without_a_network_the_run_is_ok_and_not_run(work, capsys):
    assert run() == 0
    result, _ = stored()
    assert (result["status"], result["verdict"]) == ("ok", "not run")
    assert "Nothing was scored" in capsys.readouterr().out


def test_a_classifier_asked_for_by_name_must_be_there(work, capsys):
    assert run("--classifier", "./nowhere") == 3
    assert "there is no folder './nowhere'" in capsys.readouterr().err
    assert not Path("out").exists()


@pytest.mark.parametrize("kind", ["deberta-v2", "llama"])
def test_a_folder_yields_a_report_whose_checks_pass(work, folders, kind, capsys):
    words = ("--classifier", folders[kind], "--pairs", "pairs.csv", "--top", "1")
    assert run(*words) == 0
    out = capsys.readouterr().out
    assert "CHECKS FAILED" not in out, out
    result, folder = stored()
    assert result["status"] == "ok", result["error"]
    assert result["verdict"] in ("supported", "not supported", "inconclusive")
    assert result["model"]["family"] == kind
    assert "--model" not in result["command"]
    tables = {path.stem for path in (folder / "tables").iterdir()}
    assert {"pairs", "tokens", "heads", "parts", "across", "controls"} <= tables
    assert ("terms" in tables) == (kind == "deberta-v2")

    import pandas as pd

    parts = pd.read_csv(folder / "tables" / "parts.csv")
    assert parts.share.sum() == pytest.approx(1, abs=1e-4)
    scores = pd.read_csv(folder / "tables" / "pairs.csv")
    assert scores.score.to_numpy() == pytest.approx(1 / (1 + np.exp(-scores.log_odds)))
    if kind == "llama":
        # What the file holds counts, not what it is called.
        assert run(*words) == 0
        assert "skipped: nothing changed" in capsys.readouterr().out
        with open("pairs.csv", "a") as file:
            file.write("a girl sits,a girl is on the bridge\n")
        assert run(*words, "--dry-run") == 0
        assert "would run: files changed" in capsys.readouterr().out


def test_an_encoder_decoder_is_scored_and_says_what_it_does_not_show(
    work, tmp_path_factory, capsys
):
    sizes = {"d_model": 24, "encoder_layers": 2, "decoder_layers": 2, "max_position_embeddings": 40}
    sizes |= {"encoder_attention_heads": 4, "decoder_attention_heads": 4, "num_labels": 3}
    eos = 2 + WORDS.split().index(",")
    folder = save(tmp_path_factory.mktemp("bart"), "bart", ",", **sizes, eos_token_id=eos)
    assert run("--classifier", folder, "--pairs", "pairs.csv") == 0
    assert "CHECKS FAILED" not in capsys.readouterr().out
    result, place = stored()
    assert (result["status"], result["verdict"]) == ("ok", "not run")
    reasons = {each["name"]: each["reason"] for each in result["not_run"]}
    assert "encoder–decoder" in reasons["heads"]
    assert "encoder–decoder" in reasons["attention between the sentences"]
    assert {"pairs", "tokens"} <= {path.stem for path in (place / "tables").iterdir()}


def test_a_regression_shows_its_number(work, tmp_path_factory):
    folder = save(
        tmp_path_factory.mktemp("regression"), "bert", num_labels=1, problem_type="regression"
    )
    assert run("--classifier", folder, "--pairs", "pairs.csv", "--top", "1") == 0

    import pandas as pd
    from transformers import pipeline

    result, place = stored()
    scores = pd.read_csv(place / "tables" / "pairs.csv")
    theirs = pipeline("text-classification", model=str(folder), tokenizer=str(folder))
    expected = [
        theirs({"text": row.premise, "text_pair": row.hypothesis})["score"]
        for row in scores.itertuples()
    ]
    assert scores.score.to_numpy() == pytest.approx(np.array(expected), abs=1e-5)
    assert scores.log_odds.to_numpy() == pytest.approx(np.array(expected), abs=1e-5)
    assert "log-odds" not in result["answer"]
    assert {each["unit"] for each in result["headline"]} == {"output"}


def test_weights_that_give_no_number_are_refused_by_the_pair(folders, work, capsys, tmp_path):
    import shutil

    from safetensors.torch import load_file, save_file

    broken = shutil.copytree(folders["llama"], tmp_path / "broken")
    weights = load_file(broken / "model.safetensors")
    weights["score.weight"] *= float("inf")
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    assert run("--classifier", broken, "--pairs", "pairs.csv") == 3
    assert "for pair 1: not the weights of a trained classifier" in capsys.readouterr().err
