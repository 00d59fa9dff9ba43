"""Metrics against the obvious computation, and what they refuse."""

import math

import pytest
import torch

from interp.errors import UsageError
from interp.metrics import (
    Accuracy,
    AnswerLogProb,
    KLToBase,
    LogitDifference,
    Loss,
    ProbabilitySum,
    measured,
)

N_EXAMPLES, N_POS, N_VOCAB = 3, 6, 11
WHOLE = torch.ones(N_EXAMPLES, N_POS).bool()
# Padded on the right, on the left, and not at all.
PADDED = torch.tensor([[1, 1, 1, 1, 0, 0], [0, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1]]).bool()
LAST = {id(WHOLE): [5, 5, 5], id(PADDED): [3, 5, 5]}
ANSWER, WRONG = torch.tensor([4, 0, 9]), torch.tensor([2, 10, 8])
both_masks = pytest.mark.parametrize("real", [WHOLE, PADDED], ids=["whole", "padded"])


@pytest.fixture
def logits():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(N_EXAMPLES, N_POS, N_VOCAB, generator=generator, dtype=torch.float64) * 2


@pytest.fixture
def tokens():
    return torch.randint(
        0, N_VOCAB, (N_EXAMPLES, N_POS), generator=torch.Generator().manual_seed(1)
    )


def probability(row):
    powers = [math.exp(float(each)) for each in row]
    return [each / sum(powers) for each in powers]


def close(found, expected):
    torch.testing.assert_close(
        found, torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=1e-12
    )


def test_the_same_token_as_right_and_wrong_answer_is_refused():
    for metric in (LogitDifference, Accuracy):
        with pytest.raises(UsageError, match=r"same token, 0, in prompt 1: .*to_single_token"):
            metric(torch.tensor([4, 0, 9]), torch.tensor([2, 0, 8]))


@both_masks
def test_logit_difference_is_answer_minus_wrong_at_the_last_real_token(logits, real):
    found = measured(LogitDifference(ANSWER, WRONG), logits, real)
    at = LAST[id(real)]
    close(
        found, [float(logits[i, at[i], ANSWER[i]] - logits[i, at[i], WRONG[i]]) for i in range(3)]
    )


def test_a_metric_reads_where_it_is_told_to(logits):
    for at in (2, -3, torch.tensor([1, 3, 2])):
        found = measured(LogitDifference(ANSWER, WRONG, at=at), logits, PADDED)
        ends = torch.tensor([3, 5, 5])
        where = [at] * 3 if isinstance(at, int) else at.tolist()
        where = [
            each if each >= 0 else int(end) + 1 + each
            for each, end in zip(where, ends, strict=True)
        ]
        close(
            found,
            [float(logits[i, p, ANSWER[i]] - logits[i, p, WRONG[i]]) for i, p in enumerate(where)],
        )


@both_masks
def test_accuracy_is_one_where_the_answer_is_above(logits, real):
    found = measured(Accuracy(ANSWER, WRONG), logits, real)
    at = LAST[id(real)]
    close(
        found, [float(logits[i, at[i], ANSWER[i]] > logits[i, at[i], WRONG[i]]) for i in range(3)]
    )
    tied = torch.zeros_like(logits)
    assert not measured(Accuracy(ANSWER, WRONG), tied, real).any()


@both_masks
def test_answer_log_probability_is_the_log_of_its_softmax(logits, real):
    found = measured(AnswerLogProb(ANSWER), logits, real)
    at = LAST[id(real)]
    close(found, [math.log(probability(logits[i, at[i]])[ANSWER[i]]) for i in range(3)])


@both_masks
def test_probability_sum_adds_up_both_sets(logits, real):
    right = torch.zeros(N_EXAMPLES, N_VOCAB).bool()
    wrong = right.clone()
    right[0, 3:], wrong[0, :3], right[1, 5], wrong[2, [0, 7]] = True, True, True, True
    found = measured(ProbabilitySum(right, wrong), logits, real)
    expected = []
    for example, at in enumerate(LAST[id(real)]):
        p = probability(logits[example, at])
        plus = sum(p[token] for token in range(N_VOCAB) if right[example, token])
        minus = sum(p[token] for token in range(N_VOCAB) if wrong[example, token])
        expected.append(plus - minus)
    close(found, expected)


