"""The folders of bands: locked by the command, so that a later one knows which are left over."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

from filelock import FileLock

_LOCK = ".lock"


class BandFolder:
    """A folder for the files of an image that is computed in bands, next to its result.

    Those of commands that were killed are removed, where locks tell that they have ended.

    Args:
        place: The folder of the result.
        name: Of the run and the image.
    """

    def __init__(self, place: Path, name: str) -> None:
        self.path = place / f".sr-{name}-bands"
        _remove_left_over(place)
        self._lock = FileLock(self.path / _LOCK, thread_local=False)
        # Without a folder, the first step fails; without a lock, nobody removes the folder.
        with suppress(OSError, RuntimeError):
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()

    def remove(self) -> None:
        """Remove the folder, once no worker needs it."""
        self._lock.release()
        shutil.rmtree(self.path, ignore_errors=True)


def _remove_left_over(place: Path) -> None:
    """Remove the folders that no command holds."""
    for lock in place.glob(f".sr-*-bands/{_LOCK}"):
        # RuntimeError: this process holds it.
        with suppress(OSError, RuntimeError):
            with FileLock(lock, timeout=0):
                pass
            shutil.rmtree(lock.parent, ignore_errors=True)
