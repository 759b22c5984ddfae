"""Where the tool remembers things between runs: SR_CACHE, or the user's cache folder."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def cache_folder() -> Path:
    """The folder, which may not exist yet."""
    chosen = os.environ.get("SR_CACHE")
    return Path(chosen) if chosen else platformdirs.user_cache_path("sr-cli", appauthor=False)
