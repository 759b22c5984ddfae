"""The cache folder: SR_CACHE, or the user's cache folder for sr-cli; measurements in it."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from sr_cli.errors import SrError
from sr_cli.system.files import atomic_write


def cache_folder() -> Path:
    """The path of the cache folder, which may not exist yet."""
    if chosen := os.environ.get("SR_CACHE"):
        return Path(chosen)
    import platformdirs

    return platformdirs.user_cache_path("sr-cli", appauthor=False)


class Measurements:
    """What was measured on this machine, by key, in a JSON file of the cache folder.

    A file that cannot be read or written is ignored: it is measured again.
    """

    def __init__(self, name: str) -> None:
        self._path = cache_folder() / name

    def _all(self) -> dict[str, Any]:
        with suppress(OSError, ValueError):
            found = json.loads(self._path.read_text())
            if isinstance(found, dict):
                return found
        return {}

    def read(self, key: str) -> Any:
        """What was measured, or None."""
        return self._all().get(key)

    def write(self, key: str, value: Any) -> None:
        """Remember a measurement."""
        with suppress(OSError, SrError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(self._path) as file:
                file.write(json.dumps(self._all() | {key: value}).encode())
