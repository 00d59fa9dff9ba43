"""The examples in docstrings are true: each runs with a tiny model and a task at hand."""

import doctest
import inspect
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch

import interp
from interp import components, edits, methods, metrics, sites, tasks

PACKAGE = Path(interp.__file__).parent
WITH_EXAMPLES = [
    ".".join(("interp", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")
    for path in sorted(PACKAGE.rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
]


@pytest.fixture(scope="module")
def at_hand():
    model = interp.load("tiny-gpt2")
    task = tasks.build("ioi", model.tokenizer, n=8)
    names = {"interp": interp, "model": model, "task": task, "np": np, "torch": torch}
    rooms = (components, edits, methods, metrics, sites, tasks)
    return names | {room.__name__.rpartition(".")[2]: room for room in rooms}


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples_show_what_they_say(name, at_hand):
    module = import_module(name)
    examples = [
        each
        for each in doctest.DocTestFinder().find(module, globs={**at_hand, **vars(module)})
        if each.examples
    ]
    assert examples, "none is found: is it in the docstring of something that the module defines?"
    for each in examples:
        each.globs |= at_hand
        found = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(each)
        assert not found.failed, f"{each.name}: see the output"


def test_what_users_call_first_has_an_example():
    for name in ("ablate.ablate", "patch.patch", "attribute.attribute", "paths.paths", "lens.lens"):
        module, _, function = name.partition(".")
        found = getattr(import_module(f"interp.methods.{module}"), function)
        assert ">>> " in (inspect.getdoc(found) or ""), name
