"""Numbers, names and places that cannot be meant end with exit code 2 and one short sentence, before
anything is loaded, made or written."""

import pytest

from interp.cli.main import main
from interp.cli.words import n_bytes
from interp.errors import UsageError

RUN = ("run", "anatomy", "--model", "tiny-gpt2")
TRAIN = ("train", "model", "--repeats")
NO_NUMBERS = ("", "ten", "nan", "1e9", "9" * 5000, "0x10")
BOUNDS = {
    "n": (RUN, ["0", "-1", "10001", "9" * 400]),
    "seed": (RUN, ["-1", "4294967296", "9" * 400]),
    "steps": (TRAIN, ["0", "-1", "1000000001", "9" * 400]),
    "batch": (TRAIN, ["0", "1000000000", "9" * 400]),
    "layers": (TRAIN, ["0", "1000000000"]),
    "heads": (TRAIN, ["0", "1000000000"]),
    "width": (TRAIN, ["0", "1000000000"]),
    "mlp": (TRAIN, ["-1", "1000000000"]),
    "vocabulary": (TRAIN, ["2", "1000000000"]),
    "context": (TRAIN, ["1", "1000000000"]),
    "warmup": (TRAIN, ["-1", "9" * 400]),
}
REAL = {"rate": ["0", "-1", "1e5"], "decay": ["-0.1", "1.1"], "clip": ["0"], "repeated": ["2"]}
CASES = [
    *((words, name, value) for name, (words, each) in BOUNDS.items() for value in each),
    *((words, name, value) for name, (words, _) in BOUNDS.items() for value in NO_NUMBERS),
    *((TRAIN, name, value) for name, each in REAL.items() for value in each),
    *((TRAIN, name, value) for name in REAL for value in ("", "ten", "nan", "-inf", "1e999")),
]


@pytest.fixture
def refused(tmp_path, monkeypatch, capsys):
    """The one sentence with which a command ends; nothing is left behind."""
    monkeypatch.chdir(tmp_path)

    def call(*words):
        code = main(words)
        out, complaint = capsys.readouterr()
        assert (code, out) == (2, ""), complaint
        assert complaint.count("\n") == 1
        assert len(complaint) < 600
        assert not any(path.is_file() for path in tmp_path.rglob("*"))
        return complaint

    return call


@pytest.mark.parametrize(("words", "name", "value"), CASES)
def test_a_number_out_of_range_is_told_with_its_name_and_its_range(refused, words, name, value):
    said = refused(*words, f"--{name}={value}")
    assert f"error: --{name} must be " in said
    assert "got " in said


@pytest.mark.parametrize("text", ["", " ", "a\0b"])
@pytest.mark.parametrize("name", ["model", "task", "device", "revision", "out"])
def test_a_name_is_not_empty(refused, name, text):
    assert f"--{name} needs a name, got" in refused("run", "anatomy", f"--{name}={text}")


@pytest.mark.parametrize(
    "words",
    [
        ("train", "", "--repeats"),
        ("finetune", "tiny-gpt2", "", "--text", "x"),
        ("finetune", "", "x", "--text", "x"),
        ("export", "", "x"),
        ("export", "tiny-gpt2", ""),
    ],
)
def test_neither_is_an_argument(refused, words):
    assert "needs a name, got ''" in refused(*words)


@pytest.mark.parametrize(
    ("study", "option"), [("mlp_neurons", "text"), ("anatomy", "prompt"), ("pair_scoring", "pairs")]
)
def test_nothing_is_no_value_of_a_setting_that_has_another(refused, study, option):
    assert f"--{option} must not be empty" in refused("run", study, f"--{option}=")


@pytest.mark.parametrize("device", ["hpu", "meta", "cuda:99", "nonsense", "x" * 1000])
def test_a_device_that_is_not_there_is_refused(refused, device):
    assert "device '" in refused(*RUN, "--device", device)


@pytest.mark.parametrize(
    "text",
    [
        "0",
        "-1",
        "nan",
        "inf",
        "",
        "9" * 400,
        "9" * 5000,
        "1e400",
        "2G2",
        "0.5",
        "99999T",
        "２G",
        "-5M",
    ],
)
def test_a_size_of_memory_is_one(text):
    with pytest.raises(UsageError, match="--memory expects a size from 1K to 1024T") as refused:
        n_bytes(text)
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize(
    "words",
    [
        ("--batch", "1048576"),
        ("--width", "131072", "--heads", "1"),
        ("--layers", "10000", "--width", "8192"),
        ("--context", "1048576"),
        ("--vocabulary", "4194304", "--width", "65536"),
        ("--mlp", "4194304", "--width", "8192"),
        ("--heads", "1024", "--width", "1024", "--context", "8192", "--batch", "1000"),
    ],
)
def test_a_training_that_does_not_fit_is_refused_before_it_is_made(refused, words):
    assert "this training needs " in refused(*TRAIN, *words)


def test_there_are_only_so_many_letters(refused):
    said = refused(
        *TRAIN, "--vocabulary", "200000", "--width", "8", "--heads", "1", "--layers", "1"
    )
    assert "there are letters for" in said
    assert "200,000 were asked for" in said
