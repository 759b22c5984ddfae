"""Which files a run reads and writes, so that no result replaces another, or another's input."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from sr_cli.errors import RefusedError


class Claims:
    """The inputs of a run, and the outputs that belong to them."""

    def __init__(self) -> None:
        self._sources: dict[str, Path] = {}
        self._targets: dict[str, Path] = {}

    def read(self, source: Path) -> None:
        """Remember an input."""
        self._sources[_key(source)] = source

    def write(self, target: Path, source: Path) -> None:
        """Remember an output, unless it is in the way of others.

        Args:
            target: The output.
            source: Its input, which the output may replace.

        Raises:
            RefusedError: `outputs-collide` with the output of another input,
                `output-is-an-input` of another output.
        """
        key = _key(target)
        first = self._targets.get(key, source)
        if first != source:
            raise RefusedError("outputs-collide", target, first=first, second=source)
        if key in self._sources and _key(source) != key:
            raise RefusedError("output-is-an-input", target, source=source)
        self._targets[key] = source


def _key(path: Path) -> str:
    """A key that is equal for paths of the same file on this system: links are written through."""
    key = os.path.normcase(os.path.realpath(path))
    return key.casefold() if sys.platform == "darwin" else key
