"""Tiny models of each kind, in float64, with prompts of one length; models whose circuit was built by hand
are importable by the tests beside it."""

import sys
from pathlib import Path

import pytest
import torch

import interp
from interp import tasks
from interp.circuits.graph import Graph
from interp.tasks.batches import by_length

sys.path.insert(0, str(Path(__file__).parent))

KINDS = ["tiny-gpt2", "tiny-neox", "tiny-llama", "tiny-qwen3", "tiny-attn-only"]


@pytest.fixture(scope="session", params=KINDS)
def model(request):
    return interp.load(request.param, dtype=torch.float64)


@pytest.fixture(scope="session")
def graph(model):
    return Graph.of(model)


@pytest.fixture(scope="session")
def task(model):
    return tasks.build("ioi", model.tokenizer, n=8)


@pytest.fixture(scope="session")
def batch(task):
    return by_length(task)[0]
