"""Commands of `interp`, each in a process of its own that is forked from one which has everything
imported: a command takes the time of its work, and whatever becomes of it harms no other."""

import contextlib
import faulthandler
import gc
import importlib
import io
import os
import pkgutil
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

# A hub or a network is never waited for.
os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
_MEMORY = 12 << 30
_PATIENCE_SECONDS = 60
# So many times its seconds of processor a command may take by the clock.
_IDLE = 8
OTHER_CODINGS = ("ascii", "latin-1")


@dataclass(frozen=True, slots=True)
class Ended:
    """A command that has ended: its exit code (or minus the signal), what it wrote, and where it was
    after its time was over, if it was stopped then."""

    words: list
    code: int
    out: str
    err: str
    seconds: float
    stopped: str = ""
    hung: bool = False


def warm():
    """Imports all that a command may import, so that forks need not."""
    import interp

    for found in pkgutil.walk_packages(interp.__path__, "interp."):
        if not found.name.startswith(("interp.bench", "interp.__main__")):
            importlib.import_module(found.name)
    # The last is what the first step of an optimizer imports.
    for name in (
        "pandas",
        "plotly.graph_objects",
        "scipy.stats",
        "transformers",
        "gguf",
        "psutil",
        "torch._dynamo",
    ):
        importlib.import_module(name)
    from interp.report import render  # noqa: F401
    from interp.runs import key

    key.package_code()
    key.libraries()
    # What is collected in a fork is first copied.
    gc.collect()
    gc.freeze()


class Place:
    """A folder for one command: `here`, where it works, and beside it a home, a cache and a folder for
    temporary files. Leaving it removes all of it."""

    def __init__(self, ground=None, cache=None):
        self.top = Path(tempfile.mkdtemp(prefix="fuzz-"))
        self.here, self.told = self.top / "here", self.top / "told"
        self.cache = cache or self.top / "cache"
        for name in ("home", "tmp", "told"):
            (self.top / name).mkdir()
        if ground is None:
            self.here.mkdir()
        else:
            shutil.copytree(ground, self.here, symlinks=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.top, ignore_errors=True)

    def left_over(self):
        """What a command should have taken away again."""
        # PyTorch makes this folder, for each user one.
        made = [
            it for it in (self.top / "tmp").iterdir() if not it.name.startswith("torchinductor")
        ]
        found = [*self.top.rglob(".interp-*"), *made]
        return [str(path.relative_to(self.top)) for path in sorted(set(found))]


class Command:
    """A command that runs. `begin` is called in its process before it."""

    def __init__(self, words, place, begin=lambda: None, streams=("file", "file")):
        self.words, self.place, self.began = words, place, time.monotonic()
        for number in ("1", "2", "3"):
            (place.told / number).write_bytes(b"")
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if not self.pid:
            _child(words, place, begin, streams)
        self._handle = os.pidfd_open(self.pid)

    def send(self, number):
        """Sends a signal, if it still runs."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._handle, number)

    def runs(self, seconds):
        """Whether it still runs after so many more seconds."""
        return not select.select([self._handle], [], [], max(0.0, seconds))[0]

    def wait(self, limit=60.0):
        """How it ended. When it has computed for so many seconds, or done nothing for longer, it is
        asked to end, and then made to."""
        stopped, hung = "", False
        while self.runs(0.5) and self._computed() < limit:
            if time.monotonic() - self.began > _IDLE * limit:
                break
        if self.runs(0):
            self.send(signal.SIGUSR1)
            time.sleep(0.2)
            stopped = self._told(3) or "somewhere"
            self.send(signal.SIGINT)
            if self.runs(_PATIENCE_SECONDS):
                hung = True
                self.send(signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        os.close(self._handle)
        seconds = time.monotonic() - self.began
        return Ended(self.words, code, self._told(1), self._told(2), seconds, stopped, hung)

    def _computed(self):
        """Seconds of processor that it has had: however many others want it too."""
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return 0.0

    def _told(self, number):
        return (self.place.told / str(number)).read_text("utf-8", "replace")


def call(words, place, limit=60.0, streams=("file", "file")):
    """Runs a command to its end."""
    return Command(words, place, streams=streams).wait(limit)


def _child(words, place, begin, streams):
    code = 1
    try:
        os.chdir(place.here)
        os.environ |= {
            "HOME": str(place.top / "home"),
            "TMPDIR": str(place.top / "tmp"),
            "INTERP_CACHE": str(place.cache),
        }
        tempfile.tempdir = None
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        for number, kind in enumerate(streams, start=1):
            _redirect(number, kind, place.told)
        at = os.open(place.told / "3", os.O_WRONLY | os.O_APPEND)
        faulthandler.register(signal.SIGUSR1, at)
        begin()
        from interp.cli.main import main

        sys.argv = ["interp"]
        code = words(place) if callable(words) else main(words)
        for stream in filter(None, (sys.stdout, sys.stderr)):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
    except KeyboardInterrupt:
        code = 130
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _redirect(number, kind, told):
    """Makes standard output (1) or error (2) a file, a full device, closed, a pipe whose reader has
    gone, or a file of another coding; as Python would find it."""
    name = {1: "stdout", 2: "stderr"}[number]
    if kind == "closed":
        os.close(number)
        setattr(sys, name, None)
        return
    if kind == "gone":
        reading, at = os.pipe()
        os.close(reading)
    else:
        path = "/dev/full" if kind == "full" else told / str(number)
        at = os.open(path, os.O_WRONLY | os.O_APPEND)
    os.dup2(at, number)
    coding = kind if kind in OTHER_CODINGS else "utf-8"
    errors = "backslashreplace" if number == 2 else "strict"
    raw = open(number, "wb", closefd=False)  # noqa: SIM115
    setattr(sys, name, io.TextIOWrapper(raw, coding, errors, line_buffering=number == 2))
