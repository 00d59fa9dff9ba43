"""Whatever is asked for that cannot be: one sentence, the right exit code, nothing half-written."""

import json
from pathlib import Path

import pytest
import torch

TINY = ("--model", "tiny-gpt2")


def _folder(name, config, **files):
    place = Path(name)
    place.mkdir()
    (place / "config.json").write_text(json.dumps(config))
    for file, data in files.items():
        (place / file.replace("_", ".", 1)).write_bytes(data)
    return place


def _unsupported():
    _folder("unsupported", {"architectures": ["T5ForConditionalGeneration"], "model_type": "t5"})


def _truncated():
    config = {"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "n_layer": 1, "n_head": 2}
    _folder("truncated", config, model_safetensors=b"\x80\0\0\0\0\0\0\0{")


def _pickle():
    class Runs:
        def __reduce__(self):
            return (open, ("ran", "w"))

    config = {"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "n_layer": 1, "n_head": 2}
    place = _folder("pickled", config)
    torch.save({"wte.weight": Runs()}, place / "pytorch_model.bin")


def _broken_study():
    Path("experiments/bad.py").write_text("x = (")


def _asks_for_a_task():
    source = Path("experiments/works.py").read_text()
    Path("experiments/asks.py").write_text(source.replace("task=None", 'task="ioi"'))


def _no_studies():
    for path in Path("experiments").glob("*.py"):
        path.unlink()


def _rows(text, name="mine.csv"):
    def write():
        _asks_for_a_task()
        Path(name).write_text(text)

    return write


def _nothing():
    pass


# name: words, exit code, part of the sentence, what is there beforehand
TABLE = {
    "no such command": (["rnu"], 2, "rnu", _nothing),
    "no study named": (["run", *TINY], 2, "which study?", _nothing),
    "unknown study": (["run", "wroks", *TINY], 2, "nearest names: works", _nothing),
    "a study that is broken": (["run", "bad", *TINY], 1, "bad.py is broken", _broken_study),
    "no study at all": (["run", "all", *TINY], 2, "holds no study", _no_studies),
    "a path as a study": (["run", "../works", *TINY], 2, "no experiment is called", _nothing),
    "unknown option": (["run", "works", "--modle", "x"], 2, "--model", _nothing),
    "option without value": (["run", "works", "--count"], 2, "--count needs a value", _nothing),
    "setting of the wrong type": (
        ["run", "works", "--count", "two"],
        2,
        "must be an int",
        _nothing,
    ),
    "setting given twice": (["run", "works", "--count=1", "--count=2"], 2, "2 times", _nothing),
    "n of zero": (["run", "works", "--n", "0"], 2, "--n", _nothing),
    "n that is no number": (["run", "works", "--n", "many"], 2, "--n", _nothing),
    "more prompts than there are": (
        ["run", "asks", *TINY, "--n", "100000000"],
        2,
        "--n must be from 1 to 10,000",
        _asks_for_a_task,
    ),
    "negative seed": (["run", "works", "--seed", "-1"], 2, "--seed", _nothing),
    "unknown number format": (["run", "works", "--dtype", "int8"], 2, "float32", _nothing),
    "device that is not there": (
        ["run", "works", *TINY, "--device", "cuda:77"],
        2,
        "cuda:77",
        _nothing,
    ),
    "device that is no device": (["run", "works", *TINY, "--device", "gpu"], 2, "gpu", _nothing),
    "unknown model": (["run", "works", "--model", "tiny-gtp2"], 3, "tiny-gpt2", _nothing),
    "model folder that is not there": (
        ["run", "works", "--model", "./nowhere"],
        3,
        "nowhere",
        _nothing,
    ),
    "hub id while offline": (
        ["run", "works", "--model", "nobody/nothing"],
        3,
        "nobody/nothing",
        _nothing,
    ),
    "unsupported architecture": (
        ["run", "works", "--model", "./unsupported"],
        3,
        "'t5' is not supported",
        _unsupported,
    ),
    "truncated weights": (["run", "works", "--model", "./truncated"], 3, "truncated", _truncated),
    "weights that run code": (["run", "works", "--model", "./pickled"], 3, "pickle", _pickle),
    "revision of a model that has none": (
        ["run", "works", *TINY, "--revision", "main"],
        2,
        "revision",
        _nothing,
    ),
    "unknown task": (["run", "asks", *TINY, "--task", "ioj"], 2, "ioi", _asks_for_a_task),
    "task for a study without": (
        ["run", "works", *TINY, "--task", "ioi"],
        2,
        "without a task",
        _nothing,
    ),
    "task file that is not there": (
        ["run", "asks", *TINY, "--task", "mine.csv"],
        2,
        "mine.csv",
        _asks_for_a_task,
    ),
    "task file with wrong columns": (
        ["run", "asks", *TINY, "--task", "mine.csv"],
        2,
        "corrupted",
        _rows("clean,answer\na,b\n"),
    ),
    "reports folder that is a file": (
        ["run", "works", *TINY, "--out", "experiments/works.py"],
        2,
        "is a file",
        _nothing,
    ),
    "empty prompt": (
        ["run", "works", *TINY, "--prompt", ""],
        2,
        "--prompt must not be empty",
        _nothing,
    ),
    "prompt longer than the context": (
        ["run", "works", *TINY, "--prompt", "Mary and " * 9999],
        2,
        "at most 160",
        _nothing,
    ),
    "render without reports": (["render"], 2, "no reports folder", _nothing),
    "index without reports": (["index"], 2, "no reports folder", _nothing),
    "render of what is no run": (
        ["render", "experiments", "--out", "."],
        2,
        "holds no result.json",
        _nothing,
    ),
    "new with a dash": (["new", "my-study"], 2, "cannot be a study's name", _nothing),
    "new with a path": (["new", "../escape"], 2, "cannot be a study's name", _nothing),
    "new with a keyword": (["new", "class"], 2, "cannot be a study's name", _nothing),
    "new over an old one": (["new", "works"], 2, "exists", _nothing),
}


def files(place):
    return {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}


@pytest.mark.parametrize("case", TABLE)
def test_a_bad_input_is_one_sentence_and_leaves_nothing(place, interp, case):
    words, expected, sentence, prepare = TABLE[case]
    prepare()
    before = files(place)
    code, _, err = interp(*words)
    assert code == expected, err
    assert err.startswith("error: ")
    assert err.count("\n") == 1, "one line"
    assert "Traceback" not in err
    assert sentence in err
    assert len(err) < 600
    after = files(place)
    assert {path for path in after if "__pycache__" not in path.parts} == set(before)
    assert not (place / "reports").exists()
