"""What is read from study files, without importing them."""

from dataclasses import asdict, fields

import pytest

from interp.errors import InterpError, UsageError
from interp.study.declaration import declaration_of
from interp.study.registry import discover, read

GOOD = '''"""Is it so?

Method  Look
        twice.
Units   None.
Limits  One look,
        by one eye.
Source  Own.
"""

from interp.study import experiment

PROMPT = "Hello"


@experiment(expects="It is.", task="ioi", default=False)
def study(model, task, *, prompt: str = PROMPT, top: int = 5, seed: int = 0):
    raise RuntimeError("never called")
'''


def write(folder, name, text=GOOD):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_study_is_read_without_being_imported(tmp_path):
    study = read(write(tmp_path, "looks.py", GOOD + "\nraise RuntimeError('imported')\n"))
    assert (study.name, study.question, study.expects) == ("looks", "Is it so?", "It is.")
    assert (study.task, study.default, study.gated) == ("ioi", False, True)
    assert [(each.name, each.default) for each in study.settings] == [
        ("prompt", "Hello"),
        ("top", 5),
    ]
    assert study.shared == ("seed",)


def test_the_limits_paragraph_is_parted_from_the_method(tmp_path):
    study = read(write(tmp_path, "looks.py"))
    assert study.limits == "One look, by one eye."
    assert study.method.startswith("Method  Look\n")
    assert study.method.endswith("Units   None.\n\nSource  Own.")


BROKEN = {
    "syntax error in line 2": '"""Q?"""\ndef x(:\n',
    "no docstring": GOOD.replace('"""', "# ", 1).replace('"""', "", 1).replace("\n", "\n# ", 9),
    "one function decorated": GOOD.replace("@experiment(", "print("),
    "imports 'nowhere_to_be_found'": GOOD.replace(
        "PROMPT =", "import nowhere_to_be_found\nPROMPT ="
    ),
    "imports 'interp.methods.nothing_such'": GOOD.replace(
        "PROMPT =", "from interp.methods.nothing_such import x\nPROMPT ="
    ),
    "needs an annotation and a default": GOOD.replace("top: int = 5", "top: int"),
    "expected int, float, str, bool": GOOD.replace("top: int = 5", "top: dict = None"),
    "the default of 'top' must be a literal": GOOD.replace("top: int = 5", "top: int = len('x')"),
    "no setting can be called 'out'": GOOD.replace("top: int = 5", "out: int = 5"),
    "must take (model, task, *, settings…)": GOOD.replace("(model, task,", "(model,"),
    "@study needs expects=": GOOD.replace('expects="It is.", ', ""),
    "@study takes expects=": GOOD.replace("default=False", "defualt=False"),
}


@pytest.mark.parametrize("reason", BROKEN)
def test_a_broken_file_is_listed_with_its_reason_and_stops_nothing(tmp_path, reason):
    write(tmp_path, "bad.py", BROKEN[reason])
    write(tmp_path, "good.py")
    registry = discover(tmp_path)
    assert list(registry.studies) == ["good"]
    assert [file.name for file in registry.broken] == ["bad"]
    assert reason in registry.broken[0].error


def test_bytes_that_are_no_text_are_a_broken_file(tmp_path):
    (tmp_path / "bad.py").write_bytes(b'"""\xff\xfe"""')
    assert "cannot be read" in discover(tmp_path).broken[0].error


def test_a_file_with_a_name_that_is_no_identifier_is_broken(tmp_path):
    write(tmp_path, "my-study.py")
    write(tmp_path, "_left_alone.py", "")
    registry = discover(tmp_path)
    assert [file.path.name for file in registry.broken] == ["my-study.py"]
    assert not registry.studies


def test_all_is_the_default_suite_and_a_name_twice_is_one_run(tmp_path):
    write(tmp_path, "usual.py", GOOD.replace(", default=False", ""))
    write(tmp_path, "rare.py")
    registry = discover(tmp_path)
    assert [study.name for study in registry.pick(["all", "usual"])] == ["usual"]
    assert [study.name for study in registry.pick(["rare", "all"])] == ["rare", "usual"]


def test_an_unknown_name_lists_the_nearest(tmp_path):
    write(tmp_path, "head_ablation.py")
    with pytest.raises(UsageError, match="nearest names: head_ablation"):
        discover(tmp_path).pick(["head_ablations"])


def test_a_broken_file_asked_for_by_name_says_why_it_is_broken(tmp_path):
    write(tmp_path, "bad.py", "x = 1")
    with pytest.raises(InterpError, match=r"bad\.py is broken: no docstring"):
        discover(tmp_path).pick(["bad"])


def test_loading_gives_the_function_that_the_source_declared(tmp_path):
    study = read(write(tmp_path, "looks.py"))
    function = study.load()
    assert function.__name__ == "study"
    declared = declaration_of(function)
    assert {each.name: getattr(study, each.name) for each in fields(declared)} == asdict(declared)
