"""What a run depends on, and the words for what changed."""

import pytest

from interp.runs import key as keys
from interp.runs.key import Key, changes, stored

PARTS = {"weights": "a" * 64, "seed": 0, "settings": {"top": 5, "prompt": "Hello"}}
CODE = {"interp/sites.py": "1", "experiments/study.py": "2"}


@pytest.mark.parametrize(
    ("parts", "code", "words"),
    [
        ({}, {}, ""),
        ({"seed": 1}, {}, "seed changed (0 → 1)"),
        ({"weights": "b" * 64}, {}, "weights changed"),
        ({"settings": {"top": 8, "prompt": "Hello"}}, {}, "settings changed (top 5 → 8)"),
        ({}, {"interp/sites.py": "3"}, "code changed (interp/sites.py)"),
        (
            {"seed": 1},
            {"interp/sites.py": "3", "interp/new.py": "4"},
            "code changed (interp/new.py and 1 more); seed changed (0 → 1)",
        ),
    ],
)
def test_what_changed_is_named(parts, code, words):
    old, new = Key(PARTS, CODE), Key({**PARTS, **parts}, {**CODE, **code})
    assert changes(old, new) == words
    assert (old.digest == new.digest) == (words == "")


def test_a_key_comes_back_from_disk_as_it_was(tmp_path):
    key = Key(PARTS, CODE)
    key.save(tmp_path)
    assert stored(tmp_path) == key
    assert stored(tmp_path).digest == key.digest


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"parts": 1, "code": 2}', "\x00"])
def test_a_damaged_key_is_none(tmp_path, text):
    (tmp_path / keys.FILE).write_text(text)
    assert stored(tmp_path) is None


def test_a_change_of_looks_is_no_change_of_numbers():
    files = keys.package_code()
    assert "interp/sites.py" in files
    assert "interp/runs/key.py" in files
    assert not any(name.startswith("interp/report/") for name in files)
