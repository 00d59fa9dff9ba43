"""A model and what its training began with, on the same prompts.

Units   KL divergence in nats a token; direct effects in logits of answer minus wrong.
"""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float

from interp.effects import Effects
from interp.errors import UsageError
from interp.methods import attribute
from interp.methods.attribute import Attribution
from interp.tasks import Task
from interp.tasks.batches import whole
from interp.transformer import Transformer
from interp.weights import load


def model_before(model: Transformer, name: str) -> Transformer:
    """The model of this name, which training began with, as this one is loaded.

    Raises  UsageError if it is not named, or reads other tokens.
    """
    if not name:
        notes = "".join(f" ({note})" for note in model.origin.notes[:1])
        raise UsageError(f"say what {model.name} was before: --before NAME{notes}")
    found = load(name, model.dtype, model.device)
    if found.tokenizer.get_vocab() != model.tokenizer.get_vocab():
        raise UsageError(f"{name} and {model.name} have different tokenizers")
    return found


@torch.no_grad()
def divergence(
    before: Transformer, after: Transformer, task: Task
) -> Float[np.ndarray, " example"]:
    """For each clean prompt the KL divergence from the model before to the model after, mean over tokens."""
    found = []
    for prompt in task.kept:
        tokens = torch.tensor([prompt.clean_tokens], device=after.device)
        old, new = (each.run(tokens).logits.double().log_softmax(-1) for each in (before, after))
        found.append(float((old.exp() * (old - new)).sum(-1).mean()))
    return np.array(found)


def attributed(models: Mapping[str, Transformer], task: Task) -> dict[str, Attribution]:
    """The direct effects of every part of each model, with its own final norm and unembedding."""
    found = {}
    for side, model in models.items():
        prompts = whole(task, model.device)
        run = prompts.run(model, keep=attribute.wanted(model))
        found[side] = attribute.attribute(model, run, prompts)
    return found


def shared(sides: Mapping[str, Attribution], task: Task) -> dict[str, Effects]:
    """The direct effects of the parts that all models have."""
    found = {side: each.effects(task) for side, each in sides.items()}
    *others, last = (each.components for each in found.values())
    keys = [key for key in last if all(key in each for each in others)]
    return {
        side: each.only([each.components.index(key) for key in keys])
        for side, each in found.items()
    }
