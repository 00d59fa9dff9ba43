"""`python -m interp.bench [ROW…]`: the benchmark, printed as ratios and written to reports/bench."""

import json
import sys
import time
import warnings
from pathlib import Path

import torch

from interp import files
from interp.errors import InterpError, UsageError, nearest

_OUT = Path("reports/bench/result.json")
_PROMPTS = (16, 1)


def main(names: list[str]) -> int:
    """Runs the rows named, or all, and returns the exit code."""
    from interp.bench import circuits, edges, reading
    from interp.bench.growth import growth
    from interp.bench.rows import ROWS
    from interp.bench.subject import subject
    from interp.bench.training import training

    rows_by_name = {
        **ROWS,
        **reading.ROWS,
        **circuits.ROWS,
        **edges.ROWS,
        "training": training,
    }
    for name in names:
        if name not in (*rows_by_name, "growth"):
            raise UsageError(
                f"no row is called {name!r}; {nearest(name, [*rows_by_name, 'growth'])}"
            )
    warnings.simplefilter("ignore")
    chosen = names or [*rows_by_name, "growth"]
    measured, rows, grown = subject(), [], []
    rate = gemm_rate()
    print(
        f"{torch.get_num_threads()} threads, float32; oneDNN multiplies at {rate:.0f} GFLOP/s",
        flush=True,
    )
    print(f"{'row':<17}{'prompts':>8}{'ours s':>9}{'peer s':>10}{'peer/ours':>10}{'MB':>8}  peer")
    for name in (name for name in chosen if name in rows_by_name):
        for n_prompts in _PROMPTS:
            for row in rows_by_name[name](measured, n_prompts):
                rows.append(row)
                print(
                    f"{row.name:<17}{row.prompts:>8}{row.ours_s:>9.3f}{row.peer_s:>10.3f}"
                    f"{row.ratio:>10.2f}{row.memory_mb:>8.0f}  {row.peer}"
                    + (f"\n{'':<17}{row.note}" if row.note else ""),
                    flush=True,
                )
    if "growth" in chosen:
        grown = growth(measured)
        print(f"{'prompts':>8}{'tokens':>8}{'interventions':>15}{'s':>8}{'s/TFLOP':>9}{'MB':>8}")
        for case in grown:
            print(
                "{prompts:>8}{tokens:>8}{interventions:>15}{seconds:>8}{seconds_per_tflop:>9}"
                "{memory_mb:>8}".format(**case)
            )
    result = {
        "threads": torch.get_num_threads(),
        "gemm_gflops": round(rate, 1),
        "rows": [row.to_dict() for row in rows],
        "growth": grown,
    }
    with files.writing(_OUT, "the table above is all there is"):
        files.write_text(_OUT, json.dumps(result, indent=1) + "\n")
    print(f"written: {_OUT}")
    return 0


def gemm_rate(seconds: float = 1.0) -> float:
    """GFLOP/s of oneDNN's packed float32 product at the shapes of this model's MLP, best of many."""
    x, weight = torch.randn(2048, 576), torch.randn(1536, 576)
    blocked = torch.ops.mkldnn._reorder_linear_weight(weight, None)
    best, until = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < until:
        began = time.perf_counter()
        torch.ops.mkldnn._linear_pointwise(x, blocked, None, "none", [], "")
        best = min(best, time.perf_counter() - began)
    return 2 * 2048 * 576 * 1536 / best / 1e9


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except InterpError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
