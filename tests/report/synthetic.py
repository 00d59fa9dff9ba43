"""A synthetic run of a 30-layer, 9-head model that uses every block, for tests to look at."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from interp.report import (
    Attention,
    Chart,
    Check,
    Curve,
    Distribution,
    Edge,
    Flow,
    Formula,
    Graph,
    Headline,
    Heatmap,
    Maps,
    Node,
    NotRun,
    Report,
    Section,
    Series,
    Table,
    Text,
    TokenStrip,
)
from interp.report.result import Failure, ModelFacts, Result, TaskFacts

LAYERS, HEADS = 30, 9
PROMPT = [
    "<|endoftext|>",
    "When",
    " Mary",
    " and",
    " John",
    " went",
    " to",
    " the",
    " store",
    ",",
    " John",
    " gave",
    " a",
    " drink",
    " to",
]


def effects(seed: int, strong: int = 9) -> Any:
    rng = np.random.default_rng(seed)
    values = rng.normal(0, 0.05, (LAYERS, HEADS))
    for _ in range(strong):
        values[rng.integers(LAYERS), rng.integers(HEADS)] += rng.normal(0, 0.9)
    return values


def pattern(seed: int, heads: int, size: int) -> Any:
    rng = np.random.default_rng(seed)
    scores = rng.normal(0, 2, (heads, size, size))
    scores += np.where(np.tril(np.ones((size, size))) > 0, 0, -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return (weights / weights.sum(-1, keepdims=True)).astype(np.float32)


def samples(seed: int, n: int = 16) -> Any:
    """The prompts' own effects [layer head example]; exact in single precision."""
    rng = np.random.default_rng(seed)
    spread = rng.normal(0, 0.3, (LAYERS, HEADS, n)) + effects(seed)[..., None]
    return spread.astype(np.float32).astype(np.float64)


def head_table(values: Any) -> pd.DataFrame:
    layer, head = np.indices(values.shape).reshape(2, -1)
    order = np.argsort(-np.abs(values.ravel()))
    flat = values.ravel()
    return pd.DataFrame(
        {
            "layer": layer,
            "head": head,
            "effect": flat,
            "ci_low": flat - 0.06,
            "ci_high": flat + 0.06,
            "p_corrected": np.exp(-np.abs(flat) * 9),
        }
    ).iloc[order]


