"""Chunks of PNG files (section 5 of the PNG specification, third edition)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import BinaryIO, cast

SIGNATURE = b"\x89PNG\r\n\x1a\n"

_AFTER_HEADER = len(SIGNATURE) + 25
"""Where the chunks after IHDR begin."""


def chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk with its length and checksum."""
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)


def read_chunks(png: bytes, *, until: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
    """The kinds and contents of the chunks before one of kind `until`, without their checksums."""
    position = len(SIGNATURE)
    while position + 8 <= len(png):
        length, kind = struct.unpack_from(">I4s", png, position)
        if kind == until:
            return
        yield kind, png[position + 8 : position + 8 + length]
        position += 12 + length


def with_chunks(file: BinaryIO, chunks: Mapping[bytes, bytes]) -> BinaryIO:
    """A file for a PNG writer that adds chunks after the header.

    Pillow leaves out chunks that it does not know.

    Args:
        file: Opened for writing, at its start.
        chunks: Contents by kind.
    """
    added = b"".join(chunk(kind, content) for kind, content in chunks.items())
    return cast("BinaryIO", _AddingFile(file, added))


class _AddingFile:
    """Of a file only what Pillow's PNG writer uses: write and flush."""

    def __init__(self, file: BinaryIO, added: bytes) -> None:
        self._file = file
        self._left = _AFTER_HEADER
        self._added = added

    def write(self, data: bytes) -> int:
        if self._left:
            head, data = data[: self._left], data[self._left :]
            self._left -= self._file.write(head)
            if self._left:
                return len(head)
            self._file.write(self._added)
            return len(head) + self._file.write(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()
