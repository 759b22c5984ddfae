"""Chunks of PNG files (section 5 of the PNG specification, third edition)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import BinaryIO, cast

SIGNATURE = b"\x89PNG\r\n\x1a\n"

_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_MAX_TEXT = 1 << 20
"""The most bytes of a compressed text that are read: Pillow refuses files with longer ones."""

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


def without_profile(png: bytes) -> bytes:
    """The file without its iCCP chunk, which precedes the pixels (section 5.6)."""
    position = len(SIGNATURE)
    while position + 8 <= len(png):
        length, kind = struct.unpack_from(">I4s", png, position)
        if kind == b"iCCP":
            return png[:position] + png[position + 12 + length :]
        if kind == b"IDAT":
            break
        position += 12 + length
    return png


def read_texts(png: bytes) -> dict[str, str]:
    """Text by keyword, before and after the pixels; lines join the texts of one keyword.

    A keyword may be that of several chunks (PNG third edition, section 11.3.3).
    """
    found: dict[str, list[str]] = {}
    for kind, content in read_chunks(png):
        if kind in _TEXTS:
            with suppress(UnicodeDecodeError, zlib.error, ValueError, IndexError):
                keyword, text = _read_text(kind, content)
                found.setdefault(keyword, []).append(text)
    return {keyword: "\n".join(texts) for keyword, texts in found.items()}


def _read_text(kind: bytes, content: bytes) -> tuple[str, str]:
    """Keyword and text of tEXt, zTXt or iTXt (sections 11.3.3.2 to 11.3.3.4)."""
    keyword, _, rest = content.partition(b"\0")
    if kind == b"tEXt":
        return keyword.decode("latin-1"), rest.decode("latin-1")
    if kind == b"zTXt":
        return keyword.decode("latin-1"), _inflate(rest[1:]).decode("latin-1")
    _, _, text = rest[2:].split(b"\0", 2)
    return keyword.decode("latin-1"), (_inflate(text) if rest[0] else text).decode()


def _inflate(compressed: bytes) -> bytes:
    return zlib.decompressobj().decompress(compressed, _MAX_TEXT)


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
