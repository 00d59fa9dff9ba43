"""What `interp.tokenizers.letters` was called: what imports from here goes on working."""

from interp.tokenizers.letters import *  # noqa: F403
