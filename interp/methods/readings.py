"""What components write, read along other directions than that of the answer: controls of direct effects.

Method  The same writes are read along directions of equal norm: those of two tokens drawn at random for
        every prompt, and those of the answers of unrelated prompts (of another template if there is one).
Units   Logits, as far as the answer's own direction would give for the same dot product.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from interp.components import Component
from interp.effects import Effects, Selection, Test
from interp.methods.attribute import reading
from interp.methods.controls import Fresh
from interp.methods.decompose import at
from interp.methods.moves import seeded
from interp.sites import Site
from interp.tasks import Task
from interp.tasks.base import task_of
from interp.tasks.batches import PromptBatch, whole
from interp.transformer import Run, Transformer

RANDOM = "random pairs of tokens, of equal norm"
UNRELATED = "answers of unrelated prompts, of equal norm"


@torch.no_grad()
def others(
    model: Transformer, task: Task, run: Run, prompts: PromptBatch, seed: int = 0
) -> dict[str, tuple[PromptBatch, Float[Tensor, " batch"]]]:
    """The prompts with other pairs of tokens, and for each prompt what makes up for the direction's norm,
    from a run that kept the final norm's scale."""
    size = model.config.d_vocab_out
    random, unrelated = [], []
    templates = np.array([prompt.template for prompt in task.kept])
    for row, prompt in enumerate(task.kept):
        drawn = np.random.default_rng(seeded(seed, "pair", list(prompt.clean_tokens)))
        random.append(drawn.choice(size, 2, replace=False))
        far = np.flatnonzero(templates != templates[row])
        far = far if len(far) else np.setdiff1d(np.arange(task.n), [row])
        unrelated.append(int(drawn.choice(far)) if len(far) else row)
    pairs = torch.tensor(np.array(random), device=prompts.answer.device)
    answers, distractors = prompts.answer, prompts.distractor
    pairs_of = {
        RANDOM: replace(prompts, answer=pairs[:, 0], distractor=pairs[:, 1]),
        UNRELATED: replace(prompts, answer=answers[unrelated], distractor=distractors[unrelated]),
    }
    own = _norm(model, run, prompts)
    return {name: (each, own / _norm(model, run, each)) for name, each in pairs_of.items()}


@torch.no_grad()
def on_fresh_prompts(
    model: Transformer,
    fresh: Task,
    components: Sequence[Component],
    keep: Iterable[Site],
    read: Callable[[Run, PromptBatch], Float[Tensor, "component batch"]],
    seed: int = 0,
) -> Fresh:
    """What `read` says of these components on fresh prompts, and along other directions of equal norm.

    >>> from interp.methods import attribute
    >>> def read(run, prompts):
    ...     return attribute.attribute(model, run, prompts).of("head")
    >>> keep, heads = attribute.wanted(model), components.heads(model)
    >>> on_fresh_prompts(model, task.confirmation, heads, keep, read).effects.values.shape
    (12, 72)
    """
    prompts = whole(fresh, model.device)
    run = prompts.run(model, keep=keep)

    def effects(given: PromptBatch, scale: Tensor | float = 1.0) -> Effects:
        values = (read(run, given).double() * scale).cpu().numpy()
        return Effects(values, components, fresh)

    elsewhere = others(model, fresh, run, prompts, seed)
    controls = {name: effects(*each) for name, each in elsewhere.items()}
    return Fresh(effects(prompts), controls)


def confirm(
    model: Transformer,
    selection: Selection,
    keep: Iterable[Site],
    read: Callable[[Run, PromptBatch], Float[Tensor, "component batch"]],
    seed: int = 0,
) -> Test:
    """The chosen components of a screen, put to the test on its task's fresh prompts; `read` says of a run
    what it says of all components of the screen."""

    def chosen(run: Run, prompts: PromptBatch) -> Tensor:
        return read(run, prompts)[selection.rows]

    fresh = task_of(selection.screen.task.confirmation)
    done = on_fresh_prompts(model, fresh, selection.components, keep, chosen, seed)
    return selection.test(done.effects, done.controls, seed=seed)


def _norm(model: Transformer, run: Run, prompts: PromptBatch) -> Float[Tensor, " batch"]:
    end = at(run, prompts.end[:, None])
    read = reading(model, end, prompts.answer[:, None], prompts.distractor[:, None])
    return read.direction[:, 0].double().norm(dim=-1)
