"""A part of an activation put to its mean over reference prompts."""

from torch import Tensor

from interp.edits.edit import Edit
from interp.edits.values import Put, Zero, numbers
from interp.edits.where import Index, Positions, where_of
from interp.errors import UsageError
from interp.sites import Site, parse

# Under this name an activation that a run kept of padded prompts knows which of its positions are real.
REAL = "interp_real"


def mean(
    site: Site | str,
    reference: Tensor,
    over: str,
    heads: Index = None,
    positions: Positions = None,
    units: Index = None,
    *,
    real: Tensor | None = None,
) -> Edit:
    """The reference activation's mean over its batch axis, position by position.

    `reference` is the site's activation on the reference prompts, `over` names them in words
    ("32 ABC prompts"): a mean ablation means nothing without what it is a mean of. Padding does not
    count: `real` `[batch pos]` is False there; an activation just as a run kept it knows that itself.

    Raises  UsageError for a reference of no prompts, or of none that is real where the edit reaches.
    """
    site = parse(site)
    where = where_of(heads, positions, units)
    if numbers(reference, "to take the mean of").ndim != len(site.axes) or not len(reference):
        raise UsageError(
            f"expected the activation of {site.name} ({' '.join(site.axes)}) on at least one reference "
            f"prompt, got shape {list(reference.shape)}"
        )
    real = getattr(reference, REAL, None) if real is None else real
    # Positions given for each example need an average for each; otherwise one serves them all.
    rows = [row for row in where.positions or () if isinstance(row, tuple)]
    mean = reference.mean(0) if real is None else _real_mean(site, reference, real)
    average = mean.expand(len(rows) or 1, *reference.shape[1:])
    part = average[Edit(site, Zero(), where).index(average)]
    if real is not None and bool(part.isnan().any()) and not bool(reference.isnan().any()):
        raise UsageError(
            f"the mean over {over} of {site.name} has positions that are padding in every one of "
            f"{len(reference)} reference prompts; name positions= that some of them have"
        )
    edit = Edit(site, Put(part) if rows else Put(part[0], shared=True), where)
    return Edit(edit.site, edit.value, edit.where, label=f"{edit} by its mean over {over}")


def _real_mean(site: Site, reference: Tensor, real: Tensor) -> Tensor:
    """The mean over the prompts that are real at a position; NaN where none is."""
    axes = [axis for axis, name in enumerate(site.axes) if name in ("pos", "query")]
    wanted = (len(reference), reference.shape[axes[0]])
    if not isinstance(real, Tensor) or tuple(real.shape) != wanted:
        came = list(real.shape) if isinstance(real, Tensor) else type(real).__name__
        raise UsageError(f"real must have the shape {list(wanted)} (batch pos), got {came}")
    shape = [1] * reference.ndim
    shape[0], shape[axes[0]] = wanted
    counted = real.to(reference.device).bool().reshape(shape)
    return reference.where(counted, 0).sum(0) / counted.sum(0)
