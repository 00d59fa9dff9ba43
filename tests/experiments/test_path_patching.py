"""Path patching as a study: a valid report whose paths agree with whole runs of the model."""

from pathlib import Path

import pytest

import interp
from interp import tasks
from interp.study import registry

ROOT = Path(__file__).parent.parent.parent
COLUMNS = [
    *("receiver", "input", "sender_kind", "layer", "head", "effect", "ci_low", "ci_high"),
    *("p_corrected", "mlps"),
]


@pytest.mark.parametrize("name", ["tiny-gpt2", "tiny-llama"])
def test_paths_agree_with_whole_runs_in_a_valid_report(name):
    model = interp.load(name)
    task = tasks.build("ioi", model.tokenizer, n=8, seed=0)
    study = registry.read(ROOT / "experiments" / "path_patching.py").load()
    report = study(model, task, receivers=2, top=4)
    assert all(check.passed for check in report.checks)
    found = {table.name: table.frame for table in report.tables}
    paths = {**found, **report.files}["paths"]
    assert set(COLUMNS) <= set(paths.columns)
    assert set(paths.mlps) == {"recomputed", "frozen"}
    assert {"logits"} < set(paths.receiver)