@both_masks
@pytest.mark.parametrize("start", [0, 2])
def test_loss_is_the_mean_surprise_at_real_tokens_after_real_tokens(logits, tokens, real, start):
    found = measured(Loss(tokens, start, real), logits, real)
    expected = []
    for example in range(N_EXAMPLES):
        surprises = [
            -math.log(probability(logits[example, at])[tokens[example, at + 1]])
            for at in range(start, N_POS - 1)
            if real[example, at] and real[example, at + 1]
        ]
        expected.append(sum(surprises) / len(surprises))
    close(found, expected)
    if real is WHOLE:
        close(measured(Loss(tokens, start), logits, real), expected)


def test_kl_is_summed_over_the_vocabulary_from_base_to_run(logits):
    generator = torch.Generator().manual_seed(3)
    base = torch.randn(logits.shape, generator=generator, dtype=torch.float64)
    metric = KLToBase()
    rows = torch.arange(N_EXAMPLES)[:, None]
    bound = metric.bound(base[rows, metric.positions(PADDED)])
    found = measured(bound, logits, PADDED)
    expected = []
    for example, at in enumerate([3, 5, 5]):
        p, q = probability(base[example, at]), probability(logits[example, at])
        expected.append(sum(a * math.log(a / b) for a, b in zip(p, q, strict=True)))
    close(found, expected)
    assert measured(bound, base, PADDED).abs().max() < 1e-15
    assert KLToBase.never_negative
    with pytest.raises(UsageError, match="no base run yet"):
        measured(metric, logits, PADDED)


def every_metric(tokens, real):
    right = torch.zeros(N_EXAMPLES, N_VOCAB).bool()
    right[:, :4] = True
    base = torch.randn(N_EXAMPLES, 1, N_VOCAB, dtype=torch.float64)
    return [
        LogitDifference(ANSWER, WRONG),
        Accuracy(ANSWER, WRONG, at=-2),
        AnswerLogProb(ANSWER),
        ProbabilitySum(right, ~right),
        Loss(tokens, 1, real),
        KLToBase().bound(base),
    ]


def test_rows_may_come_in_any_order_and_any_number(logits, tokens):
    """In a sweep the rows of a batch are of any prompts."""
    examples = torch.tensor([2, 0, 0, 1, 2])
    for metric in every_metric(tokens, PADDED):
        read = logits[torch.arange(N_EXAMPLES)[:, None], metric.positions(PADDED)]
        if metric.columns is not None:
            read = read.gather(-1, metric.columns[:, None].expand(-1, read.shape[1], -1))
        expected = measured(metric, logits, PADDED)[examples]
        assert torch.equal(metric(read[examples], examples), expected), metric.name


def test_a_metric_depends_on_nothing_but_what_it_declares(logits, tokens):
    for metric in every_metric(tokens, PADDED):
        declared = torch.zeros(logits.shape).bool()
        for example, places in enumerate(metric.positions(PADDED).tolist()):
            columns = slice(None) if metric.columns is None else metric.columns[example]
            for at in places:
                declared[example, at, columns] = True
        elsewhere = torch.where(declared, logits, logits + 7)
        assert torch.equal(measured(metric, elsewhere, PADDED), measured(metric, logits, PADDED)), (
            metric.name
        )
        assert metric.name
        assert metric.unit


def test_what_cannot_be_meant_is_refused(logits, tokens):
    with pytest.raises(UsageError, match="knows 2 prompts' answers, the run has 3"):
        measured(AnswerLogProb(ANSWER[:2]), logits, WHOLE)
    with pytest.raises(UsageError, match="one position to read"):
        measured(AnswerLogProb(ANSWER, at=[1, 2]), logits, WHOLE)
    with pytest.raises(UsageError, match="not padding"):
        measured(AnswerLogProb(ANSWER, at=5), logits, PADDED)
    with pytest.raises(UsageError, match="answers must be tokens 0…10, got -1…9"):
        AnswerLogProb(torch.tensor([4, -1, 9])).bound(logits)
    with pytest.raises(UsageError, match="start must lie in 0…4"):
        Loss(tokens, 5)
    with pytest.raises(UsageError, match="loss is of tokens"):
        measured(Loss(tokens[:, :4]), logits, WHOLE)
    with pytest.raises(UsageError, match="counts other tokens as real"):
        measured(Loss(tokens), logits, PADDED)
    with pytest.raises(UsageError, match="counts other tokens as real"):
        measured(Loss(tokens, 0, PADDED), logits, WHOLE)
    with pytest.raises(UsageError, match="two neighbouring tokens from position 3"):
        Loss(tokens, 3, PADDED)
