"""Labelled lines: every line is read as often, and the head computes what Hugging Face's does."""

import csv
from copy import deepcopy

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import interp
from interp.errors import UsageError
from interp.training import data, session
from interp.training.labelled import PADDING, lines, prepared, split
from interp.training.loop import Label, Recipe, freeze, mean_loss
from interp.transformer.classifying import with_head
from interp.weights import exporting

LABELS = ("fruit", "tool")
FRUIT, TOOLS = ("plum", "pear", "grape"), ("saw", "axe", "drill")


def _text(number):
    word = (FRUIT if number % 2 == 0 else TOOLS)[number % 3]
    return f"{'The' if number % 5 else 'Surely the'} {word} number {number}"


@pytest.fixture
def file(tmp_path):
    """Writes rows under a header; returns the path."""

    def write(header, rows, name="lines.csv"):
        with (tmp_path / name).open("w", newline="") as out:
            csv.writer(out).writerows([header.split(","), *rows])
        return tmp_path / name

    return write


@pytest.fixture
def named(file):
    return lines(file("text,label", [(_text(n), LABELS[n % 2]) for n in range(60)]))


@pytest.fixture(scope="module", params=["tiny-gpt2", "tiny-llama"])
def body(request):
    return interp.load(request.param)


def test_every_pass_reads_every_line_once_in_an_order_of_its_own(named, body):
    source = split(named, LABELS, prepared(body.tokenizer, body.config.d_vocab), 60, seed=0)
    assert (len(source.learnt), len(source.held_out)) == (54, 6)
    passes = []
    for first in (0, 9):
        rows = [source.batch(step, 6) for step in range(first, first + 9)]
        read = [(int(row[0]), *row[1:][row[1:] >= 0].tolist()) for part in rows for row in part]
        passes.append(read)
    learnt = sorted((label, *tokens) for label, tokens in source.learnt)
    assert sorted(passes[0]) == sorted(passes[1]) == learnt
    assert passes[0] != passes[1]
    assert torch.equal(source.batch(4, 6), source.batch(4, 6))


def test_the_head_learns_what_it_is_told_and_hugging_face_reads_the_same(named, body, tmp_path):
    read = data.of_lines(
        named, LABELS, body.tokenizer, n_ctx=60, d_vocab=body.config.d_vocab, seed=0
    )
    model = with_head(body, LABELS, seed=0)
    recipe = Recipe(steps=30, batch=8, rate=1e-2, warmup=3)
    list(session.resume(tmp_path / "mine", model, read, recipe, ("Note.",)))
    found = session.results(tmp_path / "mine")
    assert found["held_out_accuracy"] == 1.0
    assert found["held_out_lines"] == 6
    assert found["held_out_loss"] < 0.2 < found["log"][0]["held_out"]

    ours = interp.load(tmp_path / "mine")
    assert (ours.labels, ours.origin.notes) == (LABELS, ("Note.",))
    theirs = AutoModelForSequenceClassification.from_pretrained(tmp_path / "mine").eval()
    assert [theirs.config.id2label[number] for number in range(2)] == list(LABELS)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "mine")
    batch = tokenizer([_text(3), "saw", _text(10)], return_tensors="pt", padding=True)
    with torch.no_grad():
        expected = theirs(**batch).logits
        got = ours.label_logits(batch["input_ids"], batch["attention_mask"].bool())
    assert (expected - got).abs().max() < 1e-5
    assert (expected[0] - expected[2]).abs().max() > 0.1


def test_the_loss_is_that_of_each_row_alone_whatever_the_padding(named, body):
    source = split(named, LABELS, prepared(body.tokenizer, body.config.d_vocab), 60, seed=0)
    model, rows = with_head(body, LABELS, seed=0), source.validation(6)
    assert (rows == PADDING).any()
    each = []
    for row in rows:
        tokens = row[1:][row[1:] >= 0][None]
        logits = model.label_logits(tokens, torch.ones_like(tokens, dtype=torch.bool))
        each.append(-logits.log_softmax(-1)[0, row[0]])
    assert mean_loss(model, rows, Label()) == pytest.approx(
        float(torch.stack(each).detach().mean()), abs=1e-5
    )


