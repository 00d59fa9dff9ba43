"""Text in: what can be read, what is refused in one sentence, and what becomes of it."""

import gzip

import numpy as np
import pytest
import torch

from interp.errors import UsageError
from interp.training import bpe, corpus
from interp.training.data import split

STORY = (
    """The fox saw the grapes. The grapes hung high, and the fox could not reach them.
Sour are the grapes that others eat, said he, walking away.
"""
    * 40
)


def test_a_file_a_gzip_and_a_folder_hold_the_same_documents(tmp_path):
    text = f"one\ntwo\n{corpus.END}\nthree\n{corpus.END}\n\n"
    (tmp_path / "a.txt").write_text(text)
    (tmp_path / "b.gz").write_bytes(gzip.compress(text.encode()))
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "first.txt").write_text("one\ntwo")
    (tmp_path / "more" / "second.md").write_text("three")
    (tmp_path / "more" / ".hidden.txt").write_text("four")
    (tmp_path / "more" / "picture.png").write_bytes(b"\x89PNG\x00")
    for name in ("a.txt", "b.gz", "more"):
        assert corpus.documents(tmp_path / name) == ["one\ntwo", "three"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "no text to learn from"),
        (b" \n\n<|endoftext|>\n", "no text to learn from"),
        (b"\x7fELF\x00\x01", "byte 4 is zero"),
        (b"caf\xe9", "not UTF-8: byte 3"),
        (b"PK\x03\x04", "compressed"),
        (b"\xff\xfea\0", "UTF-16"),
        (b"\x1f\x8b\x08truncated", "cannot be read"),
    ],
)
def test_what_is_no_text_is_refused(content, sentence, tmp_path):
    (tmp_path / "file.txt").write_bytes(content)
    with pytest.raises(UsageError, match=sentence):
        corpus.documents(tmp_path / "file.txt")


def test_a_gzip_that_unpacks_to_more_than_is_read_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(corpus, "MOST_BYTES", 1 << 20)
    (tmp_path / "bomb.txt").write_bytes(gzip.compress(b"a" * (1 << 25)))
    with pytest.raises(UsageError, match="unpacks to more than the 1 MB"):
        corpus.documents(tmp_path / "bomb.txt")
    (tmp_path / "bomb.txt").unlink()
    for name in ("one", "two"):
        (tmp_path / f"{name}.txt").write_text("a" * 600_000)
    with pytest.raises(UsageError, match="two.txt is larger than"):
        corpus.documents(tmp_path)


def test_a_missing_path_and_a_folder_without_text_are_refused(tmp_path):
    for path in (tmp_path / "nothing", tmp_path):
        with pytest.raises(UsageError):
            corpus.documents(path)


def test_a_text_that_looks_like_the_special_token_ends_no_document():
    (only,) = corpus._split("a <|endoftext| > b")
    assert (bpe.encode(bpe.learn([STORY], 300), [only]) == 0).sum() == 1


@pytest.fixture
def stream():
    return split(np.arange(1, 1001, dtype=np.uint16), begin=0, n_ctx=8, seed=0)


def test_held_out_windows_are_read_by_no_step_and_not_twice(stream):
    held_out = stream.validation(64)[:, 1:].flatten().tolist()
    assert len(set(held_out)) == len(held_out) == 16
    read = {int(token) for step in range(300) for token in stream.batch(step, 8).flatten()}
    assert not read & set(held_out)
    assert len(read) > 950


def test_a_batch_depends_on_seed_and_step_alone(stream):
    again = split(np.arange(1, 1001, dtype=np.uint16), begin=0, n_ctx=8, seed=0)
    other = split(np.arange(1, 1001, dtype=np.uint16), begin=0, n_ctx=8, seed=1)
    again.batch(3, 4)
    assert stream.batch(7, 4).equal(again.batch(7, 4))
    assert not stream.batch(7, 4).equal(stream.batch(8, 4))
    assert not stream.batch(7, 4).equal(other.batch(7, 4))


def test_a_window_is_text_after_an_end_of_text(stream):
    rows = stream.batch(0, 16)
    assert (rows[:, 0] == 0).all()
    assert (rows[:, 2:] - rows[:, 1:-1] == 1).all()


def test_a_share_of_the_windows_repeats_what_they_began_with():
    tokens = np.arange(1, 5001, dtype=np.uint16)
    stream = split(tokens, begin=0, n_ctx=32, seed=0, repeated=0.25)
    rows = stream.batch(0, 400)
    repeats = [len(set(row.tolist())) < 33 for row in rows]
    assert 0.15 < np.mean(repeats) < 0.35
    distances = set()
    for row in rows[torch.tensor(repeats)]:
        first, *_ = [i for i in range(2, 33) if row[i] in row[1:i]]
        (earlier,) = np.flatnonzero((row[1:first] == row[first]).numpy()) + 1
        distances.add(first - earlier)
        assert (
            row[first:].equal(row[earlier : earlier + 33 - first]) or first - earlier < 33 - first
        )
    assert len(distances) > 8


@pytest.mark.parametrize("n_tokens", [0, 15])
def test_a_context_longer_than_the_text_is_refused(n_tokens):
    with pytest.raises(UsageError, match="context of 8"):
        split(np.zeros(n_tokens, dtype=np.uint16), begin=0, n_ctx=8, seed=0)


def test_what_is_learnt_behind_a_bos_is_read_behind_it_afterwards():
    from interp.tokenizers import bos_of
    from interp.training import data

    learnt = bpe.learn([STORY], 300)
    learnt.bos_token = None
    learnt.eos_token = None
    assert bos_of(learnt).token is None
    found = data.of_texts([STORY] * 20, learnt, n_ctx=16, seed=0)
    begin = bpe.begin(learnt)
    assert bos_of(found.tokenizer).token == begin
    assert found.source.learnt[0] == begin
    assert bos_of(learnt).token is None
    told = bpe.learn([STORY], 300)
    assert data.of_texts([STORY] * 20, told, n_ctx=16, seed=0).tokenizer is told
