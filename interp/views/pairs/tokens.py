"""Which tokens carry the decision."""

import pandas as pd

from interp import stats
from interp.classifiers.opened import Opened
from interp.errors import NotApplicable
from interp.report import Headline, Section, Table, TokenStrip
from interp.views.pairs.evidence import SHOWN, Evidence


def tokens(opened: Opened, top: int) -> Evidence:
    """One token at a time masked (deleted, where nothing stands for no token), pair by pair.

    Raises  NotApplicable if no pair has a token of its own.
    """
    every, unit = opened.tokens(), opened.unit
    which = "masked" if "masked" in every else "deleted"
    strips = [
        TokenStrip(each["token"].tolist(), each[which].to_numpy(), f"Pair {number}", unit)
        for number, each in every.groupby("pair")
    ]
    real = every.dropna(subset=which).sort_values(which, key=abs, ascending=False)
    if real.empty:
        raise NotApplicable("no pair has a token of its own beside special tokens")
    most = real.iloc[0]
    word, effect = most["token"].strip(), float(most[which])
    columns = ["pair", "sentence", "position", "token", *dict.fromkeys((which, "deleted"))]
    return Evidence(
        Section(
            "Which tokens carry it",
            [
                *strips,
                Table("tokens", real[columns], "Every token, the strongest first", "", SHOWN),
            ],
            intro=f"One token {which} at a time. Red: the {unit} falls without the token. "
            "Special tokens are left alone.",
        ),
        f"The token that counts most is {word!r} in pair {most['pair']}: {which}, it moves the {unit} by "
        f"{effect:+.2f}.",
        [Headline(f"{word!r} {which}, pair {most['pair']}", effect, unit)],
        [_occlusions(real)] if which == "masked" else [],
    )


def _occlusions(real: pd.DataFrame) -> Table:
    """How far masking and deleting a token agree."""
    masked, deleted = (real[name].to_numpy() for name in ("masked", "deleted"))
    row = {
        "rank_correlation": float(stats.rank_correlation(masked, deleted).value),
        "slope_of_deleted": float((masked * deleted).sum() / (masked**2).sum()),
        "n": len(real),
    }
    title = "Does it matter whether a token is masked or deleted?"
    return Table("occlusions", pd.DataFrame([row]), title=title)
