"""What a training needs is known before anything of it is made."""

import pytest

from interp.errors import UsageError
from interp.training.presets import check_room, fresh, n_weights, shape


@pytest.mark.parametrize("preset", ["gpt2", "llama", "attn-only"])
def test_the_weights_of_its_matrices_are_nearly_all_that_a_model_has(preset):
    config = shape(preset, layers=3, heads=4, width=64, d_vocab=300, n_ctx=32)
    has = sum(parameter.numel() for parameter in fresh(config, 0).parameters())
    assert 0.95 * has < n_weights(config) <= has


def test_twice_the_batch_needs_twice_the_activations_and_no_more_weights():
    config = shape("gpt2", layers=3, heads=4, width=64, d_vocab=300, n_ctx=32)
    check_room(config, 8)
    with pytest.raises(UsageError, match=r"needs .* GB or more and .* GB are free: .* weights"):
        check_room(config, 10**9)
