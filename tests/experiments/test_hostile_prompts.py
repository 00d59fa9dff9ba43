"""A file of hostile prompts ends in a correct page: what it says is text, and is seen."""

import json
from pathlib import Path

import pytest

from interp.cli.main import main

ROOT = Path(__file__).parent.parent.parent
HOSTILE = {
    "html": "</script><img src=x onerror=alert(1)><b>",
    "right to left": "\u202egnp.exe\u2066 \u200f",
    "separators": "\u2028\u2029\x85\x0b",
    "markdown": "[x](javascript:alert(1)) **`",
}


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page of `task_check` on all of them, blank lines between."""
    folder = tmp_path_factory.mktemp("hostile")
    lines = [
        json.dumps(
            {"clean": f"{text} Mary", "corrupted": f"{text} John", "answer": " Mary"}
            | {"wrong": " John", "template": f"{text} {name}", "order": text, "pos_<b>": 1}
        )
        for name, text in HOSTILE.items()
    ]
    file = folder / "<b> mine.jsonl"
    file.write_text("\n\n".join(lines) + "\n", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        words = ["--model", "tiny-llama", "--task", str(file), "--out", str(folder / "out")]
        assert main(["run", "task_check", "--no-others", *words]) == 0
    (found,) = (folder / "out").rglob("report.html")
    return found.read_text(encoding="utf-8")


def test_no_text_of_a_prompt_becomes_markup(page):
    assert "<img src=x" not in page
    assert "onerror=alert(1)&gt;" in page
    assert "<b> mine" not in page
    assert 'href="javascript' not in page


def test_marks_that_turn_or_hide_text_are_spelt_out(page):
    assert not [mark for mark in "\u202e\u2066\u200f\u2028\u2029\x85\x0b" if mark in page]
    assert "202E" in page.upper()


def test_all_prompts_ran_and_none_was_dropped(page):
    assert "All prompts are structurally fit." in page
