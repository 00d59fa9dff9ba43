"""The prompts of a run as its report shows them: a few as tokens, what was dropped and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interp.report import Text, TokenStrip

if TYPE_CHECKING:
    from interp.tasks import Prompt, Task
    from interp.transformer import Transformer

SHOWN = 3
# Longer names would push their token's neighbours away.
LONGEST = 300


def shown(model: Transformer, task: Task) -> list[Text | TokenStrip]:
    """What the prompts are, and one pair of each of the first few kinds of sentence."""
    kinds: dict[str, Prompt] = {}
    for prompt in task.kept:
        kinds.setdefault(prompt.order or prompt.template, prompt)
    strips = [
        strip
        for kind, prompt in list(kinds.items())[:SHOWN]
        for strip in _pair(model, prompt, kind if len(kinds) > 1 else "")
    ]
    return [Text(_sentence(task)), *strips]


def _sentence(task: Task) -> str:
    templates = len({prompt.template for prompt in task.kept})
    words = f"**{task.n} prompts** of {templates} template{'s' if templates != 1 else ''}."
    if task.dropped:
        words += f" {task.dropped} more were dropped before anything ran: {task.why_dropped}."
    return words + " All of them, kept or not, are in `tables/prompts.csv`."


def _pair(model: Transformer, prompt: Prompt, kind: str) -> list[TokenStrip]:
    import torch

    names: dict[int, list[str]] = {}
    for name, at in prompt.positions.items():
        names.setdefault(at, []).append(name)
    strips = []
    for which, ids in (("clean", prompt.clean_tokens), ("corrupted", prompt.corrupted_tokens)):
        words = model.to_str_tokens(torch.tensor(ids))[:LONGEST]
        title = f"{kind}, {which}" if kind else which.capitalize()
        if which == "clean":
            title += f": the answer is {prompt.answer!r}, not {prompt.wrong!r}"
        marks = [" ".join(names.get(at, [])) for at in range(len(words))]
        strips.append(TokenStrip(words, title=title, marks=marks))
    return strips
