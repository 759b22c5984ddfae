"""Pairing of hr and lr files by their names."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from sr_cli.errors import SrError


def pair_key(stem: str, scale: int) -> str:
    """A file's stem without the marks of hr and lr: `_x4`, `x4`, `_LR`, `_HR`, `_GT`."""
    return re.sub(rf"([_-]?(x{scale}|lr|hr|gt|bicubic))+$", "", stem, flags=re.IGNORECASE)


def _by_name(files: Sequence[Path], scale: int) -> dict[str, Path]:
    """Files by pair key, prefixed with their folders if keys alone are not unique."""
    found = {pair_key(p.stem, scale): p for p in files}
    if len(found) == len(files):
        return found
    base = os.path.commonpath([p.parent for p in files])
    found = {}
    for path in files:
        name = (path.parent.relative_to(base) / pair_key(path.stem, scale)).as_posix()
        if name in found:
            raise SrError("ambiguous-pair", path, other=found[name])
        found[name] = path
    return found


def pair_by_name(hr: Sequence[Path], lr: Sequence[Path], scale: int) -> list[tuple[Path, Path]]:
    """Pair hr and lr files by their names.

    Args:
        hr: Files of high resolution.
        lr: Files of low resolution.
        scale: Of the pairs; `_x4` in a name is ignored.

    Returns:
        (hr, lr) for each name, sorted by name.

    Raises:
        SrError: `missing-partner`, or `ambiguous-pair` if two files in a folder share a name.
    """
    high, low = _by_name(hr, scale), _by_name(lr, scale)
    alone = sorted(set(low) ^ set(high))
    if alone:
        path = high.get(alone[0]) or low[alone[0]]
        raise SrError("missing-partner", path, others=len(alone) - 1)
    return [(high[n], low[n]) for n in sorted(high)]
