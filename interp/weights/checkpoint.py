"""What every source of weights comes down to, and how a model is made of it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from interp.errors import UnavailableError, UsageError, named
from interp.tokenizers import Choice
from interp.tokenizers.loading import TokenizerLoader
from interp.transformer import Config, Origin, Transformer
from interp.transformer.classifying import Classifying

Named = Iterator[tuple[str, Tensor]]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model that is ready to be built: its shape, its weights under our names, its tokenizer.

    `weights` is called with the dtype and the device that they are to have; with `meta` it gives the
    shapes alone. `huggingface` is
    a folder from which Hugging Face's library loads the same model, where there is one. A model with
    `labels` has a classification head.
    """

    config: Config
    origin: Origin
    weights: Callable[[torch.dtype, torch.device], Named]
    tokenizer: TokenizerLoader | None
    huggingface: Path | None = None
    labels: tuple[str, ...] = ()

    def build(self, dtype: torch.dtype, device: torch.device, bos: Choice = "auto") -> Transformer:
        """The model. Its parameters are the tensors that `weights` gives, not copies of them. `bos`
        says what stands before its prompts.

        Raises  UnavailableError if weights and shape do not belong together.
        """
        # Shapes before values, and before anything of the config's sizes is built.
        shapes = dict(self.weights(dtype, torch.device("meta")))
        with torch.device("meta"):
            model = (
                Classifying(self.config, self.labels, self.origin, self.tokenizer, bos)
                if self.labels
                else Transformer(self.config, self.origin, self.tokenizer, bos)
            )
        try:
            model.check(shapes)
            model.assign(dict(self.weights(dtype, device)))
        except UsageError as error:
            raise UnavailableError(
                f"{named(self.origin.name)}: the weights do not fit the config: {error}"
            ) from None
        return model.eval()


def check_shapes(weights: Callable[[torch.dtype, torch.device], Named]) -> None:
    """Passes if the files have every tensor in the shape that the config says, before anything that takes
    time or room is done with them.

    Raises  UnavailableError as `Reader` does.
    """
    for _ in weights(torch.float32, torch.device("meta")):
        pass
