"""Shapes in signatures are checked in every test: the hook has to be there before interp is."""

import os
import sys
from pathlib import Path
from types import ModuleType

# Read when huggingface_hub is imported: a test never waits for a network.
os.environ["HF_HUB_OFFLINE"] = "1"

import jaxtyping
import pytest
from beartype import BeartypeConf, beartype
from jaxtyping import install_import_hook

PACKAGE = Path(__file__).parent.parent / "interp"
# Typer hands its commands a context of another class than its own annotation says.
UNCHECKED = {"interp", "interp.lab", "interp.__main__", "interp.cli.main", "interp.cli.commands"}


def _modules():
    rooms = [path for path in PACKAGE.iterdir() if path.is_dir() and path.name != "cli"]
    places = [*rooms, *PACKAGE.glob("*.py"), *(PACKAGE / "cli").iterdir()]
    names = {
        ".".join(("interp", *place.relative_to(PACKAGE).with_suffix("").parts)) for place in places
    }
    return sorted(names - UNCHECKED)


# An int is a float here, as for every other type checker.
_CHECKED = beartype(conf=BeartypeConf(is_pep484_tower=True))
# Of each test so many calls are checked. What it does after that repeats, in slow oracles above all,
# what it did before, and shapes would be half of its time.
_CALLS_CHECKED = 3000
_UNCHECKED_ANYWAY = jaxtyping.config.jaxtyping_disable
_calls = 0


def _checked_once(stub):
    """jaxtyping checks the parameters before a call, and once more with the result after it; the
    second check finds all that the first does."""
    if not stub.__code__.co_kwonlyargcount:
        return stub
    check = _CHECKED(stub)

    def counted(*arguments, **named):
        global _calls
        _calls += 1
        if _calls > _CALLS_CHECKED:
            jaxtyping.config.update("jaxtyping_disable", True)
        return check(*arguments, **named)

    return counted


@pytest.fixture(autouse=True)
def _checks_begin_anew():
    global _calls
    _calls = 0
    jaxtyping.config.update("jaxtyping_disable", _UNCHECKED_ANYWAY)


_checks = ModuleType("interp_signature_checks")
_checks.once = _checked_once
sys.modules[_checks.__name__] = _checks

assert "interp" not in sys.modules, "interp was imported before its signatures could be checked"
install_import_hook(_modules(), "interp_signature_checks.once")


@pytest.fixture(autouse=True, scope="session")
def _one_thread_a_worker():
    """Workers share the cores; two of them with two threads each are slower than with one."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        import torch

        torch.set_num_threads(1)


@pytest.fixture
def reports(tmp_path):
    """The path of a reports folder that does not exist yet."""
    return tmp_path / "reports"


# A folder to work in with a study for each way in which a study can end, and the command line.
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
    from interp.cli.main import main
    from interp.study import meter

    monkeypatch.setattr(sys.modules[meter.__module__], "_EVERY_SECONDS", 1e6)

    def call(*words):
        code = main([str(word) for word in words])
        return code, *capsys.readouterr()

    return call
