"""What a run's page says of its prompts (a few as tokens, what was dropped and why), and of how it failed."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

from interp.errors import InterpError
from interp.report import Text, TokenStrip
from interp.report.result import Failure
from interp.runs.order import Order
from interp.visible import one_line, placeless

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


# Of a failure's message and of its traceback as the page shows them.
_LONGEST_MESSAGE, _LONGEST_TRACEBACK = 2000, 12_000


def failure(order: Order, step: str, error: BaseException) -> Failure:
    """The failure of this run at this step; an error that nobody foresaw has its traceback."""
    message = _message(error)
    if not isinstance(error, InterpError):
        message = f"{message}\n\n{_traceback(error)}"
    kind = type(error).__name__
    return Failure(kind, placeless(message), step=placeless(step), resume=order.command)


def _message(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:
        text = one_line(error)
    return text if len(text) <= _LONGEST_MESSAGE else f"{text[:_LONGEST_MESSAGE]}…"


def _traceback(error: BaseException) -> str:
    """How it came to the error; of a long one both ends."""
    lines = "".join(traceback.TracebackException.from_exception(error, limit=-30).format())
    if len(lines) > _LONGEST_TRACEBACK:
        half = _LONGEST_TRACEBACK // 2
        lines = f"{lines[:half]}\n…\n{lines[-half:]}"
    return lines
