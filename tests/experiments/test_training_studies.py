"""The studies that train models of their own: valid reports, and what they claim is in their tables."""

import pytest

import interp
from interp.study.registry import discover
from interp.training import dynamics
from interp.training.data import Repeats


def study(name, **settings):
    function = discover().studies[name].load()
    return function(interp.load("tiny-gpt2"), None, **settings)


def table(report, name):
    return next(each for each in report.tables if each.name == name).frame


@pytest.fixture(scope="module")
def grown():
    return study("training_dynamics", steps=6, measured=3, sequences=8, context=16, vocabulary=12)


def test_training_dynamics_measures_before_and_after_on_unread_sequences(grown):
    heads = grown.files["heads"]
    assert sorted(heads.step.unique()) == [0, 2, 4, 6]
    assert len(heads) == 4 * 2 * 4
    assert heads.induction.between(0, 1).all()
    assert all(check.passed for check in grown.checks)


def test_six_steps_grow_no_induction_head(grown):
    assert grown.verdict == "not supported"


def test_a_probe_is_read_by_no_step_and_repeats_half_the_context():
    source = Repeats(size=30, n_ctx=17, begin=0, first=1, shortest=4, longest=8, seed=0)
    of = dynamics.probe(source, count=5, seed=0)
    assert of.tokens.shape == (5, 17)
    assert of.tokens[:, 1:9].equal(of.tokens[:, 9:])
    assert all(len(set(row.tolist())) == 9 for row in of.tokens)


def test_languages_holds_an_own_tokenizer_beside_the_given_one():
    report = study(
        "languages", among=["ewe"], trained=["ewe"], base="tiny-gpt2", vocabulary=300, steps=2
    )
    fits, bits, curves, differences = (
        table(report, name) for name in ("tokenizers", "bits", "curves", "differences")
    )
    assert fits.own_tokens_per_word[0] < fits.tokens_per_word[0]
    assert 0 < fits.own_broken[0] < fits.broken[0] < 1
    needed = bits.set_index("model").bits_per_byte
    # The given model is the one that is fine-tuned.
    assert needed["as it is"] == pytest.approx(needed["base as it is"])
    assert needed["fine-tuned"] < needed["base as it is"]
    assert bits.n.tolist() == [10] * 5
    assert (bits.ci_low < bits.bits_per_byte).all()
    assert (bits.bits_per_byte < bits.ci_high).all()
    assert curves.step.tolist() == [0, 2] * 3
    assert curves.bits_per_byte.iloc[3] == pytest.approx(needed["fine-tuned"])
    # Its embeddings are the own model's, its layers the base's.
    began = curves[curves.step == 0].set_index("model").bits_per_byte
    assert began["own tokenizer on base"] != pytest.approx(began["own model"], abs=1e-4)
    between = differences.set_index(["first", "second"]).difference
    assert between["fine-tuned", "as it is"] == pytest.approx(
        needed["fine-tuned"] - needed["as it is"]
    )


def test_two_files_of_one_name_in_two_folders_are_two_languages(tmp_path):
    paths = []
    for folder, word in (("a", "oro"), ("b", "ulu")):
        (tmp_path / folder).mkdir()
        paths.append(str(tmp_path / folder / "mine.txt"))
        lines = [f"{word} {row} {word}" for row in range(220)]
        (tmp_path / folder / "mine.txt").write_text("\n".join(lines), encoding="utf-8")
    report = study(
        "languages", among=[], trained=paths, base="tiny-gpt2", vocabulary=270, steps=1, measured=1
    )
    for name in ("bits", "curves", "tokenizers"):
        assert table(report, name).language.unique().tolist() == paths
    assert len(table(report, "curves")) == 2 * 3 * 2
