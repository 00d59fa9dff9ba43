"""The rule of a study whose question is of another kind than a choice of components, in the same terms."""

from collections.abc import Iterable, Mapping

from interp.report import Check, Text
from interp.report.blocks import Verdict
from interp.stats import Estimate
from interp.stats.verdict import POWER, Confirmation, smallest_effect, together

__all__ = ["against", "below", "identities", "least", "longest", "rule", "said", "together"]


def rule(null: str, population: str, power: str) -> Text:
    """The rule of a study whose question is of another kind, in the same terms."""
    lines = {"Null": null, "Population": population, "Power": power}
    said = "\n".join(f"- **{name}**: {text}" for name, text in lines.items())
    return Text(f"What the verdict rests on.\n\n{said}")


def identities(checks: Iterable[Check]) -> Verdict:
    """Supported if all hold, controls included, else not supported: where that is the question."""
    return "supported" if all(check.passed for check in checks) else "not supported"


def against(threshold: float, *estimates: Estimate) -> Verdict:
    """Supported if every interval lies above the threshold, not supported if one lies below it, else
    inconclusive; an estimate without interval decides nothing."""
    if all(float(each.low) > threshold for each in estimates):
        return "supported"
    if any(float(each.high) < threshold for each in estimates):
        return "not supported"
    return "inconclusive"


def below(threshold: float, *estimates: Estimate) -> Verdict:
    """The same where intervals have to lie below the threshold."""
    if all(float(each.high) < threshold for each in estimates):
        return "supported"
    if any(float(each.low) > threshold for each in estimates):
        return "not supported"
    return "inconclusive"


def least(estimate: Estimate) -> str:
    """The smallest mean that an interval like this one's would tell from zero 8 times in 10, in words."""
    found = smallest_effect(Confirmation(estimate, {}, {}))
    return f"the smallest mean found {POWER * 10:.0f} times in 10 is {found:.3g}"


def said(estimates: Mapping[str, Estimate]) -> str:
    """Every estimate with its interval, in words."""
    return ", ".join(f"{name} {each:.2f}" for name, each in estimates.items())


def longest(*estimates: Estimate) -> float:
    """The length of the longest interval: how far beyond a threshold a value is sure to be told from it."""
    return max(float(each.high - each.low) for each in estimates)
