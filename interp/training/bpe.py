"""What `interp.tokenizers.bpe` was called: what imports from here goes on working."""

from interp.tokenizers.bpe import *  # noqa: F403
