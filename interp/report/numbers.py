"""Numbers as a reader meets them: few digits, a true minus sign, one scale a picture."""

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

# What counts as one number wherever an author or a stored file gives it.
Number: TypeAlias = float | int | np.floating[Any] | np.integer[Any]

MINUS = "\N{MINUS SIGN}"
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def power(exponent: int) -> str:
    """ "10⁻⁵" for -5."""
    return f"10{str(exponent).translate(SUPERSCRIPTS)}"


def short(value: Number, digits: int = 3) -> str:
    """`value` with at most `digits` significant digits, as 3.41, 98, −0.012 or 1.2 × 10⁻⁷."""
    value = float(value)
    if math.isnan(value):
        return "not finite"
    if value == 0:
        return "0"
    exponent = math.floor(math.log10(abs(value)))
    if -4 <= exponent < 6:
        text = f"{abs(value):,.{_decimals(value, digits)}f}"
    else:
        mantissa, _, exponent_text = f"{abs(value):.{digits - 1}e}".partition("e")
        text = f"{mantissa.rstrip('0').rstrip('.')} × {power(int(exponent_text))}"
    return (MINUS if value < 0 else "") + text


def _decimals(value: float, digits: int) -> int:
    """How many decimals show `digits` significant digits of `value`, without trailing zeros."""
    most = max(0, digits - 1 - math.floor(math.log10(abs(value)))) if value else 0
    written = f"{abs(value):.{most}f}"
    return len(written.partition(".")[2].rstrip("0"))


def span(low: Number, high: Number) -> str:
    """An interval as "3.22 to 3.60": both ends with the same decimals where they are alike."""
    low, high = float(low), float(high)
    largest = max(abs(low), abs(high))
    if not 1e-4 <= largest < 1e6:
        return f"{short(low)} to {short(high)}"
    decimals = max(_decimals(value, 3) for value in (low, high) if value)
    decimals = min(decimals, max(0, 3 - math.floor(math.log10(largest))))
    return " to ".join(f"{value:,.{decimals}f}".replace("-", MINUS) for value in (low, high))


def exact(value: Number) -> str:
    """`value` for a table: at most four significant digits, whole numbers whole."""
    value = float(value)
    if not math.isfinite(value):
        return {math.inf: "∞", -math.inf: f"{MINUS}∞"}.get(value, "")
    if value == int(value) and abs(value) < 1e6:
        return f"{int(value)}".replace("-", MINUS)
    return f"{value:.4g}".replace("-", MINUS)


def column(values: Sequence[Number]) -> list[str]:
    """The numbers of one table column with the same decimals; what these would write as 0.000 is
    written as 2.90e−10, missing values are empty."""
    numbers = [float(value) for value in values]
    largest = max((abs(value) for value in numbers if math.isfinite(value)), default=0.0)
    whole = all(value == int(value) for value in numbers if math.isfinite(value))
    decimals = 0 if whole else min(4, max(0, 3 - math.floor(math.log10(largest))))
    # p-values and the like: there the small ones are the point, so two digits are kept.
    least = 10.0 ** (1 - decimals if 0 < largest <= 1 else -decimals) / 2
    return [_aligned(value, decimals, least) for value in numbers]


def _aligned(value: float, decimals: int, least: float) -> str:
    if not math.isfinite(value):
        return exact(value)
    small = decimals > 0 and 0 < abs(value) < least
    text = f"{value:.2e}" if small or abs(value) >= 1e9 else f"{value:.{decimals}f}"
    return text.replace("-", MINUS) if float(text) else text.lstrip("-")


class Scaled:
    """Writes the numbers of one picture alike: the same power of ten, the same decimals."""

    def __init__(self, largest: float, signed: bool) -> None:
        self.signed = signed
        exponent = math.floor(math.log10(largest)) if largest > 0 else 0
        self.exponent = exponent if exponent < -3 or exponent > 4 else 0
        self.decimals = min(3, max(0, 2 - (exponent - self.exponent)))

    @property
    def factor(self) -> str:
        """What a written number is to be multiplied by, as " × 10⁻⁵"; empty where nothing."""
        return f" × {power(self.exponent)}" if self.exponent else ""

    def __call__(self, value: Number) -> str:
        scaled = float(value) / 10.0**self.exponent
        text = f"{abs(scaled):.{self.decimals}f}"
        zero = float(text) == 0
        sign = "" if zero else MINUS if scaled < 0 else "+" if self.signed else ""
        return sign + text
