"""A report that is begun from the tests that it rests on."""

from collections.abc import Mapping, Sequence

import pandas as pd

from interp import report
from interp.effects.test import Test, verdict_of
from interp.report import Check, Headline, NotRun, Section
from interp.report.blocks import Block
from interp.views import tests as shown


class Report(report.Report):
    """What a study found; `Report.of(test, …)` takes verdict, figures and controls from its test."""

    @classmethod
    def of(
        cls,
        tests: Test | Sequence[Test],
        answer: str,
        sections: Sequence[Section],
        *,
        headlines: Sequence[Headline] = (),
        figures: Sequence[Headline] = (),
        inputs: Sequence[Block] = (),
        checks: Sequence[Check] = (),
        not_run: Sequence[NotRun] = (),
        limits: Sequence[str] = (),
        warnings: Sequence[str] = (),
        files: Mapping[str, pd.DataFrame] | None = None,
    ) -> "Report":
        """The report of one test, or of several that have to hold together: verdict, controls, the prompts
        that confirmed and what was not run are the tests' own. `headlines` stand before the figures of a
        single test, which several tests do not show, and `figures` after them."""
        several = [tests] if isinstance(tests, Test) else list(tests)
        own = shown.headlines(several[0]) if isinstance(tests, Test) else []
        return cls(
            answer=answer,
            verdict=verdict_of(several),
            headlines=[*headlines, *own, *figures],
            inputs=inputs,
            sections=sections,
            controls=shown.controls(several),
            checks=checks,
            not_run=[*shown.not_run(several), *not_run],
            limits=limits,
            warnings=warnings,
            files={**shown.files(several), **(files or {})},
        )
