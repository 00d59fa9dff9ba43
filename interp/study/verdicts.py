"""Verdicts made again and again: of a study whose effects are stored, and of models of random weights."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any

import numpy as np
import pandas as pd
import torch

from interp import files, stats
from interp.circuits.calibration import StoredCircuit
from interp.engine.options import current
from interp.errors import NotApplicable, UsageError
from interp.report import NotRun
from interp.stats.calibration import NOT_RUN, Stored, outcomes
from interp.study import calibrated
from interp.study.progress import meter, progress
from interp.study.registry import discover
from interp.tasks import Task
from interp.training.presets import fresh
from interp.transformer import Transformer

# Studies that need few runs, for models of random weights, with settings that make them small.
QUICK: dict[str, dict[str, int]] = {
    "logit_attribution": {"scores": 1},
    "attention_patterns": {},
    "logit_lens": {},
    "induction_heads": {"length": 12},
}
_HEADS = 8
# Beside what each study says, it may not have been possible to say anything.
_VERDICTS = ("supported", "not supported", "inconclusive", NOT_RUN)


def rates(
    model: Transformer, task: Task, studies: Sequence[str], repeats: int, seed: int
) -> tuple[pd.DataFrame, list[NotRun]]:
    """study, null, n, how often of n it was supported and not supported with intervals, inconclusive, and of
    all repeats not_run: one row a study and null; and the studies that cannot be measured, with the
    reason."""
    kept, rows, not_run = Kept(), [], []
    for name in progress(studies, "studies"):
        try:
            stored = calibrated.measured(model, task, name)
        except (NotApplicable, UsageError) as reason:
            not_run.append(NotRun(name, str(reason)))
            continue
        for what in calibrated.makers(name):
            watch = meter(f"{name}, {what}, repeats", repeats)
            counted = kept.counts(name, what, stored, repeats, seed)
            watch.advance(repeats)
            rows.append({"study": name, "null": what, **shares(counted, repeats)})
    columns = ["study", "null", *shares(Counter(), 1)]
    return pd.DataFrame(rows, columns=columns), not_run


def shares(counted: Counter[str], repeats: int) -> dict[str, float]:
    """n, how many repeats gave a verdict; the shares of these with intervals; and of all repeats not_run."""
    judged = repeats - counted[NOT_RUN]
    row: dict[str, float] = {"n": judged}
    for verdict in ("supported", "not_supported"):
        names = (verdict, f"{verdict}_low", f"{verdict}_high")
        ends = [np.nan] * 3
        if judged:
            share = stats.share(np.arange(judged) < counted[verdict.replace("_", " ")])
            ends = [float(each) for each in (share.value, share.low, share.high)]
        row |= dict(zip(names, ends, strict=True))
    row["inconclusive"] = counted["inconclusive"] / judged if judged else np.nan
    return row | {"not_run": counted[NOT_RUN] / repeats}


def wrong(found: pd.DataFrame) -> dict[str, float]:
    """By name what each study does wrong: the largest rate of either verdict under a null, and how often it
    misses effects of two standard deviations, or the circuits that were planted."""
    named, right = {}, calibrated.right()
    for name, rows in found.groupby("study", sort=False):
        nulls = rows[rows["null"].isin(calibrated.nulls()) & (rows["n"] > 0)]
        if not len(nulls):
            continue
        for verdict in ("supported", "not_supported"):
            what = f"{name}, {verdict.replace('_', ' ')} under a null, largest rate"
            named[what] = float(nulls[verdict].max())
        for null, planted in rows[rows["null"].isin(right)].groupby("null", sort=False):
            said = planted[right[str(null)].replace(" ", "_")]
            missed = 1 - float((said * (1 - planted["not_run"])).iloc[0])
            named[f"{name}, {str(null).replace('planted 2', 'planted at 2')} and missed"] = missed
    return named


def least_found(found: pd.DataFrame) -> float:
    """The smallest rate at which what was planted was found, among the repeats that gave a verdict."""
    shares = [
        float(row[said.replace(" ", "_")])
        for what, said in calibrated.right().items()
        for _, row in found[found["null"] == what].iterrows()
    ]
    return min(shares, default=float("nan"))


def of_random_models(model: Transformer, task: Task, models: int, seed: int) -> pd.DataFrame:
    """study, n, and the share of each verdict of the quick studies on untrained models of three layers, with
    the same tokenizer and task."""
    shape: dict[str, Any] = {
        "n_layers": 3,
        "n_heads": _HEADS,
        "n_kv_heads": _HEADS,
        "d_model": 64,
        "d_head": 8,
    }
    shape |= {"d_mlp": 128 if model.config.d_mlp else 0, "rotary_dim": 8}
    config = replace(model.config, **shape)
    counted: dict[str, Counter[str]] = {name: Counter() for name in QUICK}
    for number in progress(range(models), "models of random weights"):
        one = fresh(config, seed + number, model.origin, lambda: model.tokenizer).eval()
        for name, settings in QUICK.items():
            counted[name][verdict_of(name, one, task, seed + number, **settings)] += 1
    rows = [
        {"study": name, "n": models}
        | {each.replace(" ", "_"): of[each] / models for each in _VERDICTS}
        for name, of in counted.items()
        if models
    ]
    return pd.DataFrame(rows)


def verdict_of(study: str, model: Transformer, task: Task, seed: int, **settings: Any) -> str:
    """What a study says of a model, whatever the gate would; NOT_RUN if it cannot be run on it."""
    found = discover().studies[study]
    torch.manual_seed(seed)
    try:
        about = None if found.task is None else task
        return str(found.load()(model, about, seed=seed, **settings).verdict)
    except NotApplicable:
        return NOT_RUN


class Kept:
    """Counts of verdicts, saved block by block beside the sweeps of a run, so that a run that was
    interrupted goes on where it stopped."""

    BLOCK = 100

    def __init__(self) -> None:
        place = current().checkpoints
        self._file = None if place is None else place / "verdicts.json"
        self._found: dict[str, dict[str, int]] = {}
        if self._file is not None and self._file.is_file():
            self._found = json.loads(self._file.read_text(encoding="utf-8"))

    def counts(
        self, study: str, what: str, stored: Stored | StoredCircuit, repeats: int, seed: int
    ) -> Counter[str]:
        """How often each verdict came out in so many repeats."""
        make = calibrated.makers(study)[what]
        digest = _digest(stored)
        total = Counter[str]()
        for first in range(0, repeats, self.BLOCK):
            last = min(first + self.BLOCK, repeats)
            key = f"{study} {what} {digest} {seed} {first} {last}"
            if key not in self._found:
                self._found[key] = dict(outcomes(make, stored, first, last, seed))
                if self._file is not None:
                    self._file.parent.mkdir(parents=True, exist_ok=True)
                    files.write_text(self._file, json.dumps(self._found))
            total.update(self._found[key])
        return total


def _digest(stored: Stored | StoredCircuit) -> str:
    arrays = [np.ascontiguousarray(each).tobytes() for each in stored.arrays()]
    return sha256(b"".join(arrays)).hexdigest()[:16]
