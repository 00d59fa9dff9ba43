"""A signature is a command line."""

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as any_

from interp.errors import UsageError
from interp.study import source
from interp.study.settings import of


def settings(parameters):
    tree = ast.parse(f"def study(model, task, *, {parameters}): ...")
    found = source.signature(tree.body[0], {})
    return {each.name: each for each in of(found, "study")}


@pytest.mark.parametrize(
    ("parameter", "words", "value"),
    [
        ("x: int = 1", ["-3"], -3),
        ("x: float = 1.0", ["1e-3"], 0.001),
        ("x: str = 'a'", ["a b, c"], "a b, c"),
        ("x: bool = False", ["true"], True),
        ("x: Literal['zero', 'mean'] = 'mean'", ["zero"], "zero"),
        ("x: Literal[1, 2] = 1", ["2"], 2),
        ("x: list[int] = [1]", ["1,2", "3"], [1, 2, 3]),
        ("x: list[str] = ()", ["a,b", "c"], ["a,b", "c"]),
        ("x: 'int | None' = None", ["4"], 4),
        ("x: int | None = 3", ["none"], None),
    ],
)
def test_words_become_the_annotated_type(parameter, words, value):
    parsed = settings(parameter)["x"].parse(words)
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    ("parameter", "words", "message"),
    [
        ("x: int = 1", ["1.5"], "--x must be an int, got '1.5'"),
        ("x: float = 1.0", ["nan"], "--x must be a finite number, .* got nan"),
        ("x: float = 1.0", ["inf"], "must be a finite number"),
        ("x: bool = False", ["yes"], "true or false"),
        ("x: Literal['zero', 'mean'] = 'mean'", ["max"], "one of zero, mean, got 'max'"),
        ("x: list[int] = [1]", ["1,,2"], "must be an int, got ''"),
        ("x: int = 1", ["1", "2"], "takes one value and was given 2 times"),
        ("x: int = 1", ["none"], "must be an int"),
    ],
)
def test_words_that_cannot_be_meant_are_refused(parameter, words, message):
    with pytest.raises(UsageError, match=message):
        settings(parameter)["x"].parse(words)


@given(
    any_.integers(-(2**63), 2**63 - 1),
    any_.floats(allow_nan=False, allow_infinity=False),
    any_.text(min_size=1),
)
def test_the_words_written_for_a_value_mean_that_value(whole, real, text):
    found = settings("a: int = 0, b: float = 0.0, c: str = '', d: list[str] = []")
    for name, value in {"a": whole, "b": real, "c": text, "d": [text, text]}.items():
        words = [word.partition("=")[2] for word in found[name].arguments(value)]
        assert found[name].parse(words) == value
