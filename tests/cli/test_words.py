"""Names and settings come mixed; the studies say which is which."""

import pytest

from interp.cli.words import check_used, split, values
from interp.errors import UsageError
from interp.study.registry import discover

STUDY = '''"""Is it so?"""
from interp.study import study
@study(expects="Yes.", task=None)
def study(model, task, *, {settings}): ...
'''


@pytest.fixture
def registry(tmp_path):
    for name, settings in {
        "first": "top: int = 5, show_all: bool = False",
        "second": "top: int = 1, names: list[str] = []",
    }.items():
        (tmp_path / f"{name}.py").write_text(STUDY.format(settings=settings))
    return discover(tmp_path)


def test_names_and_settings_may_come_in_any_order(registry):
    names, given = split(["--top", "-3", "first", "--show-all", "second"], registry)
    assert names == ["first", "second"]
    assert given == {"top": ["-3"], "show_all": ["true"]}
    first, second = registry.pick(names)
    assert values(first, given) == {"top": -3, "show_all": True}
    assert values(second, given) == {"top": -3, "names": []}


def test_a_flag_can_be_turned_off_and_a_list_repeated(registry):
    words = ["first", "second", "--no-show-all", "--names=--a", "--names", "b"]
    assert split(words, registry)[1] == {"show_all": ["false"], "names": ["--a", "b"]}


def test_a_list_goes_on_until_an_option_or_a_study_begins(registry):
    words = ["second", "--names", "a", "b", "first", "--top", "3"]
    assert split(words, registry) == (["second", "first"], {"names": ["a", "b"], "top": ["3"]})


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["first", "--topp", "3"], "no option is called '--topp' here; nearest names: --top"),
        (["first", "--modle", "x"], "nearest names: --model"),
        (["first", "--top"], "--top needs a value"),
        (["first", "-top", "3"], "no option is called '-top'"),
        (["first", "--no-top"], "no option is called '--no-top'"),
    ],
)
def test_options_that_no_study_has_are_refused(registry, words, message):
    with pytest.raises(UsageError, match=message):
        split(words, registry)


def test_a_setting_of_a_study_that_does_not_run_is_refused(registry):
    with pytest.raises(UsageError, match="second has no setting --show-all; nearest names"):
        check_used({"show_all": ["true"]}, registry.pick(["second"]))
