"""Where this project keeps what it converted for a user."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """Where converted weights and checksums are kept: $INTERP_CACHE, or the user's cache folder."""
    if given := os.environ.get("INTERP_CACHE"):
        return Path(given).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("interp"))
