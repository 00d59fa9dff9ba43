"""The study of circuits finds one on a trained model, and says why it finds none on a random one."""

import json

import pytest

TABLES = {
    "faithfulness": "fraction edges faithfulness ci_low ci_high complement random_low random_high kl "
    "agreement n",
    "shares": "what variant faithfulness ci_low ci_high kl agreement n",
    "areas": "ranking axis cpr cmd from sizes",
    "controls": "control faithfulness ci_low ci_high kl agreement n ahead ahead_low same_inputs shared",
    "audit": "writer reader input kind score exact",
    "edges": "writer reader input score kept",
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
    assert (folder / "report.html").is_file()
