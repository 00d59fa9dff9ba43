"""A file or a folder gets to its place whole or not at all, whoever is killed on the way."""

import errno
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from interp import files
from interp.errors import InterpError, UsageError

ROOT = Path(__file__).parent.parent


def entries(place):
    return sorted(path.name for path in place.iterdir())


def child(code, *words):
    """A process that runs this code beside our package."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )


WRITES = """
import sys, time
from pathlib import Path
from interp import files
with files.folder(Path(sys.argv[1])) as fresh:
    (fresh / "half.txt").write_text("half")
    print("writing", flush=True)
    time.sleep(60)
"""


def killed(target):
    writer = child(WRITES, target)
    assert writer.stdout.readline() == "writing\n"
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    writer.stdout.close()


def test_a_folder_replaces_the_one_before_it_whole(tmp_path):
    target = tmp_path / "model" / "study"
    for text in ("first", "second"):
        with files.folder(target) as fresh:
            (fresh / f"{text}.txt").write_text(text)
    assert entries(target) == ["second.txt"]
    assert entries(target.parent) == ["study"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_what_goes_wrong_leaves_nothing_where_nothing_was(tmp_path, error):
    top = tmp_path / "reports"

    def half():
        with files.folder(top / "model" / "study", top) as fresh:
            (fresh / "half.txt").write_text("half")
            raise error

    with pytest.raises(error):
        half()
    assert entries(tmp_path) == []


def test_what_goes_wrong_leaves_the_folder_before_it(tmp_path):
    with files.folder(tmp_path / "study") as fresh:
        (fresh / "whole.txt").write_text("whole")
    with pytest.raises(KeyboardInterrupt), files.folder(tmp_path / "study"):
        raise KeyboardInterrupt
    assert (tmp_path / "study" / "whole.txt").read_text() == "whole"
    assert entries(tmp_path) == ["study"]


@pytest.mark.parametrize("there", ["file", "link to nothing", "link to a folder"])
def test_a_folder_takes_the_place_of_whatever_stands_there(tmp_path, there):
    target, elsewhere = tmp_path / "study", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "mine.txt").write_text("mine")
    if there == "file":
        target.write_text("")
    else:
        target.symlink_to("nowhere" if there == "link to nothing" else elsewhere)
    with files.folder(target) as fresh:
        (fresh / "whole.txt").write_text("whole")
    assert not target.is_symlink()
    assert entries(target) == ["whole.txt"]
    assert entries(elsewhere) == ["mine.txt"]


def test_what_is_no_longer_wanted_does_not_appear(tmp_path):
    with files.folder(tmp_path / "study", wanted=lambda: False):
        pass
    assert entries(tmp_path) == []


def test_what_a_killed_process_left_goes_with_the_next_write_beside_it(tmp_path):
    killed(tmp_path / "study")
    (left,) = entries(tmp_path)
    assert left.startswith(".interp-")
    files.write_text(tmp_path / "other.txt", "text")
    assert entries(tmp_path) == ["other.txt"]


def test_what_was_moved_aside_when_its_process_was_killed_goes_back(tmp_path):
    old = tmp_path / ".interp-0123456789abcdef" / "old" / "study"
    old.mkdir(parents=True)
    (old / "whole.txt").write_text("whole")
    files.clear(tmp_path)
    assert (tmp_path / "study" / "whole.txt").read_text() == "whole"
    assert entries(tmp_path) == ["study"]


def test_a_folder_that_only_looks_like_a_left_over_is_not_followed(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "text").write_text("mine")
    (tmp_path / ".interp-0123456789abcdef").symlink_to(tmp_path / "mine")
    files.clear(tmp_path)
    assert (tmp_path / "mine" / "text").read_text() == "mine"


def test_what_a_living_process_writes_is_left_alone(tmp_path):
    writer = child(WRITES, tmp_path / "study")
    try:
        assert writer.stdout.readline() == "writing\n"
        with files.folder(tmp_path / "study"):
            pass
        assert len(entries(tmp_path)) == 2
    finally:
        writer.kill()
        writer.wait()
        writer.stdout.close()


def test_two_writers_of_one_folder_leave_one_whole_folder(tmp_path):
    code = WRITES.replace("time.sleep(60)", "time.sleep(0.01)")
    code = code.replace("with files", "for _ in range(30):\n  with files").replace(
        "\n    ", "\n      "
    )
    writers = [child(code, tmp_path / "study") for _ in range(2)]
    for writer in writers:
        writer.communicate()
        assert writer.returncode == 0
    assert entries(tmp_path) == ["study"]
    assert entries(tmp_path / "study") == ["half.txt"]


def test_a_file_is_rewritten_whole(tmp_path):
    path = tmp_path / "index.html"
    files.write_text(path, "old")
    with pytest.raises(UnicodeEncodeError):
        files.write_text(path, "new \ud800")

    def half():
        with files.file(path) as fresh:
            fresh.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        half()
    assert path.read_text() == "old"
    assert entries(tmp_path) == ["index.html"]


def test_a_file_is_written_although_its_folder_is_removed_all_the_time(tmp_path):
    code = "import shutil, sys\nwhile True: shutil.rmtree(sys.argv[1], ignore_errors=True)"
    remover = child(code, tmp_path / "reports")
    try:
        written, until = 0, time.monotonic() + 1.0
        while time.monotonic() < until:
            try:
                files.write_text(tmp_path / "reports" / "index.html", "text")
                written += 1
            except FileNotFoundError:
                continue
        assert written > 0
    finally:
        remover.kill()
        remover.wait()
        remover.stdout.close()


def test_files_move_into_a_folder_of_which_one_speaks_for_all(tmp_path):
    (tmp_path / "kept.txt").write_text("kept")
    for text in ("first", "second"):
        with files.inside(tmp_path, last="a.json") as fresh:
            (fresh / "a.json").write_text(text)
            (fresh / "weights").write_text(text)
    assert entries(tmp_path) == ["a.json", "kept.txt", "weights"]
    assert (tmp_path / "a.json").read_text() == (tmp_path / "weights").read_text() == "second"


def test_a_removed_folder_is_gone_and_one_that_is_not_there_is_no_error(tmp_path):
    (tmp_path / "study" / "tables").mkdir(parents=True)
    files.remove(tmp_path / "study")
    files.remove(tmp_path / "study")
    assert entries(tmp_path) == []


def limited(code, *words):
    """What a process prints that may write no file of more than 100,000 bytes."""

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    words = [sys.executable, "-c", code, *map(str, words)]
    return subprocess.run(words, cwd=ROOT, preexec_fn=limit, capture_output=True, text=True)


def test_a_file_too_large_for_the_disk_is_one_sentence_and_leaves_the_old_one(tmp_path):
    files.write_text(tmp_path / "text", "old")
    code = """
