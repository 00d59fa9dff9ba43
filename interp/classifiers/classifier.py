"""A classifier of sentence pairs: Hugging Face's model and tokenizer, and what a decision is."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.special import expit
from torch import Tensor

from interp.classifiers import sizes
from interp.classifiers.pairs import Pair
from interp.errors import UnavailableError, UsageError, brief, named, reason
from interp.tokenizers import token_text
from interp.transformer import Origin
from interp.visible import title

# What makes scores of logits.
Link = Literal["softmax", "sigmoid", "number"]
# Where transformers notes that a model has hooks that collect its attention.
_COLLECTS = "_output_capturing_hooks_installed"


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
    """A loaded classifier. `label` is the one that the decision is about: its log-odds, or the number
    itself where the model gives numbers (a regression)."""

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
    def link(self) -> Link:
        """How Hugging Face's pipeline makes scores of logits."""
        kind = self.config.problem_type
        if kind == "regression":
            return "number"
        alone = len(self.labels) == 1 or kind == "multi_label_classification"
        return "sigmoid" if alone else "softmax"

    @property
    def unit(self) -> str:
        """What decisions, and what is added to them, are counted in."""
        return "output" if self.link == "number" else "log-odds"

    @property
    def limit(self) -> int:
        """The most tokens that it reads."""
        return sizes.limit(self.model, self.tokenizer)

    def read(self, pair: Pair) -> Reading:
        """The pair as its tokenizer gives it, whole.

        Raises  UsageError for a pair longer than the model reads, or without a token.
        """
        encoded = self.tokenizer(pair.premise, pair.hypothesis, return_tensors="pt")
        ids = encoded["input_ids"][0].tolist()
        if not ids:
            raise UsageError(f"the pair that begins {pair.premise[:40]!r} has no tokens")
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

    def attentions(self, inputs: dict[str, Tensor]) -> Sequence[Tensor | None]:
        """What the model gives as its attention, layer by layer; nothing where it gives none.

        The hooks by which transformers collects it are taken off again.
        """
        before = {module: {*module._forward_hooks} for module in self.model.modules()}
        try:
            return getattr(self.model(**inputs, output_attentions=True), "attentions", None) or ()
        finally:
            for module, hooks in before.items():
                for added in {*module._forward_hooks} - hooks:
                    del module._forward_hooks[added]
                module.__dict__.pop(_COLLECTS, None)

    def log_odds(self, logits: Float[Tensor, "batch label"]) -> Float[Tensor, " batch"]:
        """The log-odds of the decision's label, whose sigmoid is its score: its logit, less the
        log-sum-exp of the others' where labels compete. The number itself of a regression."""
        own = logits[:, self.label]
        if self.link != "softmax":
            return own
        others = [number for number in range(logits.shape[1]) if number != self.label]
        return own - logits[:, others].logsumexp(-1)

    def decide(self, inputs: dict[str, Tensor]) -> Float[Tensor, " batch"]:
        """The decision on a batch of equal length.

        Raises  UnavailableError if the model does not run on these tokens.
        """
        try:
            logits = self.logits(inputs)
        except Exception as error:  # other people's models raise whatever their layers do
            raise UnavailableError(
                f"{self.name}, a {self.origin.family}, does not run on tokens of two sentences alone: "
                f"{told(error)}"
            ) from error
        return self.log_odds(logits).double().cpu()

    def decisions(self, readings: Iterable[Reading]) -> Float[np.ndarray, " example"]:
        """The decision on each pair.

        Raises  UnavailableError as `decide`, and for a decision that is no number.
        """
        found = np.array([float(self.decide(reading.inputs)[0]) for reading in readings])
        wrong = np.flatnonzero(~np.isfinite(found))
        if len(wrong):
            raise UnavailableError(
                f"{self.name} gives {found[wrong[0]]} for pair {wrong[0] + 1}: not the weights of a trained "
                "classifier, or too large for this --dtype"
            )
        return found

    def scores(self, decisions: np.ndarray) -> np.ndarray:
        """The scores that Hugging Face's pipeline gives for these decisions."""
        return decisions if self.link == "number" else expit(decisions)


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
    """The names of a config's labels, in order.

    Raises  UnavailableError where they are not numbered from 0, or there is none.
    """
    names = config.id2label
    if not names or sorted(names) != list(range(config.num_labels)):
        raise UnavailableError(
            f"id2label in the config must name the labels 0, 1, 2 …, got {brief(names, 120)}"
        )
    return tuple(str(names[number]) for number in range(config.num_labels))


def label_number(names: Sequence[str], wanted: str) -> int:
    """The number of a label, given by name or number; the last one for an empty wish.

    Raises  UsageError for what is neither.
    """
    if not wanted:
        return len(names) - 1
    if wanted in names:
        return names.index(wanted)
    if wanted.isascii() and wanted.isdecimal() and len(wanted) < 10 and int(wanted) < len(names):
        return int(wanted)
    shown = ", ".join(named(each, 40) for each in names[:8])
    raise UsageError(
        f"the classifier has no label {brief(wanted)}; its labels: {shown}"
        f"{' …' if len(names) > 8 else ''}, or a number from 0 to {len(names) - 1}"
    )


def told(error: Exception) -> str:
    """What somebody else's code raised, in one short line."""
    return f"{type(error).__name__}: {reason(error)}"
