"""Random directions belong to the prompt: not to its batch, and not to another prompt."""

import pytest
import torch

from interp import sites
from interp.errors import UsageError
from interp.methods.moves import noise

TOKENS = torch.tensor([[5, 6, 7], [5, 6, 8], [9, 6, 7], [5, 7, 6]])
SHAPE = (3, 4, 8)


def drawn(tokens=TOKENS, seed=0, draw=0, site="blocks.1.attn.hook_z"):
    return noise(SHAPE, seed, draw, tokens, site)


def test_directions_do_not_depend_on_the_batch():
    whole = drawn()
    assert torch.equal(torch.cat([drawn(TOKENS[:1]), drawn(TOKENS[1:])]), whole)
    assert torch.equal(drawn(TOKENS.flip(0)).flip(0), whole)
    assert torch.equal(drawn(), whole)


def test_directions_differ_between_prompts_positions_draws_seeds_and_sites():
    several = [
        drawn(),
        drawn(seed=1),
        drawn(draw=1),
        drawn(seed=1, draw=1),
        drawn(site=sites.z(2)),
        drawn(site=sites.q(1)),
    ]
    vectors = torch.stack(several).flatten(0, 3)
    cosines = torch.nn.functional.normalize(vectors, dim=-1)
    alike = (cosines @ cosines.T - torch.eye(len(vectors), dtype=torch.float64)).abs()
    assert alike.max() < 0.9999


def test_a_site_and_its_name_give_the_same_directions():
    assert torch.equal(drawn(site=sites.z(1)), drawn())
    with pytest.raises(UsageError):
        drawn(site="blocks.1.attn.hook_zz")


def test_directions_are_standard_normal():
    tokens = torch.arange(4000).reshape(1000, 4)
    found = noise((4, 8), 0, 0, tokens, sites.z(0))
    assert found.dtype == torch.float64
    assert abs(float(found.mean())) < 0.02
    assert abs(float(found.std()) - 1) < 0.02
    assert abs(float((found[:-1] * found[1:]).mean())) < 0.02