import sys
from pathlib import Path
import numpy
from safetensors.numpy import save_file
from interp import files
from interp.errors import InterpError
place = Path(sys.argv[1])
try:
    with files.writing(place / "text", "make room"):
        files.write_bytes(place / "text", bytes(200_000))
except InterpError as error:
    print(error)
try:
    with files.writing(place / "a", "make room"), files.file(place / "a") as fresh:
        save_file({"a": numpy.zeros(100_000)}, fresh)
except InterpError as error:
    print(error)
"""
    done = limited(code, tmp_path)
    first, second = done.stdout.splitlines()
    assert first == f"{tmp_path}/text cannot be written: File too large; make room"
    assert second.startswith(f"{tmp_path}/a cannot be written: ")
    assert entries(tmp_path) == ["text"]
    assert (tmp_path / "text").read_text() == "old"


def stands_in_the_way(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    return {
        "a file": tmp_path / "file",
        "a file where a folder goes": tmp_path / "file" / "reports",
        "a dangling link": tmp_path / "dangling",
        "below a dangling link": tmp_path / "dangling" / "reports",
        "a link to itself": tmp_path / "loop",
        "below it": tmp_path / "loop" / "reports",
        "a long name": tmp_path / ("é" * 128),
        "a long path": tmp_path.joinpath(*["a" * 200] * 20),
        "a device": Path("/dev/null"),
        "below a device": Path("/dev/full/reports"),
        "where the system tells": Path("/proc/reports"),
        "a null": tmp_path / "a\0b",
    }


KINDS = (
    *("a file", "a file where a folder goes", "a dangling link", "below a dangling link"),
    *("a link to itself", "below it", "a long name", "a long path", "a device", "below a device"),
    *("where the system tells", "a null"),
)


@pytest.mark.parametrize("kind", KINDS)
def test_what_cannot_become_a_folder_is_refused_beforehand(tmp_path, kind):
    target = stands_in_the_way(tmp_path)[kind]
    before = entries(tmp_path)
    with pytest.raises(UsageError) as caught:
        files.check(target, "--out")
    assert str(caught.value).startswith("--out must be a folder")
    assert len(str(caught.value)) < 600
    assert entries(tmp_path) == before


def test_what_can_become_a_folder_passes_and_leaves_no_trace(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there")
    for name in ("there", "link", "link/inner", "not/there/yet", "n" * 255):
        files.check(tmp_path / name, "--out")
    assert entries(tmp_path) == ["link", "there"]
    assert entries(tmp_path / "there") == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_folder_of_somebody_else_is_refused_beforehand(tmp_path):
    code = """
import os, sys
from pathlib import Path
from interp import files
from interp.errors import UsageError
os.setegid(65534); os.seteuid(65534)
try:
    files.check(Path(sys.argv[1]) / "reports", "--out")
except UsageError as error:
    print(error)
"""
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o755)
        said, _ = child(code, place).communicate()
        assert "Permission denied" in said
        assert entries(Path(place)) == []


def test_what_a_library_in_rust_says_of_a_full_disk_is_a_sentence_too():
    words = "no/x cannot be written: No space left on device; make room"
    for said in (
        "No space left on device (os error 28)",
        "I/O error: No space left on device (os error 28)",
    ):
        with pytest.raises(InterpError, match=words), files.writing(Path("no/x"), "make room"):
            raise Exception(said)
    with pytest.raises(ZeroDivisionError), files.writing(Path("x"), "make room"):
        raise ZeroDivisionError


def test_what_is_said_names_the_place_and_the_way_out():
    with (
        pytest.raises(InterpError, match="x cannot be written: No space left on device; make room"),
        files.writing(Path("x"), "make room"),
    ):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
