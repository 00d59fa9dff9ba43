"""What a number among a study's settings may be: in itself, and for the model and task at hand.

A study says so in its signature: `top: Heads = 10`, `layer: Layer = -1`, or for a range of its own
`width: Annotated[int, Range(1, 64)] = 8`. The range holds on the command line before anything is
loaded, for the model and task before anything is computed, and where the study is called in Python.
"""

import math
import numbers
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from interp.errors import UsageError, brief

# What can be counted in a model and its task; None where there is nothing to count it in.
SIZES: dict[str, Callable[[Any, Any], int | None]] = {
    "layers": lambda model, task: model.config.n_layers,
    "heads": lambda model, task: model.config.n_layers * model.config.n_heads,
    "heads a layer": lambda model, task: model.config.n_heads,
    "heads and MLPs": lambda model, task: (
        model.config.n_layers * (model.config.n_heads + bool(model.config.d_mlp))
    ),
    "neurons": lambda model, task: model.config.n_layers * model.config.d_mlp,
    "tokens": lambda model, task: model.config.d_vocab,
    "positions": lambda model, task: model.config.n_ctx,
    "prompts": lambda model, task: None if task is None else task.n,
    "random tokens that fit twice": lambda model, task: _repeatable(model),
}


def _repeatable(model: Any) -> int:
    from interp.methods import repetition

    return repetition.longest(model)


_KINDS = {"int": "an int", "float": "a number"}
_MOST = 1_000_000
_SHOWN = 40


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers from `least` to `most`.

    `index` names what they number, from 0 on: they stay below its size in the model or task.
    `count` names what they are a number of: where there are fewer, all are taken and the report says
    so. With `from_end` -1 is the last one, -2 the one before.
    """

    least: float = 1
    most: float = _MOST
    index: str = ""
    count: str = ""
    from_end: bool = False

    def __post_init__(self) -> None:
        for size in filter(None, (self.index, self.count)):
            if size not in SIZES:
                raise UsageError(f"a range is of one of {', '.join(SIZES)}, got {size!r}")
        if not self.least <= self.most:
            raise UsageError(f"a range goes from least to most, got {self.least} to {self.most}")

    def __str__(self) -> str:
        return _words(self.least, self.most)

    def check(self, name: str, value: Any, kind: str) -> None:
        """Passes if the value lies in the range, whatever the model.

        Raises  UsageError otherwise.
        """
        allowed = numbers.Integral if kind == "int" else numbers.Real
        if isinstance(value, bool) or not isinstance(value, allowed):
            raise UsageError(f"{name} must be {_KINDS[kind]}, got {seen(value)}")
        number: Any = value
        if number != number or abs(number) == math.inf:
            raise UsageError(f"{name} must be a finite number, {self}, got {seen(value)}")
        if not self.least <= number <= self.most:
            raise UsageError(f"{name} must be {self}, got {seen(value)}")

    def fit(self, name: str, value: Any, model: Any, task: Any) -> tuple[Any, str]:
        """The value for this model and task, and what the report says about it, if anything.

        Raises  UsageError for the number of something that is not there.
        """
        what = self.index or self.count
        size = SIZES[what](model, task) if what and hasattr(model, "config") else None
        if not size:
            return value, ""
        if self.count and value > size:
            return size, f"{name} is {value:,}: there are {size:,} {what}, and all are taken."
        least = -size if self.from_end else self.least
        if self.index and not least <= value < size:
            raise UsageError(
                f"{name} must be {_words(least, size - 1)}, got {value}: there are {size} {what}, "
                "numbered from 0"
            )
        return value, ""


def _words(least: float, most: float) -> str:
    return f"from {_number(least)} to {_number(most)}"


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def seen(value: Any) -> str:
    """The value as it came; of a long one the beginning and how long it is."""
    try:
        length = len(str(value))
    except ValueError:  # more digits than Python writes
        return "a number of thousands of digits"
    shown = brief(value, _SHOWN)
    return f"{shown} ({length:,} characters)" if length > _SHOWN else shown


# Numbers of things, at least one; those of the model and task are taken whole where there are fewer.
Count = Annotated[int, Range(1, 10_000)]
Heads = Annotated[int, Range(count="heads")]
Layers = Annotated[int, Range(count="layers")]
Components = Annotated[int, Range(count="heads and MLPs")]
Neurons = Annotated[int, Range(count="neurons")]
Tokens = Annotated[int, Range(count="tokens")]
# Which one: a layer (-1 the last), a prompt of the task.
Layer = Annotated[int, Range(-_MOST, _MOST, index="layers", from_end=True)]
Example = Annotated[int, Range(0, _MOST, index="prompts")]
# Which one, where -1 leaves it to the study.
AnyLayer = Annotated[int, Range(-1, _MOST, index="layers")]
AnyHead = Annotated[int, Range(-1, _MOST, index="heads a layer")]
Steps = Annotated[int, Range(1, _MOST)]
Rate = Annotated[float, Range(1e-8, 10.0)]
Seed = Annotated[int, Range(0, 2**32 - 1)]

NAMED: dict[str, Any] = {
    "Count": Count,
    "Heads": Heads,
    "Layers": Layers,
    "Components": Components,
    "Neurons": Neurons,
    "Tokens": Tokens,
    "Layer": Layer,
    "Example": Example,
    "AnyLayer": AnyLayer,
    "AnyHead": AnyHead,
    "Steps": Steps,
    "Rate": Rate,
}
# What every study that names them is given; their ranges hold whatever it says.
SHARED: dict[str, Any] = {"seed": Seed, "n": Count}
# Of numbers with no range of their own: what tensors can hold.
USUAL = {
    "int": Range(-(2**63), 2**63 - 1),
    "float": Range(-sys.float_info.max, sys.float_info.max),
}
