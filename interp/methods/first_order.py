"""Which neurons would matter if the model were linear around the clean run: all of them from one
backward pass.

Method  The slope of the logit difference at every neuron's activation, times the change that an
        ablation makes there, added up over positions. It picks neurons; their effects are then measured
        by ablating them, since a slope knows nothing of saturation.
Units   Logits of answer minus wrong, ablated minus clean.
Source  Nanda 2023, Attribution Patching; Syed et al. 2023, arXiv:2310.10348.
"""

import torch
from einops import rearrange

from interp import sites
from interp.components import neurons
from interp.effects import Effects
from interp.linear import slopes
from interp.methods.ablate import Kind, Values
from interp.metrics import logit_difference
from interp.tasks import Task
from interp.tasks.batches import by_length, gathered
from interp.transformer import Transformer


def neuron_effects(model: Transformer, task: Task, kind: Kind) -> Effects:
    """The estimated effect of ablating each neuron, layer by layer, on each kept prompt.

    >>> neuron_effects(model, task, "zero").values.shape
    (216, 8)
    """
    posts = [sites.mlp_post(layer) for layer in range(model.config.n_layers)]
    found = []
    for batch in by_length(task, model.device):
        values = Values(model, task, batch, posts)
        slope = slopes(model, batch.clean, logit_difference(batch), at=posts).slope
        new = values.under(kind)
        each = [(slope[site] * (new[site] - values.clean[site])).sum(1) for site in posts]
        rows = rearrange(torch.stack(each), "layer batch d_mlp -> (layer d_mlp) batch")
        found.append((batch, rows))
    return Effects(gathered(task, found), neurons(model), task)
