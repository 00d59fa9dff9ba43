"""A sweep that was cut off goes on with the same numbers, and trusts no file that is not its own."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import interp
from interp import edits, sites
from interp.engine import options
from interp.metrics import AnswerLogProb, KLToBase, LogitDifference

ROOT = Path(__file__).parent.parent.parent
METRIC = LogitDifference(torch.tensor([1, 2, 3, 4]), torch.tensor([5, 6, 7, 5]))
# Tells of every chunk; after `stop` of them it waits to be killed.
SWEEP = """
import sys
from pathlib import Path

import torch
import interp
from interp import edits, sites
from interp.engine import options
from interp.metrics import LogitDifference
from interp.transformer import Config, Transformer

torch.set_num_threads(1)
folder, out, stop = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
config = Config(n_layers=3, n_heads=6, d_model=24, d_head=4, d_mlp=40, d_vocab=50, n_ctx=12)
model = Transformer(config)
generator = torch.Generator().manual_seed(0)
for weight in model.parameters():
    weight.data = 0.3 * torch.randn(weight.shape, generator=generator)
tokens = torch.randint(0, 50, (4, 12), generator=generator)
cache = model.run(tokens.flip(1), keep="all").cache
interventions = [edits.patch(sites.z(at), cache, heads=h) for at in range(3) for h in range(6)]
interventions += [edits.zero(sites.resid_pre(at), positions=p) for at in range(3) for p in range(12)]
metric = LogitDifference(torch.arange(4), torch.arange(4, 8))
told = 0

def progress(done, total, word):
    global told
    told += 1
    print(done, total, flush=True)
    if told == stop:
        sys.stdin.readline()

with options(checkpoints=folder if str(folder) != "none" else None, progress=progress, memory=400_000):
    effects = interp.sweep(model, tokens, interventions, metric)
out.write_bytes(effects.numpy().tobytes())
"""


def started(folder, out, stop=0):
    words = [sys.executable, "-c", SWEEP, str(folder), str(out), str(stop)]
    return subprocess.Popen(
        words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def finished(folder, out):
    process = started(folder, out)
    process.communicate()
    assert process.returncode == 0
    return out.read_bytes()


def chunk_files(folder):
    return sorted(folder.rglob("*.safetensors"))


def test_a_killed_sweep_goes_on_and_gives_the_same_bytes(tmp_path):
    folder = tmp_path / "checkpoints"
    process = started(folder, tmp_path / "never", stop=4)
    for _ in range(4):
        line = process.stdout.readline()
    done, total = map(int, line.split())
    assert 0 < done < total
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not (tmp_path / "never").exists()
    before = {path: path.stat().st_mtime_ns for path in chunk_files(folder)}
    assert len(before) == 4
    resumed = finished(folder, tmp_path / "resumed")
    after = chunk_files(folder)
    assert len(after) > 4
    assert all(path.stat().st_mtime_ns == when for path, when in before.items())
    assert resumed == finished("none", tmp_path / "plain")
    # And once more, from a whole set of files.
    assert finished(folder, tmp_path / "again") == resumed
    assert chunk_files(folder) == after


@pytest.fixture
def swept(lab, tmp_path):
    """A sweep with checkpoints: the function that runs it, and its folder."""
    model = lab.model(lab.families["llama"], torch.float32)
    tokens, other, _ = lab.prompts("whole")
    cache = model.run(other, keep="all").cache
    interventions = [edits.patch(sites.z(at), cache, heads=h) for at in range(3) for h in range(6)]

    def run(model=model, tokens=tokens, interventions=interventions, metric=METRIC, **settings):
        with options(checkpoints=tmp_path, **{"memory": 220_000, **settings}):
            return interp.sweep(model, tokens, interventions, metric)

    return run, tmp_path, model, tokens, interventions


def broken(path, how):
    whole = path.read_bytes()
    match how:
        case "cut off":
            path.write_bytes(whole[: len(whole) // 2])
        case "empty":
            path.write_bytes(b"")
        case "garbage":
            path.write_bytes(b"\x80\x04not a tensor" * 20)
        case "of another shape":
            from safetensors.torch import save_file

            save_file({"effects": torch.zeros(1, 4)}, path)
        case "of another name":
            from safetensors.torch import save_file

            save_file({"other": torch.zeros(1, 4)}, path)
        case "of another type":
            from safetensors.torch import load_file, save_file

            save_file({"effects": load_file(path)["effects"].to(torch.float16)}, path)
    return whole


@pytest.mark.parametrize(
    "how",
    ["cut off", "empty", "garbage", "of another shape", "of another name", "of another type"],
)
def test_a_broken_file_is_computed_again(swept, how):
    run, folder, *_ = swept
    expected = run()
    files = chunk_files(folder)
    assert len(files) > 2
    whole = broken(files[1], how)
    assert files[1].read_bytes() != whole
    assert torch.equal(run(), expected)
    assert files[1].read_bytes() == whole


def test_a_file_that_is_there_is_used(swept):
    """Otherwise nothing would ever have been resumed."""
    from safetensors.torch import load_file, save_file

    run, folder, *_ = swept
    run()
    path = chunk_files(folder)[0]
    marked = torch.full_like(load_file(path)["effects"], 123.0)
    save_file({"effects": marked}, path)
    assert bool((run() == 123.0).any())


def test_another_sweep_takes_nothing_from_this_one(swept, lab):
    run, folder, model, tokens, interventions = swept
    run()
    n_folders = 1
    changed = lab.model(lab.families["llama"], torch.float32, seed=1)
    own = model.run(tokens, keep="all").cache
    others = [edits.patch(sites.z(at), own, heads=h) for at in range(3) for h in range(5)]
    later = [*interventions[:-1], edits.zero(sites.z(2), heads=5)]
    for settings in (
        {"model": changed},
        {"model": changed, "metric": KLToBase()},
        {"metric": KLToBase()},
        {"metric": AnswerLogProb(torch.tensor([1, 2, 3, 4]))},
        {"metric": AnswerLogProb(torch.tensor([1, 2, 3, 5]))},
        {"metric": LogitDifference(METRIC.answer, METRIC.wrong, at=6)},
        {"tokens": tokens.flip(0)},
        {"interventions": later},
        {"interventions": interventions[::-1]},
        {"memory": 230_000},
    ):
        found = run(**settings)
        n_folders += 1
        assert len(list(folder.iterdir())) == n_folders, settings
        arguments = {"model": model, "tokens": tokens, "interventions": interventions}
        arguments = {**arguments, "metric": METRIC, **settings}
        arguments["memory"] = arguments.get("memory", 220_000)
        assert torch.equal(found, interp.sweep(**arguments))
    assert not run(interventions=others).any()


def test_python_functions_run_beside_what_is_saved(swept):
    run, folder, _, _, interventions = swept
    calls = []

    def double(z):
        calls.append(z.shape)
        return z * 2

    mixed = [*interventions, edits.call(sites.z(1), double)]
    first = run(interventions=mixed)
    files = chunk_files(folder)
    assert torch.equal(run(interventions=mixed), first)
    assert chunk_files(folder) == files
    assert len(calls) == 2
    assert first[-1].any()


def test_without_a_folder_nothing_is_written(lab, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tokens, _, _ = lab.prompts("whole")
    interp.sweep(lab.model({}), tokens, [edits.zero(sites.z(1))], METRIC)
    assert list(tmp_path.iterdir()) == []
