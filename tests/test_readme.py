"""What the README shows works: its Python runs from top to bottom, its commands exist."""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from interp.errors import UsageError
from interp.study.registry import discover

README = Path(__file__).parents[1] / "README.md"
MAKEFILE = README.with_name("Makefile")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


def commands(program: str) -> list[list[str]]:
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    return [shlex.split(line)[1:] for line in lines if line.split(" ")[0] == program]


@pytest.mark.real
def test_the_python_of_the_readme_runs_from_top_to_bottom(capsys):
    source = "\n".join(blocks("python"))
    exec(compile(source, str(README), "exec"), {})
    said = capsys.readouterr().out
    assert "TFLOP instead of" in said
    assert re.search(r"zero L2[5-9]H\d z", said)
    assert "most likely next token has probability" in said


def test_every_make_command_of_the_readme_is_a_target():
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE.read_text(encoding="utf-8"), re.MULTILINE))
    asked = [words[0] for words in commands("make")]
    assert len(asked) > 5
    assert set(asked) <= targets


@pytest.mark.parametrize("words", commands("interp"), ids=" ".join)
def test_every_interp_command_of_the_readme_is_understood(words):
    from interp.cli.main import app

    # Asking for help with the same words shows that the command and its options exist.
    done = CliRunner().invoke(app, [words[0], "--help"])
    assert done.exit_code == 0
    known = done.output
    if words[0] == "run" and words[1] != "all":
        known += " ".join(f"--{each.name}" for each in discover().studies[words[1]].settings)
    for option in (word for word in words if word.startswith("--")):
        assert option in known


def test_the_map_of_the_house_names_every_room():
    rooms = {path.name for path in (README.parent / "interp").iterdir() if path.is_dir()}
    rooms -= {"__pycache__"}
    house = README.read_text(encoding="utf-8").split("## The house")[1]
    assert {room for room in rooms if f"  {room}/" not in house} == set()


def _portings():
    """The rows of the table of TransformerLens's spellings: the snippets of both columns."""
    table = (
        README.read_text(encoding="utf-8").split("| TransformerLens | here |")[1].split("\n\n")[0]
    )
    rows = [line.strip("| ").split(" | ") for line in table.splitlines()[2:]]
    return [(re.findall(r"`([^`]+)`", theirs), ours) for theirs, ours in rows]


@pytest.fixture(scope="module")
def notebook():
    """What a notebook has at hand when it is ported."""
    import torch

    import interp
    from interp import edits, sites
    from interp.metrics import Loss, measured

    model = interp.load("tiny-gpt2")
    text = "When Mary and John went"
    tokens = model.to_tokens(text)
    return {
        **{"interp": interp, "edits": edits, "sites": sites, "torch": torch, "model": model},
        **{"text": text, "tokens": tokens, "cache": model.run_with_cache(tokens)[1]},
        **{"name": "blocks.0.attn.hook_z", "function": lambda value, hook: value},
        **{"Loss": Loss, "measured": measured},
    }


@pytest.mark.parametrize("row", _portings(), ids=lambda row: row[0][0])
def test_what_the_readme_says_of_porting_holds_when_it_is_run(row, notebook):
    theirs, ours = row
    if ours.startswith("the same"):
        for snippet in theirs:
            assert eval(snippet, dict(notebook)) is not None
        return
    for snippet in theirs:
        with pytest.raises((AttributeError, NameError, TypeError, UsageError)):
            eval(snippet, dict(notebook))
    for snippet in re.findall(r"`([^`]+)`", ours):
        if not snippet.startswith("interp."):
            assert eval(snippet, dict(notebook)) is not None


def test_the_glossary_is_the_one_in_the_code():
    from interp.glossary import GLOSSARY, markdown

    assert markdown() in README.read_text(encoding="utf-8")
    assert 35 <= len(GLOSSARY) <= 50
