"""The contraction whose equations are read once is fancy_einsum's."""

import fancy_einsum
import pytest
import torch

from interp.transformer.contract import einsum


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [
        (
            "batch query head d_head, batch key head d_head -> batch head query key",
            2 * [(2, 3, 4, 5)],
        ),
        (
            "batch pos head d_head, head d_head d_model -> batch pos d_model",
            [(2, 3, 4, 5), (4, 5, 6)],
        ),
        ("... d_model, d_model -> ...", [(2, 3, 4), (4,)]),
    ],
)
def test_numbers_are_those_of_fancy_einsum_bit_by_bit(equation, shapes):
    generator = torch.Generator().manual_seed(0)
    operands = [torch.randn(shape, generator=generator) for shape in shapes]
    for _ in range(2):
        assert einsum(equation, *operands).equal(fancy_einsum.einsum(equation, *operands))
