"""Command lines as nobody would type them: good ones, taken from the commands' own options and the
studies' own settings, with a few words changed."""

import os
import shutil
import textwrap
from pathlib import Path

from forked import Place, call
from outcome import ran

ROOT = Path(__file__).parent.parent.parent
STUDY = '''"""Does it work?

Method  None.
"""

import pandas as pd

from interp.study import study
from interp.report import Headline, Report, Section, Table


@study(expects="It works.", task=None)
def works(model, task, *, prompt: str = "Mary and John", top: int = 5):
    run = model.run(prompt)
    frame = pd.DataFrame({"x": run.logits[0, -1].double().numpy()[:top]})
    largest = Headline("largest logit", float(run.logits[0, -1].max()))
    return Report("It does.", "supported", [Section("All", [Table("logits", frame)])], [largest])
'''
MODELS = ("tiny-gpt2", "tiny-llama", "tiny-attn-only", "tiny-neox", "tiny-qwen3", "models/mine")
SHORT = ("--steps", "6", "--batch", "2", "--warmup", "1")
SMALL = ("--preset", "attn-only", "--layers", "2", "--heads", "2", "--width", "16")
SMALL += ("--context", "32", "--vocabulary", "33")
ONE_LAYER = ("--layers", "1", "--width", "16", "--context", "16", "--vocabulary", "300")
# Settings that would have a study train models for minutes.
QUICK = {"languages": ("--among", "ewe", "--trained", "ewe", "--steps", "2", "--vocabulary", "300")}
QUICK |= {"training_dynamics": ("--steps", "4", "--sequences", "2", "--measured", "2")}
QUICK |= {"finetune_diff": ("--before", "tiny-gpt2")}
FEW = ("0", "1", "2", "3", "5", "7", "12", "0.01", "1e-3", "1e-30", "0.999", "4294967295")
NUMBERS = (
    *("0", "-1", "1", "2", "3", "7", "100", "999999", "1000000", "1000001", "-0", "+1", " 1", "1 "),
    *("0.5", ".5", "1e3", "1e308", "1e309", "-1e308", "1e-320", "nan", "NaN", "inf", "-inf", "1j"),
    *("4294967295", "4294967296", str(2**31), str(2**63), str(2**64), str(10**18), "9" * 5000),
    *("-" + "9" * 400, "0x10", "0b1", "1_000", "1,2", "1,,2", ",", "1;2", "１２", "٣", "²", "none"),
    *("None", "true", "True", "False", "[]", "1e", "--1", "12 34", "0" * 3000 + "1"),
)
SIZES = (
    "1K",
    "64M",
    "0M",
    "1e9G",
    "9" * 400 + "G",
    "-1M",
    "1.5G",
    "1GG",
    "G",
    "1 m",
    "０1M",
    "1TiB",
)
TEXTS = (
    *("", " ", "\t", "\n", "a\nb", "\r", "\x1b[2J\x07", "\u202eabc", "é", "𝔘", "\udcff\udcfe"),
    *("x" * 255, "x" * 256, "x" * 5000, "x" * 100_000, "ü" * 200, "a " * 3000, "\ufeff", "\u200b"),
    *(
        "*",
        "?",
        "[a-z]",
        "**/*",
        "{a,b}",
        "~",
        "~nobody/x",
        "$HOME",
        "`id`",
        "$(touch y)",
        ";",
        "|",
    ),
    *("'", '"', "\\", "%s%n", "{}", "{0}", "<script>alert(1)</script>", "=1+1", "a=b", "@x", "#"),
    *("-", "--", "---", "-x", "=", "--=", "--model", "--help", "all", "works", "CON", "None"),
)
# Paths, of which only those below the folder can be written to.
PLACES = (
    *(".", "..", "./", "x/", "../x", "a//b", "text.txt", "text.txt/x", "pipe", "loop", "dangling"),
    *("huge", "empty", "folder", "binary", "pipe/x", "loop/x", "dangling/x", "reports", "models"),
    *("models/mine", "models/mine/training", "experiments", "experiments/works.py", "reports/x"),
    *("reports/tiny-gpt2/none/works", "reports/index.html", "/dev/null", "/dev/zero", "/dev/full"),
    *(
        "/dev/null/x",
        "/proc/self/mem",
        "/proc/1/x",
        "/proc/self/environ",
        "a/" * 60 + "a",
        "x" * 256,
    ),
    *("x/" + "y" * 300, "pairs.csv", "prompts.csv", "text.txt.gz", "bomb.gz", "one.json", "\n/x"),
)
# Most other options are numbers.
OF_OPTIONS = {
    (
        "--out",
        "--text",
        "--labels",
        "--task",
        "--model",
        "--classifier",
        "--pairs",
        "--before",
    ): PLACES,
    ("--base", "--trained", "--among", "--prompt", "--label", "--device", "--revision"): TEXTS,
    ("--freeze", "--nowhere", ""): TEXTS,
    ("--memory",): SIZES,
}
# What may take longer than anybody wants to wait, and is right to.
LASTING = ("run", "train", "finetune", "export", "tasks", "compare", "render")


