"""A setting that cannot be meant is refused in one sentence, wherever it comes from."""

from pathlib import Path
from typing import Annotated

import pytest

import interp
from interp import tasks
from interp.cli import words as said
from interp.cli.main import main
from interp.errors import UsageError
from interp.report import Report
from interp.study import Count, Example, Heads, Layer, Range, experiment, ranges
from interp.study.registry import discover
from interp.study.settings import USUAL

STUDIES = discover(Path(__file__).parents[2] / "experiments").studies
MODEL = interp.load("tiny-gpt2")  # 3 layers of 4 heads
NUMBERS = [
    pytest.param(study, setting, id=f"{study.name} {setting.option}")
    for study in STUDIES.values()
    for setting in study.settings
    if setting.kind in USUAL and not setting.choices
]


@pytest.mark.parametrize(("study", "setting"), NUMBERS)
def test_every_number_of_every_study_is_held_against_a_range(study, setting):
    """A size of the model, a bound of its own: whichever it is, one past it on each side is out."""
    assert setting.range is not None, "declare what it may be: see interp.study.ranges"
    held = setting.range
    past = [
        f"{held.least - 1}",
        f"{held.most + 1}",
        "9" * 400,
        "9" * 5000,
        "nan",
        "-inf",
        "",
        "ten",
    ]
    for word in past:
        with pytest.raises(UsageError, match=f"{setting.option} must be ") as refused:
            said.values(study, {setting.name: [word]})
        assert len(str(refused.value)) < 200


@pytest.mark.parametrize(("study", "setting"), NUMBERS)
def test_what_a_model_does_not_have_cannot_be_named_but_is_counted(study, setting):
    task = tasks.build(study.task, MODEL.tokenizer, n=4) if study.task else None
    held = setting.range
    if held.index:
        for value in (99, -99):
            with pytest.raises(UsageError, match=f"{setting.option} must be from .*, got {value}"):
                setting.fit(value, MODEL, task, setting.option)
    elif held.count:
        size = ranges.SIZES[held.count](MODEL, task)
        assert held.fit("top", size + 1, MODEL, task) == (
            size,
            f"top is {size + 1:,}: there are {size:,} {held.count}, and all are taken.",
        )


@pytest.fixture
def study():
    """A study that says in its answer what it was given."""

    @experiment(expects="", task=None)
    def study(
        model,
        task,
        *,
        top: Heads = 3,
        layer: Layer = -1,
        example: Example = 0,
        draws: Count = 2,
        share: Annotated[float, Range(0.0, 1.0)] = 0.5,
        many: list[Annotated[int, Range(0, 9)]] = (1,),
        maybe: Count | None = None,
        bare: int = 1,
        seed: int = 0,
    ) -> Report:
        return Report(f"{top} {layer} {example}", "supported", [])

    return study


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"top": 0}, "top must be from 1 to 1,000,000, got 0"),
        ({"top": 2.5}, "top must be an int, got 2.5"),
        ({"top": True}, "top must be an int, got True"),
        ({"top": None}, "top must be an int, got None"),
        ({"draws": -1}, "draws must be from 1 to 10,000, got -1"),
        ({"layer": 3}, "layer must be from -3 to 2, got 3: there are 3 layers, numbered from 0"),
        ({"layer": -4}, "layer must be from -3 to 2, got -4"),
        ({"example": 4}, "example must be from 0 to 3, got 4: there are 4 prompts"),
        ({"share": float("nan")}, "share must be a finite number, from 0 to 1, got nan"),
        ({"share": 1.5}, "share must be from 0 to 1, got 1.5"),
        ({"share": "1"}, "share must be a number, got '1'"),
        ({"many": [1, 10]}, "many must be from 0 to 9, got 10"),
        ({"many": []}, "many needs at least one number"),
        ({"maybe": 0}, "maybe must be from 1 to 10,000, got 0"),
        ({"bare": 10**400}, r"bare must be from .*, got 1000.*\(401 characters\)"),
        ({"bare": 10**5000}, "bare must be from .*, got a number of thousands of digits"),
        ({"seed": 2**32}, "seed must be from 0 to 4,294,967,295, got 4294967296"),
    ],
)
def test_a_study_called_in_python_refuses_the_same(study, given, message):
    task = tasks.build("ioi", MODEL.tokenizer, n=4)
    with pytest.raises(UsageError, match=message):
        study(MODEL, task, **given)


def test_what_was_taken_instead_of_what_was_asked_for_is_a_line_of_the_report(study):
    report = study(MODEL, None, top=50, layer=-3)
    assert report.answer == "12 -3 0"
    assert report.limits == ("top is 50: there are 12 heads, and all are taken.",)
    assert study(MODEL, None).limits == ()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["head_ablation", "--top", "0"], "--top must be from 1 to 1,000,000, got 0"),
        (["head_ablation", "--draws", "-1"], "--draws must be from 1 to 10,000, got -1"),
        (["logit_lens", "--example", "99"], "--example must be from 0 to 3, got 99"),
        (["anatomy", "--head", "99"], "--head must be from -1 to 3, got 99"),
        (["head_decomposition", "--layer=-9"], "--layer must be from -3 to 2, got -9"),
    ],
)
def test_the_command_line_ends_with_2_and_one_sentence(
    tmp_path, monkeypatch, capsys, words, message
):
    monkeypatch.chdir(tmp_path)
    code = main(["run", *words, "--model", "tiny-gpt2", "--n", "4"])
    out, complaint = capsys.readouterr()
    assert (code, out, list(tmp_path.iterdir())) == (2, "", [])
    assert message in complaint
    assert complaint.count("\n") == 1
