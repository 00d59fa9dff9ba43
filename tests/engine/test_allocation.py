"""Large temporaries are used again inside the context, unless a budget is tight, and given back after it."""

import resource
import subprocess
import sys

import psutil
import pytest
import torch

from interp.engine.speed import _library, reused_memory

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux") or _library() is None, reason="the C library is not glibc"
)
N_BYTES, PAGE = 24 << 20, 4096


def faults_of(times):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        several = [torch.ones(N_BYTES // 4) for _ in range(3)]
        del several
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def test_what_was_dropped_serves_the_next_tensor():
    with reused_memory():
        faults_of(1)
        # Every page of every tensor would fault anew; what else lies in the heap costs some.
        assert faults_of(10) < 10 * 3 * N_BYTES / PAGE / 2


def test_afterwards_the_memory_is_the_systems_again():
    process = psutil.Process()
    before = process.memory_info().rss
    with reused_memory():
        faults_of(3)
        assert process.memory_info().rss - before > 2 * N_BYTES
    assert process.memory_info().rss - before < N_BYTES


def broken():
    with reused_memory():
        faults_of(1)
        raise ValueError("inside")


def test_an_error_inside_ends_it_too():
    process = psutil.Process()
    before = process.memory_info().rss
    with pytest.raises(ValueError, match="inside"):
        broken()
    assert process.memory_info().rss - before < N_BYTES


ALONE = """
import psutil, torch
from interp.engine.speed import reused_memory

process = psutil.Process()
torch.ones(1)
before = process.memory_info().rss
with reused_memory(%d):
    for _ in range(3):
        several = [torch.ones(%d) for _ in range(3)]
        del several
    print(process.memory_info().rss - before)
"""


def test_under_a_budget_what_is_large_beside_it_is_mapped_and_goes_at_once():
    # Alone, since a heap that earlier tests have grown serves large tensors from its holes.
    code = ALONE % (2 * N_BYTES, N_BYTES // 4)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < N_BYTES