def ground(top):
    """A folder with studies, texts, prompts, labelled lines, two runs and a trained model."""
    here = top / "ground"
    shutil.copytree(ROOT / "experiments", here / "experiments")
    shutil.rmtree(here / "experiments" / "__pycache__", ignore_errors=True)
    (here / "experiments" / "works.py").write_text(STUDY)
    rows = [f"the fox number {row} saw {row * 7} grapes and said sour" for row in range(300)]
    (here / "text.txt").write_text("\n".join(rows))
    lines = [f"the {row} fox,it is {row},{row % 2}" for row in range(40)]
    (here / "pairs.csv").write_text("\n".join(["premise,hypothesis,label", *lines]) + "\n")
    with Place() as place:
        place.here.rmdir()
        place.here = here
        for words in (
            ["new-task", "prompts"],
            ["train", "models/mine", "--repeats", *SMALL, *SHORT],
            ["run", "works", "--model", "tiny-gpt2"],
            ["run", "works", "--model", "tiny-llama"],
        ):
            ended = call(words, place)
            assert ended.code == 0, ended
    for made in here.rglob("__pycache__"):
        shutil.rmtree(made)
    return here


def furnish(here):
    """Puts what is no ordinary file, or no file of any use, into a folder."""
    os.mkfifo(here / "pipe")
    os.symlink("loop", here / "loop")
    os.symlink("nowhere", here / "dangling")
    (here / "empty").touch()
    (here / "folder").mkdir()
    (here / "binary").write_bytes(bytes(range(256)) * 9)
    (here / "huge").touch()
    os.truncate(here / "huge", 1 << 40)
    (here / "one.json").write_text("[{}]")


def attempt(place, draw):
    """The words that were drawn, and what was wrong with how the command ended."""
    furnish(place.here)
    words = list(good(draw))
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        words = bent(words, draw)
    ended, found = ran(words, place, may_last=any(word in LASTING for word in words))
    if ended.code != 0 and words[:1] in (["list"], ["index"]) and words[1:] == []:
        found.append(f"exit code {ended.code}")
    return shown(words), ended, found


def shown(words):
    """A command as one line that a shell takes, shortened where a word repeats itself."""
    return "interp " + " ".join(
        textwrap.shorten(ascii(word), 200, placeholder="…'") for word in words
    )


def good(draw):
    """The words of a command that does its work."""
    new, model = "models/new", draw.choice(MODELS)
    text = ("--text", "text.txt")
    lines = (
        ("list",), ("models",), ("doctor",), ("index",), ("tasks",), ("tasks", "--format"),
        ("tasks", "--model", model, "--n", "2"), ("render",), ("index", "--out", "reports"),
        ("render", "reports/tiny-gpt2/none/works"), ("new", "question"), ("new-task", "mine"),
        ("compare", "tiny-gpt2/none/works", "reports/tiny-llama/none/works"),
        ("train", new, "--repeats", *SMALL, *SHORT), ("train", "models/mine", "--repeats", *SMALL, *SHORT),
        ("train", new, *text, *ONE_LAYER, *SHORT),
        ("finetune", model, new, *text, "--context", "8", *SHORT),
        ("finetune", model, new, "--labels", "pairs.csv", "--context", "32", *SHORT),
        ("export", model, "exported"),
    )  # fmt: skip
    if draw.random() < 0.5:
        return draw.choice(lines)
    study = draw.choice(_studies())
    words = ["run", study.name, "--model", model, *QUICK.get(study.name, ())]
    words += ["--n", "4"] if study.task else []
    words += ["--task", "prompts.csv"] if study.task and draw.random() < 0.2 else []
    return [*words, *draw.choice(((), (), ("--dry-run",), ("--help",), ("--force",)))]


def bent(words, draw):
    """The words with one change."""
    words = list(words)
    kinds = ("option", "replaced", "put", "gone", "twice")
    kind = draw.choices(kinds, weights=(24, 4, 1, 1, 1))[0]
    at = draw.randrange(1, len(words)) if len(words) > 1 else 0
    if kind == "option":
        name, flag = draw.choice(_options(words))
        value = hostile(draw, name)
        more = [f"{name}={value}"] if draw.random() < 0.5 else [name, value]
        more = [name] if flag or draw.random() < 0.05 else more
        words += more * draw.choice((1, 1, 1, 2))
    elif kind == "replaced" and at:
        words[at] = hostile(draw)
    elif kind == "gone" and at:
        del words[at]
    elif kind == "twice" and at:
        words.insert(at, words[at])
    else:
        words.insert(draw.randrange(len(words) + 1), hostile(draw))
    return words


def hostile(draw, option=""):
    """A word that means trouble, mostly of the kind that the option takes."""
    usual = next(
        (words for names, words in OF_OPTIONS.items() if option in names),
        FEW + NUMBERS if draw.random() < 0.5 else FEW,
    )
    return draw.choice(draw.choice((usual, usual, usual, NUMBERS, TEXTS, PLACES, SIZES)))


def _studies():
    from interp.study.registry import discover

    return sorted(discover().studies.values(), key=lambda study: study.name)


def _options(words):
    """(option, whether it is a flag) of the command that these words name, and of its studies."""
    from typer.main import get_command

    from interp.cli.main import app

    command = get_command(app).commands.get(words[0]) if words else None
    found = [("--help", True), ("--nowhere", False)]
    for each in command.params if command else ():
        if each.param_type_name == "option":
            found += [(name, each.is_flag) for name in (*each.opts, *each.secondary_opts)]
    if words[:1] == ["run"]:
        for study in _studies():
            times = 8 if study.name in words else 0
            found += [(it.option, it.kind == "bool") for it in study.settings] * times
        found.append(("--top", False))
    return found