def test_an_interrupted_training_of_a_head_ends_with_the_same_weights(named, tmp_path):
    def events(name, save_seconds):
        body = interp.load("tiny-gpt2")
        read = data.of_lines(
            named, LABELS, body.tokenizer, n_ctx=60, d_vocab=body.config.d_vocab, seed=0
        )
        recipe = Recipe(steps=12, batch=4, rate=1e-3, warmup=1)
        model = with_head(body, LABELS, seed=0)
        return session.resume(tmp_path / name, model, read, recipe, save_seconds=save_seconds)

    list(events("whole", 1e9))
    for _, _ in zip(events("broken", 0.0), range(9), strict=False):
        pass
    list(events("broken", 0.0))
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "broken")]
    assert weights[0] == weights[1]


def test_a_probe_leaves_the_body_as_it_was(named, body, tmp_path):
    model = with_head(body, LABELS, seed=0)
    parts = [part for part in ("embed", "pos_embed", "blocks", "ln_final", "unembed")
             if any(name.startswith(f"{part}.") for name, _ in model.named_parameters())]  # fmt: skip
    assert freeze(model, parts) == body.config.d_model * 2
    read = data.of_lines(
        named, LABELS, body.tokenizer, n_ctx=60, d_vocab=body.config.d_vocab, seed=0
    )
    recipe = Recipe(steps=3, batch=4, rate=1e-2, warmup=0)
    list(session.resume(tmp_path / "probe", model, read, recipe))
    after = dict(interp.load(tmp_path / "probe").named_parameters())
    for name, parameter in body.named_parameters():
        assert torch.equal(parameter, after[name])
    assert not torch.equal(after["head.W_C"], with_head(body, LABELS, seed=0).head.W_C)


@pytest.mark.parametrize("padding", ["<padding>", None])
def test_a_classifier_never_pads_with_a_token_that_has_no_row(named, body, tmp_path, padding):
    exporting.write(tmp_path, body)
    tokenizer = deepcopy(body.tokenizer)
    tokenizer.pad_token = None
    if padding:
        tokenizer.add_special_tokens({"pad_token": padding})
    tokenizer.save_pretrained(tmp_path)
    widened = interp.load(tmp_path)
    d_vocab = widened.config.d_vocab
    assert widened.tokenizer.pad_token_id == (d_vocab if padding else None)
    read = data.of_lines(named, LABELS, widened.tokenizer, n_ctx=60, d_vocab=d_vocab, seed=0)
    model = with_head(widened, LABELS, seed=0)
    recipe = Recipe(steps=2, batch=4, rate=1e-2, warmup=0)
    list(session.resume(tmp_path / "judge", model, read, recipe))
    theirs = AutoModelForSequenceClassification.from_pretrained(tmp_path / "judge").eval()
    padded = AutoTokenizer.from_pretrained(tmp_path / "judge")(
        [_text(3), "saw"], return_tensors="pt", padding=True
    )
    ours = interp.load(tmp_path / "judge")
    with torch.no_grad():
        expected = theirs(**padded).logits
        got = ours.label_logits(padded["input_ids"], padded["attention_mask"].bool())
    assert (expected - got).abs().max() < 1e-5