def blocks() -> dict[str, list[Any]]:
    """Every kind of block, under the chapters that a page has."""
    zero, mean, resample = (effects(seed) for seed in (1, 2, 3))
    by_position = np.random.default_rng(4).normal(0, 0.3, (12, len(PROMPT)))
    by_position[3, 0] = np.nan
    probability = np.random.default_rng(5).random((6, 8)) ** 3
    depth = list(range(LAYERS))
    rise = np.linspace(-1, 2, LAYERS)
    rng = np.random.default_rng(6)
    heads = [(int(i) // HEADS, int(i) % HEADS) for i in np.argsort(-np.abs(mean), axis=None)]
    return {
        "inputs": [
            Text(
                "One of **16 prompts** from 12 templates. The answer is ` Mary`, the wrong "
                "answer ` John`."
            ),
            TokenStrip(PROMPT, title="Clean prompt", marks=["", "", "IO", *[""] * 11, "END"]),
            TokenStrip(
                PROMPT,
                np.r_[0.0, rng.normal(0, 1, len(PROMPT) - 1)],
                title="Direct effect of each position",
                unit="logits",
            ),
        ],
        "maps": [
            Maps(
                [
                    Heatmap("Zero ablation", zero, "layer", "head", unit="logits"),
                    Heatmap("Mean ablation", mean, "layer", "head", unit="logits"),
                    Heatmap("Resample ablation", resample, "layer", "head", unit="logits"),
                ],
                note="Each map has its own symmetric scale until you share it.",
            ),
            Table(
                "heads",
                head_table(mean),
                "Heads by effect",
                first_rows=10,
                note="Ablated minus clean, mean over prompts.",
            ),
        ],
        "positions": [
            Heatmap(
                "Patching the residual stream",
                by_position,
                "layer",
                "position",
                columns=PROMPT,
                unit="logits",
                note="Position 0 of layer 3 was not patched.",
            ),
            Heatmap(
                "Probability of the answer",
                probability,
                "layer",
                "position",
                scale="sequential",
                low=0,
                high=1,
            ),
        ],
        "attention": [
            Attention(
                "The strongest heads' attention",
                [PROMPT, PROMPT[:9]],
                [pattern(7, len(heads), len(PROMPT)), pattern(8, len(heads), 9)],
                heads,
                note="Strongest head first.",
            ),
        ],
        "charts": [
            Formula(
                "attn_out = Σ_h z_h W_O[h] + b_O\n         = concat(z_0 … z_8) W_O + b_O",
                note="The sum over heads is the product over the concatenation.",
            ),
            Chart(
                "Answer logit by depth",
                "line",
                [
                    Series(
                        "clean",
                        depth,
                        np.linspace(0, 3, 30) + rng.normal(0, 0.1, 30),
                        np.linspace(-0.3, 2.7, 30),
                        np.linspace(0.3, 3.3, 30),
                    ),
                    Series("corrupted", depth, np.linspace(0, -1, 30)),
                ],
                "layer",
                "logit difference",
            ),
            Chart(
                "What writes the answer",
                "stacked",
                [
                    Series(name, [f"L{i}" for i in range(30)], rng.normal(0, 1, 30))
                    for name in ("attention", "MLP", "embedding")
                ],
                "layer",
                "logits",
            ),
            Chart(
                "Effect of each layer",
                "bar",
                [Series("effect", depth, rise, rise - 0.2, rise + 0.2)],
                "layer",
                "logits",
            ),
            Chart(
                "Direct and total effect",
                "scatter",
                [Series("heads", zero.ravel(), mean.ravel())],
                "direct",
                "total",
            ),
        ],
        "parts": [
            Heatmap(
                "Prompt by prompt",
                samples(11).mean(-1),
                "layer",
                "head",
                unit="logits",
                samples=samples(11),
            ),
            Distribution(
                "The strongest heads on every prompt",
                ["L9H6", "L2H0", "L7H4"],
                samples(12)[:3, 0],
                unit="logits",
                low=samples(12)[:3, 0].mean(-1) - 0.1,
                high=samples(12)[:3, 0].mean(-1) + 0.1,
                groups=["discovery", "held out"] * 8,
                examples=[f"{''.join(PROMPT)} {i}" for i in range(16)],
            ),
            Flow(
                "How the answer builds up",
                ["embed", *(f"L{i}" for i in range(12))],
                ["heads", "MLP"],
                rng.normal(0, 0.4, (13, 2)),
                [(3, "L2H0", 0.9), (3, "L2H1", -0.5), (8, "L7H4", 1.4), (8, "L7H5", 0.01)],
                unit="logits",
            ),
            Graph(
                "Who feeds whom",
                [
                    Node("embed", -1, "embed"),
                    Node("L2H0", 2),
                    Node("L2H3", 2),
                    Node("MLP 4", 4, "mlp"),
                    Node("L7H4", 7),
                    Node("logits", 99, "logits"),
                ],
                [
                    Edge("embed", "L2H0", 0.4, "k"),
                    Edge("embed", "L2H3", 0.2, "v"),
                    Edge("L2H0", "L7H4", 1.3, "q"),
                    Edge("L2H3", "MLP 4", -0.7),
                    Edge("MLP 4", "logits", 0.5),
                    Edge("L7H4", "logits", 1.9),
                ],
                unit="logits",
            ),
            Curve(
                "How many edges are enough",
                [
                    Series(
                        "circuit", [3, 30, 300], [0.6, 0.9, 1.0], [0.5, 0.8, 0.9], [0.7, 1, 1.1]
                    ),
                    Series("complement", [3, 30, 300], [0.1, 0.0, 0.0]),
                ],
                "edges kept",
                "faithfulness",
                [("whole model", 1.0)],
                [("30 edges", 30)],
            ),
        ],
        "controls": [
            Text("Random heads of the same layers change the logit difference by at most 0.08."),
            Heatmap("Head blocks permuted", effects(9, 0), "layer", "head", unit="logits"),
        ],
    }


def report() -> Report:
    parts = blocks()
    return Report(
        answer="Removing **L9H6** alone takes away 61 % of the logit difference; three heads "
        "together account for 84 % of it, and no other head for more than 4 %.",
        verdict="supported",
        headlines=[
            Headline("Logit difference, clean", 3.41, "logits", 3.22, 3.60, 16),
            Headline("Strongest head", "L9H6", note="−1.82 logits when mean-ablated"),
            Headline("Circuit faithfulness", 0.87, "", 0.81, 0.92, 16),
            Headline("Task accuracy", 98, "%", n=16, note="gate passed"),
        ],
        warnings=["Two of 18 prompts were dropped: the name splits into two tokens."],
        inputs=parts["inputs"],
        sections=[
            Section(
                "Layers × heads",
                parts["maps"],
                "Change in logit difference when one head is replaced. Blue is positive, "
                "red is negative, neutral is zero.",
            ),
            Section("Layers × positions", parts["positions"]),
            Section("Attention patterns", parts["attention"]),
            Section(
                "Charts",
                parts["charts"],
                "The same numbers over depth:\n\n- clean runs\n- corrupted runs",
            ),
            Section("Parts", parts["parts"]),
        ],
        controls=parts["controls"],
        checks=[
            Check("the parts sum to the residual stream", 3.1e-7, 1e-5),
            Check("patterns sum to one", 2.4e-7, 1e-6, note="largest over all heads"),
            Check("permuted head blocks reproduce attn_out", 1.43, 1e-2, control=True),
        ],
        not_run=[NotRun("float64 parity", "the weights are 4-bit, dequantised to float32")],
        limits=[
            "Ablating one head at a time misses redundancy between heads.",
            "Effects of position 0, an attention sink, are reported apart.",
        ],
        files={"prompts": pd.DataFrame({"clean": ["".join(PROMPT)], "kept": [True]})},
        figure=TokenStrip(PROMPT, title="What is asked"),
    )


def result(**changes: Any) -> Result:
    facts: dict[str, Any] = {
        "experiment": "head_ablation",
        "question": "Which heads carry indirect-object identification in SmolLM2-135M?",
        "model": ModelFacts(
            "smollm2-135m",
            "llama",
            "3f8a" * 16,
            notes=(
                "4-bit weights of SmolLM2-135M-Instruct, dequantised; says nothing about the "
                "published model",
            ),
        ),
        "status": "ok",
        "report": report(),
        "task": TaskFacts("ioi", 16, 2),
        "expectation": "A handful of heads in the later half of the model carry the task.",
        "method": "Method  Replace one head's z by its mean over the corrupted prompts and measure "
        "the logit difference.\n\nUnits   Logits, ablated minus clean.\nSource  Wang et "
        "al. 2022, arXiv:2211.00593.",
        "settings": {"top": 5, "ablations": ["zero", "mean", "resample"]},
        "seed": 0,
        "versions": {"interp": "0.1.0", "torch": "2.13.0", "python": "3.11.9"},
        "seconds": 41.3,
        "peak_memory_mb": 1410.0,
        "started": "2026-11-23T21:04:11Z",
        "command": "interp run head_ablation --model smollm2-135m --task ioi --n 16",
        "key": "9c41d2aa03be",
    }
    return Result(**{**facts, **changes})


def failed(**changes: Any) -> Result:
    error = Failure(
        "OutOfMemoryError",
        "needed 14 GB for 4,096 positions\nand 8 GB are free",
        "ablating layer 12 of 30",
        "interp run head_ablation --model smollm2-135m --memory 4GB",
    )
    return result(**{"status": "failed", "report": None, "error": error, **changes})


LONG = "a" * 900 + " " + "word " * 219 + "end"
STRANGE = [
    "مرحبا",
    " שלום",
    "👩‍👩‍👧",
    " 🏳️‍🌈",
    "�",
    "<0xE2>",
    "\x80",
    "é",
    "e\u0301",
    "\u202eabc",
    "",
    " ",
    "\n\n",
    "漢字",
]


def states() -> Result:
    """A partial run with everything that is too long, too large, empty, alone or strangely written."""
    wide, rows = np.random.default_rng(0).normal(0, 1, (48, 64)), len(STRANGE)
    long_tokens = [LONG[i : i + 4] for i in range(0, len(LONG), 4)]
    steps = [f"L{i}" for i in range(48)]
    edges = [Edge("L0H0", STRANGE[0], 0.0)]
    sections = [
        Section(LONG[:200], [Text(LONG), TokenStrip(long_tokens, title="2,000 characters")]),
        Section(
            "Maps",
            [
                Heatmap("48 × 64 heads", wide, "layer", "head", unit="logits"),
                Heatmap("All zero", np.zeros((30, 9)), "layer", "head", unit="logits"),
                Heatmap("One head", [[0.7]], "layer", "head", samples=[[[0.6, 0.8]]]),
                Heatmap("No value at all", np.full((2, 3), np.nan), "layer", "head"),
                Heatmap(
                    "1,024 positions",
                    np.random.default_rng(1).normal(0, 1, (30, 1024)),
                    "layer",
                    "position",
                    columns=[f"t{i}" for i in range(1024)],
                ),
                Heatmap("Strange", np.eye(rows), "row", "token", STRANGE, STRANGE),
            ],
        ),
        Section(
            "Tokens",
            [
                TokenStrip(
                    [f" t{i}" for i in range(1024)], np.arange(1024.0), title="1,024 tokens"
                ),
                TokenStrip(STRANGE, np.arange(float(rows)), title="Strange", marks=STRANGE),
                Attention("Strange", [STRANGE], [pattern(1, 1, rows)], [(0, 0)]),
                Attention("Long", [[" t"] * 1024], [np.tri(1024)[None] / 1024], [(0, 0)]),
            ],
        ),
        Section(
            "Parts",
            [
                Distribution(LONG[:90], [*STRANGE[:3], LONG[:80]], np.zeros((4, 3)), "logits"),
                Flow("48 layers of nothing", steps, ["heads"], np.zeros((48, 1))),
                Graph("One edge of no weight", [Node("L0H0", 0), Node(STRANGE[0], 1)], edges),
                Table("empty", pd.DataFrame({"layer": [], "head": []})),
                Table("long", pd.DataFrame({"text": [LONG], "token": [STRANGE[0]], "x": [np.nan]})),
            ],
        ),
    ]
    report = Report(
        LONG, "inconclusive", sections, [Headline(LONG[:60], LONG[:60], note=LONG[:90])]
    )
    return result(report=report, status="partial", question=LONG[:200], experiment="states")
