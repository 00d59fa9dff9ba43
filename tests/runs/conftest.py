"""A folder to work in with a study for each way in which a study can end, and the command line."""

import os
import sys

import pytest

from interp.cli.main import main
from interp.study import meter

STUDY = '''"""Does it work?

Method  None.
"""

import pandas as pd
import torch

from interp import sites
from interp.errors import NotApplicable, UsageError
from interp.study import study, progress
from interp.report import Check, Report, Section, Table, Text


@study(expects="It works.", {declared})
def study(model, task, *, prompt: str = "Mary and John", count: int = 2):
    {body}
    run = model.run(prompt, keep=[sites.z(0)])
    frame = pd.DataFrame({{"head": range(count)}})
    norm = float(run.cache[sites.z(0)].norm())
    return Report(
        answer=f"norm {{norm:.3f}}",
        verdict="supported",
        sections=[Section("Heads", [Table("heads", frame), Text(str(torch.rand(1)))])],
        checks=[Check("norm", norm, 1e9)],
    )
'''
BODIES = {
    "works": "pass",
    "fails": "for layer in progress(range(3), 'layers'): assert layer < 2, 'two <b> many'",
    "exits": "raise SystemExit(0)",
    "silent": "return None",
    "interrupted": "raise KeyboardInterrupt",
    "elsewhere": "raise NotApplicable('there is nothing to see here')",
    "refuses": "raise UsageError('count must be something else')",
}


@pytest.fixture
def write_study():
    """Writes a study whose function begins with this line, declared like this."""

    def write(name, body="pass", declared="task=None"):
        with open(f"experiments/{name}.py", "w") as file:
            file.write(STUDY.format(body=body, declared=declared))

    return write


@pytest.fixture
def place(tmp_path, monkeypatch, write_study):
    """An empty folder to work in, with studies but without reports."""
    monkeypatch.chdir(tmp_path)
    os.mkdir("experiments")
    for name, body in BODIES.items():
        write_study(name, body, f"task=None, default={name == 'works'}")
    return tmp_path


@pytest.fixture
def interp(place, capsys, monkeypatch):
    """Calls the command line; gives its exit code, output and complaints, however slow the machine
    is: no progress is shown."""
    monkeypatch.setattr(sys.modules[meter.__module__], "_EVERY_SECONDS", 1e6)

    def call(*words):
        code = main([str(word) for word in words])
        return code, *capsys.readouterr()

    return call
