"""What is measured: SmolLM2-135M on `ioi` prompts of 14 tokens, two sentences with eight pairs of
names each, corrupted by swapping the names."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

import interp
from interp.metrics import LogitDifference
from interp.transformer import Transformer
from interp.weights.comparison import reference

_SENTENCES = (
    "When {a} and {b} went to the store, {b} gave a drink to",
    "When {a} and {b} went to the park, {b} gave a ball to",
)
_FIRST = ("Mary", "Tom", "Paul", "Mark", "James", "Peter", "David", "Jack")
_SECOND = ("John", "Anna", "Jane", "Lisa", "Sarah", "Emma", "Laura", "Kate")
_PAIRS = tuple(zip(_FIRST, _SECOND, strict=True))


@dataclass(frozen=True, eq=False)
class Subject:
    """The model three ways, and so many prompts with their corruptions and answers."""

    ours: Transformer
    huggingface: Any
    transformerlens: Any
    clean: Int[Tensor, "batch pos"]
    corrupted: Int[Tensor, "batch pos"]
    metric: LogitDifference

    def of(self, n_prompts: int) -> "Subject":
        """The same with only the first prompts."""
        metric = LogitDifference(self.metric.answer[:n_prompts], self.metric.wrong[:n_prompts])
        clean, corrupted = self.clean[:n_prompts], self.corrupted[:n_prompts]
        return replace(self, clean=clean, corrupted=corrupted, metric=metric)

    def difference(self, logits: Tensor) -> Tensor:
        """The mean logit difference of whole logits, as the peers' loops compute it."""
        rows = torch.arange(len(logits))
        return (logits[rows, -1, self.metric.answer] - logits[rows, -1, self.metric.wrong]).mean()


def subject() -> Subject:
    """Everything loaded, 16 prompts."""
    from transformer_lens.model_bridge import TransformerBridge

    ours = interp.load("smollm2-135m")
    huggingface, wrapped = reference(ours), reference(ours)
    bridge = TransformerBridge.boot_transformers(
        "local/smollm2-135m", hf_model=wrapped, tokenizer=ours.tokenizer, device="cpu"
    )
    filled = [(sentence, a, b) for sentence in _SENTENCES for a, b in _PAIRS]
    token = {name: int(ours.to_tokens(f" {name}")[0].item()) for pair in _PAIRS for name in pair}
    return Subject(
        ours,
        huggingface,
        bridge,
        clean=ours.to_tokens([sentence.format(a=a, b=b) for sentence, a, b in filled]),
        corrupted=ours.to_tokens([sentence.format(a=b, b=a) for sentence, a, b in filled]),
        metric=LogitDifference(
            answer=torch.tensor([token[a] for _, a, _ in filled]),
            wrong=torch.tensor([token[b] for _, _, b in filled]),
        ),
    )
