"""What a change of the last stream does to the logit difference, the final norm computed again.

Method  The direct effect of replacing a component is that of its own write alone: the clean stream
        at END plus the change in what the component writes there, through the final norm (whose scale
        is that of the changed stream) and the unembedding. No later component reacts.
Units   Logits of answer minus wrong, changed minus clean: the sign of the total effect.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from interp.methods.norms import through
from interp.metrics import LogitDifference
from interp.transformer import Transformer


@dataclass(frozen=True, slots=True)
class Readout:
    """The logit difference as a function of the last stream:
    `⟨stream, direction⟩ / scale(stream) + constant`, in float64, since effects are small differences
    of large numbers."""

    direction: Float[Tensor, "batch d_model"]
    constant: Float[Tensor, " batch"]
    kind: str
    eps: float

    def __call__(self, stream: Float[Tensor, "... batch d_model"]) -> Float[Tensor, "... batch"]:
        """The logit difference of every prompt whose last stream this is."""
        return self.along(stream) / self.scale(stream) + self.constant

    def along(self, stream: Float[Tensor, "... batch d_model"]) -> Float[Tensor, "... batch"]:
        """⟨stream, direction⟩, the stream not yet divided by its scale."""
        return (stream.to(self.direction) * self.direction).sum(-1)

    def scale(self, stream: Float[Tensor, "... batch d_model"]) -> Float[Tensor, "... batch"]:
        """What the final norm divides by."""
        stream = stream.to(self.direction)
        if self.kind == "none":
            return torch.ones_like(stream[..., 0])
        if self.kind == "layernorm":
            stream = stream - stream.mean(-1, keepdim=True)
        return (stream.square().mean(-1) + self.eps).sqrt()

    def effect(
        self, stream: Float[Tensor, "batch d_model"], change: Float[Tensor, "... batch d_model"]
    ) -> Float[Tensor, "... batch"]:
        """The direct effect of adding `change`, or each of several, to this stream."""
        stream = stream.to(self.direction)
        return self(stream + change.to(stream)) - self(stream)


@torch.no_grad()
def readout(model: Transformer, metric: LogitDifference) -> Readout:
    """How this model reads the difference between answer and wrong from its last stream.

    >>> prompts = tasks.batches.whole(task)
    >>> read = readout(model, metrics.logit_difference(prompts))
    >>> run = prompts.run(model, keep=[sites.resid_post(2)])
    >>> end = run.cache[sites.resid_post(2)][torch.arange(len(prompts)), prompts.end]
    >>> read(end).shape
    torch.Size([8])
    """
    W_U, b_U = model.unembed.matrix, model.unembed.bias
    apart = (W_U[:, metric.answer] - W_U[:, metric.wrong]).T
    norm = model.ln_final
    direction, constant = through(norm, apart, torch.ones_like(apart[:, :1]))
    if b_U is not None:
        constant = constant + b_U[metric.answer] - b_U[metric.wrong]
    return Readout(direction.double(), constant.double(), norm.kind, norm.eps)
