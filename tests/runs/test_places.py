"""A local model is called by its name, and no page says where anybody's files lie."""

import json
import shlex

import pytest


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    from interp.cli.main import main

    folder = tmp_path_factory.mktemp("ann's files") / "my model"
    assert main(["export", "tiny-gpt2", str(folder)]) == 0
    return folder


def test_a_model_given_by_an_absolute_path_is_called_by_its_folder(
    place, interp, exported, write_study
):
    write_study("works", "norm = model.name; raise NotApplicable(f'{model.name} has none')")
    code, _, err = interp("run", "works", "--model", exported)
    assert (code, err) == (0, "")
    (path,) = (place / "reports").rglob("result.json")
    stored = json.loads(path.read_text())
    assert stored["model"]["name"] == "my model"
    assert stored["answer"] == "my model has none"
    words = shlex.split(stored["command"])
    assert words[words.index("--model") + 1].endswith("/my model")
    page = (path.parent / "report.html").read_text()
    assert str(exported) not in page
    assert "skipped: nothing changed" in interp(*words[1:])[1]


def test_a_model_below_the_working_folder_has_one_name_however_it_is_given(place, interp, exported):
    (place / "models").mkdir()
    (place / "models" / "mine").symlink_to(exported)
    assert interp("run", "works", "--model", place / "models/mine")[0] == 0
    assert "skipped: nothing changed" in interp("run", "works", "--model", "models/mine")[1]
    (path,) = (place / "reports").rglob("result.json")
    assert (
        json.loads(path.read_text())["command"] == "interp run works --model models/mine --seed 0"
    )
    assert path.parent.parent.parent.name == "models--mine"
