"""A padded batch gives every prompt what it gives alone."""

import pytest
import torch

from interp import edits, sites
from interp.errors import UsageError

LENGTHS = [3, 7, 1, 5]
SIDES = ["left", "right"]


def rows_of(tokens):
    return [tokens[example, :length] for example, length in enumerate(LENGTHS)]


def padded(rows, side, fill=11):
    longest = max(map(len, rows))
    tokens = torch.full((len(rows), longest), fill)
    mask = torch.zeros(len(rows), longest, dtype=torch.int64)
    for example, row in enumerate(rows):
        place = slice(longest - len(row), None) if side == "left" else slice(len(row))
        tokens[example, place], mask[example, place] = row, 1
    return tokens, mask


def own(activation, axes, real):
    """One example's activation at its own positions."""
    for axis, name in enumerate(axes[1:]):
        if name in ("pos", "query", "key"):
            activation = activation.index_select(axis, real.nonzero().flatten())
    return activation


def everything(site):
    return True


def assert_each_as_alone(model, rows, side, tolerance, made=(), made_alone=lambda example: ()):
    tokens, mask = padded(rows, side)
    batch = model.run(tokens, made, keep=everything, attention_mask=mask)
    for example, row in enumerate(rows):
        alone = model.run(row[None], made_alone(example), keep=everything)
        real = mask[example].bool()
        assert_close(batch.logits[example][real], alone.logits[0], tolerance, "what is returned")
        for site, activation in alone.cache.items():
            mine = own(batch.cache[site][example], site.axes, real)
            assert_close(mine, activation[0], tolerance, site.name)
    assert not any(activation.isnan().any() for activation in batch.cache.values())


def assert_close(one, other, tolerance, name):
    torch.testing.assert_close(
        one, other, rtol=tolerance, atol=tolerance, msg=lambda text: f"{name}: {text}"
    )


@pytest.mark.parametrize("side", SIDES)
def test_every_prompt_of_a_padded_batch_is_as_it_is_alone(build, settings, tokens, side):
    assert_each_as_alone(build(settings), rows_of(tokens)[:3], side, 1e-10)


@pytest.mark.parametrize("side", SIDES)
def test_padding_is_exact_enough_in_float32(build, architecture, tokens, side):
    assert_each_as_alone(build(architecture, torch.float32), rows_of(tokens), side, 1e-5)


@pytest.mark.parametrize("side", SIDES)
def test_what_stands_on_padding_does_not_matter(build, architecture, tokens, side):
    model = build(architecture)
    one, mask = padded(rows_of(tokens), side, fill=0)
    other, _ = padded(rows_of(tokens), side, fill=36)
    first, second = (
        model.run(batch, attention_mask=mask).logits[mask.bool()] for batch in (one, other)
    )
    assert torch.equal(first, second)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("fill", [37, 99_999, -1, -100])
def test_padding_needs_no_row_in_the_model(build, architecture, tokens, side, fill):
    model = build(architecture)
    one, mask = padded(rows_of(tokens), side, fill=0)
    other, _ = padded(rows_of(tokens), side, fill=fill)
    first, second = (model.run(batch, attention_mask=mask) for batch in (one, other))
    assert torch.equal(first.logits, second.logits)
    assert torch.equal(second.tokens, one)
    with pytest.raises(UsageError, match=f"token id {fill} is outside the vocabulary"):
        model.run(other)


@pytest.mark.parametrize("side", SIDES)
def test_no_real_token_attends_to_padding(build, architecture, tokens, side):
    model = build(architecture)
    batch, mask = padded(rows_of(tokens), side)
    run = model.run(batch, keep=[sites.pattern(0), sites.pattern(1)], attention_mask=mask)
    assert torch.equal(run.real, mask.bool())
    for pattern in run.cache.values():
        for example in range(len(LENGTHS)):
            real = mask[example].bool()
            assert bool((pattern[example][:, real][:, :, ~real] == 0).all())


@pytest.mark.parametrize("side", SIDES)
def test_edits_of_a_padded_batch_are_the_edits_of_each_prompt_alone(
    build, architecture, tokens, other_tokens, side
):
    model, rows = build(architecture), rows_of(tokens)
    last = [6 if side == "left" else length - 1 for length in LENGTHS]
    batch, mask = padded(rows_of(other_tokens), side)
    source = model.run(batch, keep=[sites.z(0)], attention_mask=mask).cache
    alone = [
        model.run(row[None], keep=[sites.z(0)]).cache[sites.z(0)] for row in rows_of(other_tokens)
    ]

    def made_alone(example):
        there = alone[example][:, [-1]][:, :, [4, 1]]
        return [edits.put(sites.z(0), there, [4, 1], positions=-1), edits.zero(sites.v(1), heads=0)]

    made = [
        edits.patch(sites.z(0), source, heads=[4, 1], positions=[[place] for place in last]),
        edits.zero(sites.v(1), heads=0),
    ]
    assert_each_as_alone(model, rows, side, 1e-10, made, made_alone)


@pytest.mark.parametrize("side", SIDES)
def test_negative_positions_of_logits_count_from_each_prompts_last_token(
    build, architecture, tokens, side
):
    model, rows = build(architecture), rows_of(tokens)
    batch, mask = padded(rows, side)
    last = model.run(batch, logits_at=-1, attention_mask=mask).logits
    for example, row in enumerate(rows):
        torch.testing.assert_close(
            last[example, 0], model.run(row[None]).logits[0, -1], rtol=1e-10, atol=1e-10
        )
    longer = [0, 1, 3]
    batch, mask = padded([rows[example] for example in longer], side)
    at = torch.tensor([[-1, -3], [-2, -7], [-5, -4]])
    got = model.run(batch, logits_at=at, attention_mask=mask).logits
    for place, example in enumerate(longer):
        wanted = model.run(rows[example][None]).logits[0, at[place]]
        torch.testing.assert_close(got[place], wanted, rtol=1e-10, atol=1e-10)


def test_logits_on_padding_are_refused(build, tokens):
    model, rows = build({}), rows_of(tokens)
    for side, at in (("left", 0), ("left", -4), ("right", 6), ("right", -4), ("right", [0, 1])):
        batch, mask = padded(rows, side)
        with pytest.raises(UsageError, match="not padding"):
            model.run(batch, logits_at=at, attention_mask=mask)


def test_lists_of_token_ids_are_padded_by_the_run_itself(build, architecture, tokens):
    model, rows = build(architecture), rows_of(tokens)
    run = model.run([row.tolist() for row in rows])
    batch, mask = padded(rows, "right", fill=0)
    assert torch.equal(run.tokens, batch)
    assert torch.equal(run.real, mask.bool())
    assert torch.equal(run.logits, model.run(batch, attention_mask=mask).logits)


def test_a_mask_without_padding_changes_nothing(build, architecture, tokens):
    model = build(architecture)
    mask = torch.ones_like(tokens)
    assert torch.equal(model.run(tokens, attention_mask=mask).logits, model.run(tokens).logits)
