"""Head scores: hand-built patterns, and a planted model whose heads are named exactly."""

import pytest
import torch

from interp.components import Head
from interp.methods import induction
from interp.methods.repetition import Repetition
from interp.transformer import Config, Transformer

V, POSITIONS, LENGTH = 23, 24, 8
TOKEN, PLACE = slice(0, V), slice(V, V + POSITIONS)
BEFORE, OUT = slice(V + POSITIONS, 2 * V + POSITIONS), slice(2 * V + POSITIONS, 3 * V + POSITIONS)


def planted():
    """No norms, no MLPs; block-wise stream. L0H1 looks one back and writes what stood there; L1H2 looks
    for the place whose token before is its own and writes the token there: an induction head. L1H0
    looks at itself, L1H1 at the first token; L0H0 and L0H2 look evenly."""
    config = Config(
        n_layers=2,
        n_heads=3,
        d_model=3 * V + POSITIONS,
        d_head=POSITIONS,
        d_vocab=V,
        n_ctx=POSITIONS,
        norm="none",
        tied=False,
        q_bias=False,
        kv_bias=False,
        o_bias=False,
    )
    model = Transformer(config)
    for parameter in model.parameters():
        parameter.data.zero_()
    model.embed.W_E.data[:, TOKEN] = torch.eye(V)
    model.pos_embed.W_pos.data[:, PLACE] = torch.eye(POSITIONS)
    model.unembed.W_U.data[OUT] = torch.eye(V) * 20
    sharp, eye = 400.0, torch.eye(POSITIONS)
    before, (itself, first, inducing) = model.block(0).attn, range(3)
    before.W_Q.data[1, PLACE] = eye * sharp
    before.W_K.data[1, PLACE] = torch.roll(eye, 1, dims=1)
    before.W_V.data[1, TOKEN, :V] = torch.eye(V)
    before.W_O.data[1, :V, BEFORE] = torch.eye(V)
    attn = model.block(1).attn
    attn.W_Q.data[itself, PLACE] = eye * sharp
    attn.W_K.data[itself, PLACE] = eye
    attn.W_Q.data[first, PLACE, 0] = sharp
    attn.W_K.data[first, V, 0] = 1
    attn.W_Q.data[inducing, TOKEN, :V] = torch.eye(V) * sharp
    attn.W_K.data[inducing, BEFORE, :V] = torch.eye(V)
    attn.W_V.data[inducing, TOKEN, :V] = torch.eye(V)
    attn.W_O.data[inducing, :V, OUT] = torch.eye(V)
    return model


def random_repetition(copies=2, length=LENGTH, count=3):
    generator = torch.Generator().manual_seed(0)
    drawn = torch.stack(
        [1 + torch.randperm(V - 1, generator=generator)[:length] for _ in range(count)]
    )
    tokens = torch.cat([torch.zeros(count, 1, dtype=torch.long), *[drawn] * copies], 1)
    return Repetition(tokens, 1, length, copies)


def test_the_planted_heads_are_named_and_no_others():
    model, of = planted(), random_repetition()
    scores = induction.head_scores(model, of)
    wanted = {
        "induction": (1, 2),
        "previous_token": (0, 1),
        "first_token": (1, 1),
        "current_token": (1, 0),
    }
    for name, values in scores.values.items():
        mean = values.mean(-1)
        perfect = {tuple(place) for place in (mean > 0.99).nonzero().tolist()}
        assert perfect == ({wanted[name]} if name in wanted else set()), name
    # The heads without weights look evenly, and score just what chance is.
    for name, values in scores.values.items():
        assert values[0, 0].mean() == pytest.approx(float(scores.chance[name][0]), abs=1e-6)
    for name, head in wanted.items():
        assert scores.ranked(name)[0] == Head(*head)
        assert scores.of(name, Head(*head)).min() > 0.99
        assert float(scores.estimates()[name].value[head]) == pytest.approx(1, abs=0.01)
        row = scores.frame().set_index(["layer", "head"]).loc[head]
        assert row[name] == scores.means()[name][head]
    assert all(head.layer == 0 for head in scores.ranked("first_token", below=1))


def test_prefix_matching_and_copying_find_the_planted_induction_head():
    found = induction.prefix_matching_and_copying(planted(), random_repetition(copies=4, length=5))
    for name in ("prefix_matching", "copying"):
        mean = found.values[name].mean(-1)
        assert {tuple(place) for place in (mean > 0.99).nonzero().tolist()} == {(1, 2)}, name
    assert float(found.chance["copying"][0]) == pytest.approx(1 / 5)


@pytest.mark.parametrize(
    "name", ["induction", "previous_token", "duplicate_token", "first_token", "current_token"]
)
def test_a_pattern_built_by_hand_scores_one_for_its_kind_alone(name):
    of = random_repetition()
    n_pos = of.tokens.shape[1]
    pattern = torch.zeros(n_pos, n_pos)
    for query in range(n_pos):
        back = {
            "induction": LENGTH - 1,
            "previous_token": 1,
            "duplicate_token": LENGTH,
            "first_token": query,
            "current_token": 0,
        }[name]
        pattern[query, query - back if query >= back else 0] = 1
    stripes = induction.stripes(of)
    assert float(induction.score(pattern, stripes[name])) == 1
    for other in stripes.keys() - {name}:
        # On the way to the start of the text a head of one kind looks like the sink's.
        assert float(induction.score(pattern, stripes[other])) <= LENGTH / (n_pos - 1) + 1e-6, other


def test_prefix_matching_counts_every_earlier_occurrence_once():
    of = random_repetition(copies=3, length=4)
    query, keys = induction.repeats(of)
    seen = {
        int(q): sorted(int(k) for k in column if k >= 0)
        for q, column in zip(query, keys.T, strict=True)
    }
    tokens = of.tokens[0].tolist()
    for place, found in seen.items():
        wanted = [k + 1 for k in range(1, place) if tokens[k] == tokens[place]]
        assert found == wanted


def test_chance_knows_what_a_window_hides():
    model = Transformer(
        Config(n_layers=2, n_heads=2, d_model=8, d_head=4, d_vocab=V, n_ctx=40, windows=(4, None))
    )
    of = random_repetition()
    stripe = induction.stripes(of)["induction"]
    narrow, wide = induction.chance(model, of, stripe).tolist()
    assert narrow == 0
    assert wide == pytest.approx(sum(1 / (1 + q) for q in stripe[0].tolist()) / LENGTH)
