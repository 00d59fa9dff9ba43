"""The study of circuits finds one on a trained model, and says why it finds none on a random one."""

import json

import pytest

from interp import load
from interp.circuits import Circuit
from interp.circuits.circuit import from_importances

TABLES = {
    "faithfulness": "fraction edges faithfulness ci_low ci_high complement random_low random_high kl "
    "agreement n",
    "shares": "what variant faithfulness ci_low ci_high kl agreement n",
    "areas": "ranking axis cpr cmd from sizes",
    "controls": "control faithfulness ci_low ci_high kl agreement n ahead ahead_low same_inputs shared",
    "audit": "writer reader input kind score exact probability",
    "edges": "writer reader input score exact kept draws stable",
    "paths": "path edges weakest scores positions",
    "stability": "chosen_from edges jaccard low high",
    "roles": "component role attends_to attention to_answer to_wrong previous_token duplicate_token "
    "induction copying random_previous_token random_duplicate_token random_induction effect effect_low "
    "effect_high direct direct_low direct_high share path path_low path_high",
    "components": "component edges_in edges_out score_out",
}


def stored(place, model, task):
    folder = place / "reports" / model / task / "circuit"
    return json.loads((folder / "result.json").read_text(encoding="utf-8")), folder


@pytest.fixture
def circuit(place):
    """The folder to work in holds the project's own study."""
    from pathlib import Path

    source = Path(__file__).parents[2] / "experiments" / "circuit.py"
    (place / "experiments" / "circuit.py").write_text(source.read_text(encoding="utf-8"))
    return place


def test_a_model_that_does_no_more_than_the_empty_circuit_is_not_run_with_the_reason(
    circuit, interp
):
    code, _, err = interp("run", "circuit", "--model", "tiny-gpt2", "--ungated", "--n", "8")
    assert (code, err) == (0, "")
    found, _ = stored(circuit, "tiny-gpt2", "ioi")
    assert (found["status"], found["verdict"]) == ("ok", "not run")
    assert "nothing of which a circuit could have a share" in found["answer"]


@pytest.mark.slow
def test_a_few_edges_of_a_trained_model_do_what_it_does(circuit, interp):
    words = ("--model", "books-gpt2", "--task", "gendered_pronoun")
    code, _, err = interp("run", "circuit", *words)
    assert (code, err) == (0, "")
    found, folder = stored(circuit, "books-gpt2", "gendered_pronoun")
    assert found["verdict"] == "supported"
    assert " of 1,519 edges of books-gpt2 do " in found["answer"]
    for name, columns in TABLES.items():
        first = (folder / "tables" / f"{name}.csv").read_text(encoding="utf-8").partition("\n")[0]
        assert first == columns.replace(" ", ",")
    edges = (folder / "tables" / "edges.csv").read_text(encoding="utf-8")
    assert edges.count("\n") == 1520
    model = load("books-gpt2")
    kept = Circuit.load(folder / "documents" / "circuit.json", model)
    assert len(kept) == edges.count(",True,")
    data = json.loads((folder / "documents" / "importances.json").read_text(encoding="utf-8"))
    assert (from_importances(kept.graph, data)[1] == kept.kept).all()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--edges", "0"], "--edges must be"),
        (["--edges", "263"], "the model has 262 edges: keep 1 to that many, got 263"),
        (["--metric", "kl"], "first-order scores of it are zero: score by logit_difference"),
        (["--tau", "0.1"], "--tau is what acdc asks of an edge; give --method acdc"),
        (["--method", "acdc", "--tau", "0"], "--tau must be"),
        (["--method", "acdc", "--edges", "9"], "how many edges acdc keeps follows from --tau"),
        (["--method", "acdcd"], "--method must be one of"),
        (["--floor", "1.5"], "--floor must be from 0.1 to 0.99"),
    ],
)
def test_what_a_circuit_cannot_be_is_one_sentence(circuit, interp, words, said):
    code, _, err = interp("run", "circuit", "--model", "tiny-gpt2", "--ungated", *words)
    assert code == 2
    assert said in err
    assert err.count("\n") == 1
