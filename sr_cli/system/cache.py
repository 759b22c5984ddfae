"""The cache folder: SR_CACHE, or the user's cache folder for sr-cli."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """The path of the cache folder, which may not exist yet."""
    if chosen := os.environ.get("SR_CACHE"):
        return Path(chosen)
    import platformdirs

    return platformdirs.user_cache_path("sr-cli", appauthor=False)
