"""Commands whose standard output or error is closed, full, left by its reader, or of few characters."""

from command_lines import SHORT, SMALL, shown
from forked import OTHER_CODINGS, Place, call
from outcome import LIMIT, changed, files, problems

KINDS = ("file", "full", "closed", "gone", *OTHER_CODINGS)
LOST = ("full", "closed")
GOOD = (
    *(["list"], ["models"], ["tasks"], ["tasks", "--format"], ["doctor"], ["index"], ["render"]),
    *(["run", "works", "--help"], ["--help"], ["--version"], ["run", "works", "--model", "tiny-neox"]),
    *(["run", "works", "--model", "tiny-gpt2"], ["compare", "tiny-gpt2/none/works", "tiny-llama/none/works"]),
    *(["new", "question"], ["new-task", "mine"], ["export", "tiny-gpt2", "exported"]),
    ["train", "models/new", "--repeats", *SMALL, *SHORT],
    *(["rnu"], ["run", "nothing"], ["run", "works", "--model", "é/\x1b[2Jx"], ["run", "--top", "٣"]),
    *(["run", "works", "--model", "nowhere"], ["index", "--out", "text.txt"]),
)  # fmt: skip


def attempt(place, draw):
    """The work is done as with whole streams; what is lost is said on the other one."""
    words = draw.choice(GOOD)
    out, err = draw.choice(KINDS), draw.choice(KINDS)
    with Place(place.here) as usual:
        whole = call(words, usual, LIMIT)
        expected = files(usual.here)
    ended = call(words, place, LIMIT, (out, err))
    lost = bool(whole.out) and out in LOST
    code = whole.code or int(lost)
    found = problems(ended, place, (code,)) if ended.code != code else []
    if ended.code == code:
        found = [it for it in problems(ended, place, (0, 1, 2, 3)) if "without a word" not in it]
    silent = whole.code and err in (*LOST, "gone") and out not in ("file", *OTHER_CODINGS)
    if (
        code
        and not silent
        and (ended.out + ended.err).count("error: ") != 1
        and err not in (*LOST, "gone")
    ):
        found.append(f"exit code {code} and not one sentence: {(ended.out + ended.err)[-300:]!r}")
    if whole.code and err in LOST and out == "file" and "error: " not in ended.out:
        found.append("what is wrong is said nowhere")
    # Times differ from run to run, and so do what is drawn of them.
    other = [name for name in changed(expected, files(place.here)) if not _timed(name)]
    if other:
        found.append(f"other files than with whole streams: {other[:4]}")
    return f"{shown(words)} with output {out}, errors {err}", ended, found


def _timed(name):
    return name.endswith(
        ("report.html", "result.json", "results.json", "index.html", "state.safetensors")
    )
