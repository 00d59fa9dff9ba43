"""The chosen components of a screen as a section shows them: confirmed, prompt by prompt, held out."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from interp.effects import Test
from interp.report import Distribution, Table
from interp.views import effects, tests


def blocks(
    test: Test,
    name: str,
    kinds: effects.Kinds,
    title: str = "Resample ablation, prompt by prompt",
    *,
    confirmed: str = "confirmed",
    **columns: Sequence[Any] | pd.Series,
) -> list[Table | Distribution]:
    """confirmed.csv; every fresh prompt under `title`; `name`.csv, the same components on the held-out
    half of the screen, with further `columns`; how far the `kinds` of effects agree between halves."""
    words = f"The same {test.what} on the held-out half of the screen"
    held_out = effects.held_out(test.selection, name, words, test.seed)
    return [
        tests.confirmed(test, confirmed),
        tests.per_prompt(test, title),
        replace(held_out, frame=held_out.frame.assign(**columns)),
        *([effects.halves(kinds, test.selection)] if kinds else []),
    ]
