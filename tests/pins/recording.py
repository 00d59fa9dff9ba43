"""The runs that are pinned, and what of a run is pinned: everything that it found, and nothing of the
machine that it ran on.

Runs go through the command line, and are read from the folders that it writes. They are in float64, so
that what one machine adds in another order than the next is far smaller than what is compared.
"""

from __future__ import annotations

import csv
import json
import lzma
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent.parent

_QUICK = (
    *("anatomy", "head_decomposition", "logit_lens", "attention_patterns", "layernorm"),
    *("logit_attribution", "task_check", "induction_heads", "head_circuits", "mlp_neurons"),
)
_ALL = ("all", "layer_ablation", "path_patching", "position_signal", "self_repair")
# name -> the words of its commands. Four heads of twelve can be chosen in 495 ways, ten in 66: of
# the first there are enough for a rank.
PINS: dict[str, list[tuple[str, ...]]] = {
    "quick": [
        (*_QUICK, "--model", "tiny-gpt2", "--ungated"),
        ("head_ablation", "--model", "tiny-gpt2", "--ungated", "--task", "induction", "--top", "4"),
    ],
    "tiny-gpt2": [(*_ALL, "--model", "tiny-gpt2", "--ungated")],
    "tiny-llama": [(*_ALL, "--model", "tiny-llama", "--ungated")],
    "tiny-neox": [(*_ALL, "--model", "tiny-neox", "--ungated")],
    "books-gpt2": [(*_ALL, "--model", "books-gpt2", "--task", "gendered_pronoun")],
}

# All commands of a pin in one process, as the shell would call them: half of a short run is importing.
_IN_TURN = """
import json, sys
from interp.__main__ import main
for words in json.loads(sys.argv[1]):
    sys.argv[1:] = words
    if code := main():
        sys.exit(code)
"""


def record(name: str) -> dict[str, Any]:
    """`task/study` -> what its run found, of every run of the pin, run anew."""
    with tempfile.TemporaryDirectory() as folder:
        commands = [["run", *words, "--dtype", "float64", "--out", folder] for words in PINS[name]]
        command = [sys.executable, "-c", _IN_TURN, json.dumps(commands)]
        known = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
        done = subprocess.run(command, cwd=ROOT, env=known, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"the runs of {name} ended with {done.returncode}:\n{done.stderr}")
        runs: dict[str, Any] = {}
        for path in sorted(Path(folder).glob("*/*/*/result.json")):
            run = _found(path)
            # The folder's own name tells settings apart, by a hash.
            study = f"{path.parts[-3]}/{run.pop('experiment')}"
            assert study not in runs, f"two runs of {study} in one pin"
            runs[study] = run
        return runs


def stored(name: str) -> dict[str, Any]:
    """What is pinned under this name; nothing if it is new."""
    path = _path(name)
    return json.loads(lzma.decompress(path.read_bytes())) if path.exists() else {}


def store(name: str, found: dict[str, Any]) -> None:
    """Pins what was found."""
    text = json.dumps(found, separators=(",", ":"), ensure_ascii=False)
    _path(name).write_bytes(lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME))


def _path(name: str) -> Path:
    return HERE / f"{name}.json.xz"


def _found(path: Path) -> dict[str, Any]:
    """What the run found: not what its checks measured, which is rounding, nor times and versions."""
    result = json.loads(path.read_text(encoding="utf-8"))
    return {
        **{key: result[key] for key in ("experiment", "status", "verdict", "answer", "settings")},
        "headline": [
            {key: each[key] for key in ("label", "value", "unit", "low", "high", "n")}
            for each in result["headline"]
        ],
        "checks": {each["name"]: each["passed"] for each in result["checks"]},
        "not_run": [each["name"] for each in result["not_run"]],
        "tables": {name: _columns(path.parent / place) for name, place in result["tables"].items()},
    }


def _columns(path: Path) -> dict[str, list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    columns = [list(cells) for cells in zip(*rows, strict=True)] or [[] for _ in header]
    return {
        name: [_short(cell) for cell in cells] for name, cells in zip(header, columns, strict=True)
    }


def _short(cell: str) -> str:
    """Seven digits of a number with decimals: more than are compared."""
    try:
        return f"{float(cell):.7g}" if "." in cell or "e" in cell else cell
    except ValueError:
        return cell
