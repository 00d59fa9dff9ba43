"""Prompts with a known right and a known wrong answer: one task a file, and the user's own.

A task file's docstring begins with its question; its `recipe(reader)` says how prompts are made.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from interp import lazy
from interp.errors import UsageError, brief, named, nearest
from interp.rows import KINDS
from interp.tasks.base import Prompt, Task
from interp.tasks.reader import Reader
from interp.tokenizers import Choice

if TYPE_CHECKING:
    from jaxtyping import Int
    from torch import Tensor

    from interp.tasks.batches import PromptBatch
    from interp.tasks.validity import Gate, gate
    from interp.transformer import Transformer

__all__ = [
    "Gate",
    "Prompt",
    "PromptBatch",
    "Task",
    "build",
    "gate",
    "names",
    "prompt_tokens",
]

_TASKS = (
    *("ioi", "induction", "greater_than", "gendered_pronoun", "subject_verb", "capital_country"),
    *("docstring", "colored_objects"),
)
DEFAULT_N = 16
# Tensors need torch, and so does the gate, which runs a model; to list the tasks does not.
__getattr__, __dir__ = lazy.names(
    __name__,
    {
        "Gate": "interp.tasks.validity",
        "gate": "interp.tasks.validity",
        "PromptBatch": "interp.tasks.batches",
    },
)


def names() -> dict[str, str]:
    """Every built-in task with its question."""
    return {name: _question(name) for name in _TASKS}


def build(
    name_or_path: str | Path,
    tokenizer: Any,
    n: int | None = None,
    seed: int = 0,
    bos: Choice = "auto",
    n_ctx: int | None = None,
    confirm: int | None = None,
) -> Task:
    """The task for this tokenizer: n prompts, the same for the same seed. A file's prompts of more than
    `n_ctx` tokens are dropped. Of a built-in task `confirm` prompts are in its `confirmation`, 72
    unless said otherwise.

    `name_or_path` is a built-in task, one with another of its corruptions (`ioi-flip`), or the path of a
    .csv, .jsonl or .json file of prompts. Without n a built-in task makes `DEFAULT_N` and a file gives
    all that it has. `bos` says whether one stands before every prompt: as in training, `yes` or `no`.

    Raises  UsageError for an unknown name, for more prompts than there can be, for a tokenizer
            whose vocabulary does not do, and for a file of another form than `from_file` says.

    >>> build("ioi", model.tokenizer, n=4).n
    4
    """
    from interp.tasks import splits

    name_or_path = str(name_or_path)
    if hasattr(tokenizer, "tokenizer"):
        raise UsageError("a task is built for a tokenizer, got a model: give model.tokenizer")
    reader = Reader(tokenizer, bos)
    if name_or_path in _TASKS:
        recipe = import_module(f"interp.tasks.{name_or_path}").recipe(reader)
        source = splits.BuiltIn(recipe, _question(name_or_path), reader.bos, seed, confirm)
        return source.screen(DEFAULT_N if n is None else n)
    name, _, corruption = name_or_path.partition("-")
    path = Path(name_or_path)
    if name in _TASKS and not path.suffix:
        return build(name, tokenizer, n, seed, bos, confirm=confirm).corrupted_by(corruption)
    if path.suffix.lower() not in KINDS:
        raise UsageError(
            f"no task is called {brief(name_or_path)}, and it is no .csv, .jsonl or .json file; "
            f"{nearest(name_or_path, _TASKS)}"
        )
    if confirm is not None:
        raise UsageError(
            f"{named(path.name)} is confirmed on its own held-out half; how many prompts confirm can be "
            "asked of built-in tasks alone"
        )
    from interp.tasks import from_file

    name = named(path.name)
    made = splits.of_file(from_file.prompts(path, reader, n, Random(seed), n_ctx))
    question = f"Does the model prefer the right answers of {name}?"
    return Task(name, question, made, reader.bos)


def prompt_tokens(model: Transformer, prompt: str) -> Int[Tensor, "batch pos"]:
    """One prompt as the model reads it in a task: its tokens after the task's BOS."""
    import torch

    if not isinstance(prompt, str):
        raise UsageError(f"expected the text of one prompt, got {prompt!r:.60}")

    reader = Reader(model.tokenizer, model.bos_choice)
    if not reader.ids(prompt):
        raise UsageError("expected at least one token in the prompt, got an empty one")
    return torch.tensor([reader.run(prompt)], device=model.device)


def _question(name: str) -> str:
    text = import_module(f"interp.tasks.{name}").__doc__ or ""
    return text.strip().partition("\n")[0]
