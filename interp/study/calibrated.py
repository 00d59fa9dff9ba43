"""Which studies infer, from what, and what is planted for each; the others have no verdict to calibrate.

A study that chooses components is measured here for *all* of them, on the screen and on the fresh
prompts, with the directional controls of each: all that its choice and its verdict are made from.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from interp import components
from interp.circuits import calibration as again
from interp.components import Component
from interp.effects import Effects
from interp.effects.effects import layers
from interp.methods import attribute, controls, neurons, readings
from interp.methods.ablate import ablate
from interp.methods.controls import Fresh
from interp.methods.patch import patch
from interp.sites import Site
from interp.stats.calibration import NULLS, PLANTED, Stored
from interp.tasks import Task
from interp.tasks.batches import PromptBatch, whole
from interp.transformer import Run, Transformer

Measure = Callable[[Transformer, Task, int], Stored]


@dataclass(frozen=True)
class Infers:
    """A study that chooses components and judges them: how all of them are measured, how many it
    chooses by default, and what is planted."""

    measure: Measure
    top: int
    planted: str


def _stored(
    screen: Effects,
    fresh: Fresh,
    top: int,
    chooser: np.ndarray | None = None,
    upwards: bool = False,
) -> Stored:
    task, confirming = screen.task, fresh.effects.task
    return Stored(
        screen.values,
        task.where(half="discovery"),
        task.clusters,
        fresh.effects.values,
        {name: each.values for name, each in fresh.controls.items()},
        confirming.clusters,
        confirming.items,
        layers(screen.names) if screen.strata is None else screen.strata,
        top,
        chooser,
        upwards,
    )


def _heads_ablated(model: Transformer, task: Task, top: int) -> Stored:
    heads = components.heads(model)
    screen = ablate(model, task, heads, ("resample",)).effects["resample"]
    return _stored(screen, controls.on_fresh_prompts(model, task.confirmation, heads), top)


def _heads_restored(model: Transformer, task: Task, top: int) -> Stored:
    heads = components.heads(model)
    screen = patch(model, task, heads).effects
    fresh = controls.on_fresh_prompts(model, task.confirmation, heads, "denoise")
    return _stored(screen, fresh, top)


def _any_layer(
    parts: Callable[[Transformer], Sequence[Component]], model: Transformer, task: Task, top: int
) -> Stored:
    every = parts(model)
    screen = ablate(model, task, every, ("resample",)).effects["resample"].of_any_layer()
    return _stored(screen, controls.on_fresh_prompts(model, task.confirmation, every), top)


def _offsets(model: Transformer, task: Task, top: int) -> Stored:
    heads, fresh = components.heads(model), task.confirmation
    done = ablate(model, task, heads, ("resample",))
    direct = done.direct["resample"]
    total = controls.on_fresh_prompts(model, fresh, heads)
    offset = total - controls.directly_on_fresh_prompts(model, fresh, heads)
    # Heads that write towards the answer are chosen: those whose ablation costs most directly.
    chooser = np.minimum(direct.values, 0.0)
    return _stored(done.effects["resample"] - direct, offset, top, chooser, upwards=True)


def _heads_attributed(model: Transformer, task: Task, top: int) -> Stored:
    def read(run: Run, prompts: PromptBatch) -> Tensor:
        return attribute.attribute(model, run, prompts).of("head")

    return _read(model, task, top, attribute.wanted(model), read, components.heads(model))


def _neurons_attributed(model: Transformer, task: Task, top: int) -> Stored:
    def read(run: Run, prompts: PromptBatch) -> Tensor:
        return neurons.effects(model, run, prompts).effect.flatten(0, 1)

    return _read(model, task, top, neurons.kept(model), read, components.neurons(model))


def _read(
    model: Transformer,
    task: Task,
    top: int,
    keep: Sequence[Site],
    read: Callable[[Run, PromptBatch], Tensor],
    every: Sequence[Component],
) -> Stored:
    prompts = whole(task, model.device)
    values = read(prompts.run(model, keep=keep), prompts).double().cpu().numpy()
    fresh = readings.on_fresh_prompts(model, task.confirmation, every, keep, read)
    return _stored(Effects(values, every, task), fresh, top)


_WRITES = "effects in random heads"
SELECTIONS: dict[str, Infers] = {
    "head_ablation": Infers(_heads_ablated, 10, _WRITES),
    "activation_patching": Infers(_heads_restored, 10, _WRITES),
    "self_repair": Infers(_offsets, 10, "positive offsets in random heads, which are then chosen"),
    "mlp_ablation": Infers(partial(_any_layer, components.mlps), 5, "effects in random MLPs"),
    "layer_ablation": Infers(
        partial(_any_layer, components.attention_layers), 5, "effects in random attention layers"
    ),
    "logit_attribution": Infers(_heads_attributed, 10, _WRITES),
    "mlp_neurons": Infers(_neurons_attributed, 10, "effects in random neurons"),
}
# They have a rule of their own, and are made again from what they stored (`interp.circuits.calibration`).
AGAIN = {"circuit": "a circuit that does all of what the model does, and one that does half"}
# They judge by the same rule (`interp.effects.test`), from effects of the kinds above.
SAME_RULE = {
    "attention_patterns": "attention of the heads that logit_attribution chooses, upwards like self_repair",
    "path_patching": "paths instead of heads, as head_ablation",
    "position_signal": "z at END under two corruptions, as head_ablation",
    "finetune_diff": "differences of head_ablation and mlp_ablation between two models",
}
# Their question is of another kind; each states its null, population and power on its page.
OWN_RULE = {
    "logit_lens": "layers named beforehand: one interval against zero",
    "induction_heads": "heads picked on other sequences, against a stated threshold",
    "head_circuits": "weights alone, against tokens paired at random and streams turned at random",
    "training_dynamics": "one training beside one whose text needs no matching",
    "languages": "differences of trainings, block by block",
    "pair_scoring": "heads of a classifier, on pairs held out from the choice",
    "task_check": "the gate: accuracy and gap against stated thresholds",
}
# What they check is an identity, which holds or does not.
IDENTITIES = ("anatomy", "head_decomposition", "layernorm", "parity")
# The study that measures the others.
ITSELF = ("calibration",)


def makers(study: str) -> Mapping[str, Callable[[Any, np.random.Generator], str]]:
    """By the name of each null and of what is planted what makes a verdict of the study from its store."""
    if study in AGAIN:
        return again.NULLS | again.PLANTED
    return NULLS | PLANTED


def measured(model: Transformer, task: Task, study: str) -> Any:
    """The store of a study that is made again.

    Raises  NotApplicable and UsageError as the study does.
    """
    if study in AGAIN:
        return again.stored(model, task)
    infers = SELECTIONS[study]
    return infers.measure(model, task, infers.top)


def nulls() -> set[str]:
    """Under which names neither verdict is true."""
    return {*NULLS, *again.NULLS}


def right() -> dict[str, str]:
    """What has to be said of what is planted, by its name."""
    return {"planted 2 sd": "supported", **again.RIGHT}


def listed() -> pd.DataFrame:
    """study, verdict and planted: how each study comes to its verdict, and what is planted for it or beside
    which it stands."""
    of = {name: ("chooses, ranks and confirms", each.planted) for name, each in SELECTIONS.items()}
    of |= {name: ("a rule of its own, made again", planted) for name, planted in AGAIN.items()}
    of |= {name: ("the same rule", like) for name, like in SAME_RULE.items()}
    of |= {name: ("a rule of its own", rule) for name, rule in OWN_RULE.items()}
    of |= dict.fromkeys(IDENTITIES, ("an identity, which holds or does not", ""))
    rows = [(name, *said) for name, said in of.items()]
    return pd.DataFrame(rows, columns=["study", "verdict", "planted"])
