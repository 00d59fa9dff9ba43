"""A transformer with a classification head: the text's label, read at its last token."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from interp import sites
from interp.tokenizers import Choice
from interp.tokenizers.loading import TokenizerLoader
from interp.transformer.config import Config
from interp.transformer.hooks import NO_HOOKS
from interp.transformer.initial import DEVIATION
from interp.transformer.model import Origin, Transformer


class ClassificationHead(nn.Module):
    """A linear map from the normalised stream to one logit a label."""

    def __init__(self, d_model: int, n_labels: int) -> None:
        super().__init__()
        self.W_C = nn.Parameter(DEVIATION * torch.randn(d_model, n_labels))

    def forward(self, normed: Float[Tensor, "batch d_model"]) -> Float[Tensor, "batch label"]:
        return normed @ self.W_C


class Classifying(Transformer):
    """All that a transformer is, and `label_logits` besides. As a language model it is not what it
    was trained to be: only the head's loss has shaped it.

    Source  As Hugging Face's `GPT2ForSequenceClassification` and `LlamaForSequenceClassification`
            read a text: at its last token, after the final norm, without a bias.
    """

    def __init__(
        self,
        config: Config,
        labels: tuple[str, ...],
        origin: Origin | None = None,
        tokenizer: TokenizerLoader | None = None,
        bos: Choice = "auto",
    ) -> None:
        super().__init__(config, origin, tokenizer, bos)
        self.labels = labels
        self.head = ClassificationHead(config.d_model, len(labels))

    def label_logits(
        self, tokens: Int[Tensor, "batch pos"], real: Bool[Tensor, "batch pos"]
    ) -> Float[Tensor, "batch label"]:
        """One logit a label; `real` is False on padding, which stands to the right."""
        last = real.sum(-1) - 1
        resid = self.stream(tokens, real)
        read = resid[torch.arange(len(resid), device=resid.device), last][:, None]
        normed = self.ln_final(read, NO_HOOKS, sites.final_scale(), sites.final_normalized())
        return self.head(normed[:, 0])


def with_head(body: Transformer, labels: tuple[str, ...], seed: int) -> Classifying:
    """The model with a new head on it, whose weights are random and small. They share memory, and
    the tokenizer with whatever was set on it.

    The stream that the head reads is normalised, so logits begin near zero.
    """
    tokenizer = (lambda: body.tokenizer) if body.has_tokenizer else None
    with torch.device("meta"):
        model = Classifying(body.config, labels, body.origin, tokenizer, body.bos_choice)
    weights = {name: it.detach() for name, it in body.named_parameters()}
    drawn = torch.randn(
        body.config.d_model, len(labels), generator=torch.Generator().manual_seed(seed)
    )
    weights["head.W_C"] = (DEVIATION * drawn).to(body.device, body.dtype)
    model.assign(weights)
    return model.eval()
