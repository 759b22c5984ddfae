"""What a file is that should be a checkpoint: a web page, a pointer, a part of one, or nothing."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

from sr_cli.errors import SrError

_HEAD = 256
_LFS = b"version https://git-lfs.github.com/spec/"
"""The first line of a pointer file (Git LFS specification, "The Pointer")."""

_MAX_HEADER = 100_000_000
"""The most bytes of a safetensors header (safetensors' description of its format)."""


def check_content(path: Path) -> None:
    """Check that a file is none of what comes instead of a checkpoint.

    Args:
        path: The file. Only its header is read.

    Raises:
        SrError: `unreadable-checkpoint`, with the reason `empty-file`, `web-page`, `lfs-pointer`
            or `truncated-file`.
        OSError: If the file cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if not head:
        raise SrError("unreadable-checkpoint", path, reason="empty-file")
    if head.startswith(_LFS):
        raise SrError("unreadable-checkpoint", path, hint="lfs-pointer", reason="lfs-pointer")
    # The length that begins a safetensors file may have the value of any letter, but ends in zeros.
    if head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<") and b"\0" not in head:
        raise SrError("unreadable-checkpoint", path, reason="web-page")
    if _is_truncated(path, head):
        raise SrError("unreadable-checkpoint", path, reason="truncated-file")


def _is_truncated(path: Path, head: bytes) -> bool:
    if head.startswith(b"PK\3\4"):
        # The directory of an archive is at its end.
        return not zipfile.is_zipfile(path)
    return is_safetensors(head) and path.stat().st_size < _declared_size(path)


def is_safetensors(head: bytes) -> bool:
    """Whether a file begins with a length and a JSON header."""
    return head[8:9] == b"{"


def _declared_size(path: Path) -> int:
    """The bytes that the header of a safetensors file declares; 0 if it is no such header."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > _MAX_HEADER:
            return 0
        header = file.read(length)
    if len(header) < length:
        return 8 + length
    try:
        tensors = [t for name, t in json.loads(header).items() if name != "__metadata__"]
        return 8 + length + max((int(t["data_offsets"][1]) for t in tensors), default=0)
    except (AttributeError, KeyError, IndexError, TypeError, ValueError, RecursionError):
        return 0
