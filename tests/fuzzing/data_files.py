"""Files of prompts, of labelled lines and of text as nobody would write them."""

import gzip
import json
import os

import foreign
from bent import bent
from command_lines import SHORT, shown
from forked import Place, call
from outcome import ran

SUFFIXES = ("csv", "jsonl", "json")


def ground(base, top):
    """A folder with what a new task and runs write as CSV and JSON, with labelled lines and a text."""
    here = foreign.models(base, top)
    with Place() as place:
        place.here = here
        for task in ("ioi", "induction", "gendered_pronoun"):
            words = ["run", "task_check", "--model", "books-gpt2", "--task", task, "--n", "6"]
            ended = call([*words, "--no-others", "--out", f"of/{task}"], place)
            assert ended.code == 0, ended
    found = here / "found"
    found.mkdir()
    for path in [*(here / "of").rglob("prompts.csv"), here / "prompts.csv"]:
        _in_all_kinds(path, found / f"prompts-{len(list(found.iterdir()))}")
    _in_all_kinds(here / "pairs.csv", found / "labels")
    (found / "text-1.txt").write_bytes((here / "text.txt").read_bytes())
    (found / "text-2.gz").write_bytes(gzip.compress((here / "text.txt").read_bytes()))
    return here


def _in_all_kinds(path, target):
    import pandas as pd

    frame = pd.read_csv(path)
    rows = json.loads(frame.to_json(orient="records"))
    target.with_suffix(".csv").write_bytes(path.read_bytes())
    target.with_suffix(".jsonl").write_text("\n".join(map(json.dumps, rows)))
    target.with_suffix(".json").write_text(json.dumps(rows))


def attempt(place, draw):
    """A bent file, read by a command that is meant for its kind."""
    path = draw.choice(sorted((place.here / "found").iterdir()))
    kind = path.name.partition("-")[0].partition(".")[0]
    suffix = path.suffix if draw.random() < 0.9 else "." + draw.choice((*SUFFIXES, "txt", "gz"))
    file = place.here / f"bent{suffix}"
    what = _put(file, path.read_bytes(), draw)
    run = ["run", "task_check", "--no-others", "--task", file.name, "--model"]
    new = ["finetune", "tiny-gpt2", "models/new"]
    train = ["train", "models/new", "--text", file.name, "--layers", "1", "--width", "16"]
    train += ["--vocabulary", "300"]
    pairs = ["run", "pair_scoring", "--classifier", "models/judge", "--pairs", file.name]
    words = draw.choice({
        "prompts": ([*run, "tiny-gpt2"], [*run, "tiny-llama", "--n", "2"], [*run, "books-gpt2"],
                    ["run", "logit_lens", "--task", file.name, "--model", "books-gpt2", "--dry-run"]),
        "labels": ([*new, "--labels", file.name, "--context", "32", *SHORT], [*pairs, "--explain", "1"]),
        "text": ([*train, "--context", "16", *SHORT], [*new, "--text", file.name, "--context", "8", *SHORT]),
    }[kind])  # fmt: skip
    return f"{path.name} with {what}: {shown(words)}", *ran(words, place)


def _put(file, whole, draw):
    """Makes the file of these bytes, and says how."""
    kind = draw.choice(
        ("bent",) * 12 + ("rows", "columns", "bomb", "pipe", "device", "empty", "sparse")
    )
    match kind:
        case "bent":
            packed = whole[:2] == b"\x1f\x8b" and draw.random() < 0.5
            whole = bent(gzip.decompress(whole) if packed else whole, draw)
            file.write_bytes(gzip.compress(whole) if packed else whole)
        case "rows":
            line = whole[whole.rfind(b"\n", 0, -1) + 1 :].rstrip(b"\n")
            file.write_bytes(whole.rstrip(b"\n") + (b"\n" + line) * draw.choice((10_001, 200)))
        case "columns":
            head, _, rest = whole.partition(b"\n")
            file.write_bytes(head + b",x" * draw.choice((300, 200_000)) + b"\n" + rest)
        case "bomb":
            file.write_bytes(gzip.compress(bytes(draw.choice((10**6, 10**9)))))
        case "pipe":
            os.mkfifo(file)
        case "device":
            file.symlink_to(draw.choice(("/dev/zero", "/dev/urandom", "/dev/null", "/dev/full")))
        case "empty":
            file.touch()
        case "sparse":
            file.touch()
            os.truncate(file, draw.choice((1 << 40, 10_000_000)))
    return kind
