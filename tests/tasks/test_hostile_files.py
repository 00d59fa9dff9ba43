"""Files that are nearly prompts: a task that can be run, or one sentence that says why not."""

import json
import sys
from pathlib import Path
from random import Random

import pytest

from interp import tasks
from interp.cli.commands.new import PROMPTS
from interp.errors import UsageError
from interp.report import frames

sys.path.insert(0, str(Path(__file__).parent.parent / "fuzzing"))
from bent import bent


def _seeds(tokenizer):
    """What a new task and a run write, as CSV and as JSON."""
    yield "new.csv", PROMPTS.read_bytes()
    for name in ("ioi", "induction"):
        frame = frames.tidy(tasks.build(name, tokenizer, n=6).frame(), "prompts")
        yield "run.csv", frames.to_csv(frame).encode()
        rows = json.loads(frame.to_json(orient="records"))
        yield "run.jsonl", "\n".join(map(json.dumps, rows)).encode()
        yield "run.json", json.dumps(rows).encode()


@pytest.mark.parametrize("seed", range(2))
def test_a_bent_file_is_a_task_or_one_sentence(file, tokenizer, seed):
    random = Random(seed)
    seeds = list(_seeds(tokenizer))
    built, refused = 0, list[str]()
    for _ in range(40):
        name, whole = random.choice(seeds)
        path = file(bent(whole, random), name)
        try:
            task = tasks.build(path, tokenizer, n=random.choice([None, 2]), n_ctx=160)
        except UsageError as error:
            refused.append(str(error))
            continue
        built += 1
        assert len(task.why_dropped) < 600
        for prompt in task.kept:
            n_tokens = len(prompt.clean_tokens)
            assert n_tokens == len(prompt.corrupted_tokens) <= 160
            assert all(0 <= at < n_tokens for at in prompt.positions.values())
            assert all(0 <= token < len(tokenizer) for token in prompt.clean_tokens)
    assert built
    assert refused
    assert all(message.isprintable() and len(message) < 600 for message in refused)
