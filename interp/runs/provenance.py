"""What a reader needs to make a run again: versions, commit, threads, memory, the command."""

import platform
import resource
import shlex
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import interp

_PACKAGES = (
    *("torch", "transformers", "transformer_lens", "einops", "fancy_einsum", "numpy", "pandas"),
    *("safetensors", "circuitsvis", "plotly"),
)


def versions() -> dict[str, str]:
    """Python, this package and its commit, libraries, platform and the number of threads."""
    import torch

    found = {"python": platform.python_version(), "interp": interp.__version__}
    if commit := _commit():
        found["commit"] = commit
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    found["platform"] = f"{platform.system()} {platform.machine()}"
    found["threads"] = str(torch.get_num_threads())
    return found


def command(words: list[str]) -> str:
    """The words as one would type them into a shell."""
    return shlex.join(["interp", *words])


def reset_peak_memory() -> None:
    """From now on the peak is counted anew, where the system can do that (Linux)."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def peak_memory_mb() -> float:
    """The largest resident memory of this process: since `reset_peak_memory` on Linux, elsewhere
    since it started.
    """
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return round(int(line.split()[1]) / 1024, 1)
    except OSError:
        pass
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1 << 20 if sys.platform == "darwin" else 1 << 10), 1)


def _commit() -> str:
    root = Path(interp.__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return ""
    try:
        commit = _git(root, "rev-parse", "--short=12", "HEAD")
        changed = _git(root, "status", "--porcelain", "--", "interp", "experiments")
    except (OSError, subprocess.SubprocessError):
        return ""
    return f"{commit} with changes" if changed else commit


def _git(root: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(root), *words], capture_output=True, text=True, timeout=10, check=True
    )
    return done.stdout.strip()