def test_a_text_that_ends_with_what_pads_is_read_where_hugging_face_reads_it(file, body, tmp_path):
    from tokenizers.processors import TemplateProcessing

    tokenizer, mark = deepcopy(body.tokenizer), "<|endoftext|>"
    tokenizer.pad_token, tokenizer.padding_side = mark, "left"
    number = tokenizer.convert_tokens_to_ids(mark)
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{mark} $A {mark}",
        pair=f"{mark} $A {mark} $B:1 {mark}:1",
        special_tokens=[(mark, number)],
    )
    found = lines(file("text,label", [(_text(n), LABELS[n % 2]) for n in range(30)]))
    exporting.write(tmp_path, body)
    tokenizer.save_pretrained(tmp_path)
    base = interp.load(tmp_path)
    d_vocab = base.config.d_vocab
    read = data.of_lines(found, LABELS, base.tokenizer, n_ctx=60, d_vocab=d_vocab, seed=0)
    assert all(tokens[0] == number != tokens[-1] for _, tokens in read.source.learnt)
    recipe, judge = Recipe(steps=2, batch=4, rate=1e-2, warmup=0), tmp_path / "judge"
    list(session.resume(judge, with_head(base, LABELS, seed=0), read, recipe))
    theirs = AutoModelForSequenceClassification.from_pretrained(judge).eval()
    batch = AutoTokenizer.from_pretrained(judge)(
        [_text(3), "saw"], return_tensors="pt", padding=True
    )
    ours = interp.load(judge)
    with torch.no_grad():
        expected = theirs(**batch).logits
        for row, text in enumerate((_text(3), "saw")):
            tokens = base.tokenizer(text, return_tensors="pt")["input_ids"][:, :-1]
            alone = ours.label_logits(tokens, torch.ones_like(tokens, dtype=torch.bool))
            assert (expected[row] - alone[0]).abs().max() < 1e-5


def test_a_token_that_has_no_row_is_named_with_its_line(file, body):
    tokenizer = deepcopy(body.tokenizer)
    tokenizer.add_special_tokens({"pad_token": "<pad>"})
    rows = [(_text(n), LABELS[n % 2]) for n in range(30)] + [("a <pad> b", "fruit")]
    with pytest.raises(UsageError, match="line 32: the token '<pad>' was added to the tokenizer"):
        data.of_lines(
            lines(file("text,label", rows)),
            LABELS,
            tokenizer,
            n_ctx=60,
            d_vocab=body.config.d_vocab,
            seed=0,
        )


def test_two_texts_have_something_between_them(body):
    tokenizer = prepared(body.tokenizer, body.config.d_vocab)
    one, two = tokenizer("plum")["input_ids"], tokenizer("plum", "axe")["input_ids"]
    assert two == [*one, *tokenizer("axe")["input_ids"]]
    assert one[0] == two[len(one)] == tokenizer.convert_tokens_to_ids("<|endoftext|>")


@pytest.mark.parametrize(
    ("header", "rows", "sentence"),
    [
        ("text,label", [("a", "b")] * 5, "5 labelled lines, at least 20"),
        ("text,label", [("a", "b")] * 25, "the label 'b' alone"),
        ("text,lable", [("a", "b")] * 25, "no column is called 'lable'; nearest names: label"),
        ("text,label", [("a", "")] * 25, "label must be a name or a number, got ''"),
        ("text,label", [("", "b")] * 25, "text must be a text that is not empty"),
        ("premise,label", [("a", "b")] * 25, "hypothesis must be a text"),
    ],
)
def test_what_is_no_list_of_labelled_lines_is_one_sentence(file, header, rows, sentence):
    with pytest.raises(UsageError, match=sentence):
        lines(file(header, rows))


def test_a_text_too_long_and_a_label_too_rare_are_named(named, file, body):
    with pytest.raises(
        UsageError, match=r"line 2: the text has \d+ tokens, the model reads 1 to 3"
    ):
        split(named, LABELS, prepared(body.tokenizer, body.config.d_vocab), 3, seed=0)
    rows = [("a", "b")] * 24 + [("a", "c")]
    found, tokenizer = (
        lines(file("text,label", rows)),
        prepared(body.tokenizer, body.config.d_vocab),
    )
    # With the second seed the rare line is one of those held out.
    assert split(found, ("b", "c"), tokenizer, 9, seed=13).learnt
    with pytest.raises(UsageError, match="'c' is left without a line to learn from"):
        split(found, ("b", "c"), tokenizer, 9, seed=14)
