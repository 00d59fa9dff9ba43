"""A classifier of sentence pairs: Hugging Face's model and tokenizer, and what a decision is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interp.classifiers.pairs import Pair
from interp.errors import UsageError
from interp.tokenizers import token_text
from interp.transformer import Origin
from interp.visible import title

# Tokenizers that know no limit say so with a number that no text reaches.
_NO_LIMIT = 1_000_000


@dataclass(frozen=True, slots=True)
class Reading:
    """One pair as the model reads it: the model's inputs `[1 pos]` by name, and for every token its
    text and its sentence: 0, 1, or None where it belongs to neither."""

    inputs: dict[str, Tensor]
    strings: tuple[str, ...]
    sentence: tuple[int | None, ...]

    @property
    def tokens(self) -> Int[Tensor, "1 pos"]:
        return self.inputs["input_ids"]

    def of(self, sentence: int) -> list[int]:
        """The positions of this sentence's tokens."""
        return [pos for pos, each in enumerate(self.sentence) if each == sentence]

    def rows(self, n: int) -> dict[str, Tensor]:
        """The inputs, n times over."""
        return {name: tensor.repeat(n, 1) for name, tensor in self.inputs.items()}


@dataclass(frozen=True, slots=True)
class Classifier:
    """A loaded classifier. `label` is the one whose log-odds are the decision."""

    model: Any
    tokenizer: Any
    origin: Origin
    label: int

    @property
    def name(self) -> str:
        return title(self.origin.name)

    @property
    def config(self) -> Any:
        return self.model.config

    @property
    def labels(self) -> tuple[str, ...]:
        return labels(self.config)

    @property
    def independent(self) -> bool:
        """Whether every label has a sigmoid of its own."""
        several = self.config.problem_type == "multi_label_classification"
        return len(self.labels) == 1 or several

    @property
    def limit(self) -> int:
        """The most tokens that it reads."""
        written = getattr(self.config, "max_position_embeddings", _NO_LIMIT)
        return min(int(self.tokenizer.model_max_length), int(written), _NO_LIMIT)

    def read(self, pair: Pair) -> Reading:
        """The pair as its tokenizer gives it, whole.

        Raises  UsageError for a pair longer than the model reads.
        """
        encoded = self.tokenizer(pair.premise, pair.hypothesis, return_tensors="pt")
        ids = encoded["input_ids"][0].tolist()
        if len(ids) > self.limit:
            raise UsageError(
                f"the pair that begins {pair.premise[:40]!r} has {len(ids)} tokens, {self.name} "
                f"reads at most {self.limit}; shorten it"
            )
        # No padding, so no mask: every token is real.
        names = [name for name in ("input_ids", "token_type_ids") if name in encoded]
        device = next(self.model.parameters()).device
        return Reading(
            {name: encoded[name].to(device) for name in names},
            tuple(token_text(self.tokenizer, token) for token in ids),
            tuple(encoded.sequence_ids(0)),
        )

    def logits(self, inputs: dict[str, Tensor]) -> Float[Tensor, "batch label"]:
        """The logits of a batch of equal length."""
        with torch.no_grad():
            return self.model(**inputs).logits

    def log_odds(self, logits: Float[Tensor, "batch label"]) -> Float[Tensor, " batch"]:
        """The log-odds of the decision's label, whose sigmoid is its score: its logit, less the
        log-sum-exp of the others' where labels compete."""
        own = logits[:, self.label]
        if self.independent:
            return own
        others = [number for number in range(logits.shape[1]) if number != self.label]
        return own - logits[:, others].logsumexp(-1)

    def decide(self, inputs: dict[str, Tensor]) -> Float[Tensor, " batch"]:
        """The log-odds of the decision on a batch of equal length."""
        return self.log_odds(self.logits(inputs)).double().cpu()


@dataclass(frozen=True, slots=True)
class Absent:
    """A classifier that could not be had, and why: what a study gets that may go without."""

    origin: Origin
    reason: str

    @property
    def name(self) -> str:
        return title(self.origin.name)

    @property
    def config(self) -> None:
        return None


def labels(config: Any) -> tuple[str, ...]:
    """The names of a config's labels, in order."""
    return tuple(str(config.id2label[number]) for number in range(config.num_labels))


def label_number(names: Sequence[str], wanted: str) -> int:
    """The number of a label, given by name or number; the last one for an empty wish.

    Raises  UsageError for what is neither.
    """
    if not wanted:
        return len(names) - 1
    if wanted in names:
        return names.index(wanted)
    if wanted.isdecimal() and int(wanted) < len(names):
        return int(wanted)
    raise UsageError(
        f"the classifier has no label {wanted!r}; its labels: {', '.join(names)}, "
        f"or a number from 0 to {len(names) - 1}"
    )
