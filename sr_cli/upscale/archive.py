"""Comic archives (.cbz): ZIP files whose images are pages, rewritten entry by entry.

Facts about ZIP are from its specification (APPNOTE.TXT 6.3.10), those about ComicInfo.xml from the
schema of the Anansi project (version 2.1).
"""

from __future__ import annotations

import re
import shutil
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import BinaryIO

from sr_cli.errors import Note, SrError
from sr_cli.imaging.formats import (
    DEFAULT_MAX_PIXELS,
    FORMATS,
    Format,
    format_of_name,
    is_other_format,
)

SUFFIX = ".cbz"
_OTHER_SUFFIXES = (".cbr", ".cb7", ".cbt")

_COMIC_INFO = "comicinfo.xml"

_ENCRYPTED, _UTF8 = 0x0001, 0x0800
"""Bits of the general purpose flag (sections 4.4.4 and D)."""

_ZIP64, _UNICODE_PATH = 0x0001, 0x7075
"""Extra fields that a writer sets anew: sizes (4.5.3), and a name with its checksum (4.6.9)."""

_MOST_PER_BYTE = 32
_ALWAYS_ALLOWED = 64 << 20
_BYTES_PER_PIXEL = 8
"""Of 16-bit RGBA: no page needs more than `max_pixels` of them."""

_UTF16 = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}
_PAGE_TAG = re.compile(r"<Page\b[^>]*>")
_PAGE_SIZES = re.compile(r"\s+Image(?:Width|Height|Size)\s*=\s*(?:\"[^\"]*\"|'[^']*')")


@dataclass(frozen=True)
class Page:
    """A page of an archive.

    Attributes:
        source: The archive and the name of the page in it, for messages.
        format: Of the page that is written.
        number: From 0.
        count: The number of pages.
    """

    source: Path
    format: Format
    number: int
    count: int


@dataclass(frozen=True)
class _Entry:
    """An entry of an archive: its header, its new name, and the format of a page that it is."""

    info: zipfile.ZipInfo
    name: str
    format: Format | None

    @property
    def is_hidden(self) -> bool:
        """Whether it is no page: thumbnails, and the other halves of files from macOS."""
        return any(part.startswith((".", "__MACOSX")) for part in self.name.split("/"))

    @property
    def is_other_image(self) -> bool:
        """Whether it would be a page if its format were supported."""
        visible = not (self.info.is_dir() or self.is_hidden)
        return visible and is_other_format(PurePath(self.name))


UpscalePage = Callable[[Page, bytes], bytes]
"""Makes the file of a page from that of the original."""


def is_archive(path: PurePath) -> bool:
    """Whether a file is a comic archive by its name."""
    return path.suffix.lower() == SUFFIX


def is_unsupported_archive(path: PurePath) -> bool:
    """Whether a file is by its name a comic archive of another kind than ZIP."""
    return path.suffix.lower() in _OTHER_SUFFIXES


def representative(path: Path) -> Path | bytes:
    """What tells the size of a file and what made it: itself, or the first page of an archive.

    Nothing if an archive cannot be read.
    """
    if not is_archive(path):
        return path
    with suppress(SrError, OSError):
        return next(page_contents(path, DEFAULT_MAX_PIXELS))
    return b""


def is_whole(path: Path, max_pixels: int, is_page: Callable[[bytes], bool]) -> bool:
    """Whether an archive is there, its entries have their checksums, and its pages are images.

    Args:
        path: The archive.
        max_pixels: As for `rewrite`.
        is_page: Whether the content of an entry is an image.
    """
    with suppress(SrError, OSError):
        with _open(path) as archive:
            intact = archive.testzip() is None
        return intact and all(map(is_page, page_contents(path, max_pixels)))
    return False


def page_contents(source: Path, max_pixels: int) -> Iterator[bytes]:
    """The files of the pages, one after the other.

    Raises:
        SrError: As `rewrite`.
    """
    with _open(source) as archive:
        for entry in _check_entries(source, archive, None, max_pixels):
            if entry.format is not None:
                yield _read(archive, entry.info)


def rewrite(
    source: Path,
    file: BinaryIO,
    wanted: Format | None,
    max_pixels: int,
    upscale_page: UpscalePage,
) -> list[Note]:
    """Write an archive with upscaled pages; order, names and all other entries are preserved.

    Args:
        source: The archive.
        file: Opened for writing.
        wanted: The format of all pages; None keeps that of each page.
        max_pixels: The most pixels of a page; what would expand to far more is refused.
        upscale_page: Called for each page, in the order of the archive.

    Returns:
        Notes on entries that are not pages.

    Raises:
        SrError: `unreadable-file`, `damaged-archive`, `encrypted-archive`, `unsafe-entry`,
            `expands-too-much`, `outputs-collide`, `no-pages`: all but damage in the content of an
            entry before anything is written; and what `upscale_page` raises.
    """
    notes = []
    images: list[str] = []
    with _open(source) as archive, zipfile.ZipFile(file, "w") as made:
        entries = _check_entries(source, archive, wanted, max_pixels)
        count = sum(e.format is not None for e in entries)
        made.comment = archive.comment
        number = copied = 0
        for entry in entries:
            target = _header(entry)
            if entry.format is not None:
                page = Page(source / entry.info.filename, entry.format, number, count)
                made.writestr(target, upscale_page(page, _read(archive, entry.info)))
                number += 1
            elif PurePath(entry.name).name.lower() == _COMIC_INFO:
                original = _read(archive, entry.info)
                described = _without_page_sizes(original)
                made.writestr(target, described)
                if described != original:
                    notes.append(Note("page-sizes-dropped", {"entry": entry.name}))
            else:
                with archive.open(entry.info) as content, made.open(target, "w") as copy:
                    shutil.copyfileobj(content, copy)
                _check_size(entry.info, target.file_size)
                if entry.is_other_image:
                    images.append(PurePath(entry.name).suffix.lower())
                else:
                    copied += not entry.info.is_dir()
    if images:
        facts = {"count": len(images), "suffixes": sorted(set(images))}
        notes.append(Note("images-copied", facts))
    if copied:
        notes.append(Note("entries-copied", {"count": copied}))
    return notes


@contextmanager
def _open(source: Path) -> Iterator[zipfile.ZipFile]:
    """Open an archive for reading; damage found while it is open is an SrError about it."""
    try:
        with zipfile.ZipFile(source) as archive:
            yield archive
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise SrError("damaged-archive", source, reason=str(error)) from error


def _read(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    content = archive.read(info)
    _check_size(info, len(content))
    return content


def _check_size(info: zipfile.ZipInfo, found: int) -> None:
    """Check that an entry is as long as it declares; zipfile itself stops there, and at an end."""
    if found != info.file_size:
        raise zipfile.BadZipFile(f"{info.filename} is shorter than it declares")


def _check_entries(
    source: Path, archive: zipfile.ZipFile, wanted: Format | None, max_pixels: int
) -> list[_Entry]:
    """The entries with their new names, after checking all that their headers say."""
    infos = archive.infolist()
    if any(info.flag_bits & _ENCRYPTED for info in infos):
        raise SrError("encrypted-archive", source)
    for info in infos:
        if reason := _unsafe(info.orig_filename):
            raise SrError("unsafe-entry", source, entry=info.orig_filename, reason=reason)
    # No more than this is ever read of an entry, whatever its compressed content holds.
    total = sum(info.file_size for info in infos)
    packed = sum(info.compress_size for info in infos)
    most = max((info.file_size for info in infos), default=0)
    if (
        total > _MOST_PER_BYTE * min(packed, source.stat().st_size) + _ALWAYS_ALLOWED
        or most > _BYTES_PER_PIXEL * max_pixels + _ALWAYS_ALLOWED
    ):
        raise SrError("expands-too-much", source, mib=total >> 20)
    entries = [_entry(info, wanted) for info in infos]
    for earlier, later in _collisions(entries):
        first, second = earlier.info.filename, later.info.filename
        if first == second:
            raise SrError("unsafe-entry", source, entry=first, reason="duplicate")
        raise SrError("outputs-collide", source / later.name, first=first, second=second)
    if not any(entry.format for entry in entries):
        raise SrError("no-pages", source)
    return entries


def _unsafe(name: str) -> str | None:
    """Why a program that unpacks an archive could write this name somewhere else; or None."""
    if "\\" in name:
        return "backslash"
    if name.startswith("/") or re.match("[A-Za-z]:", name):
        return "absolute"
    if ".." in name.split("/"):
        return "parent"
    return None if name and name.isprintable() else "unprintable"


def _collisions(entries: Sequence[_Entry]) -> Iterator[tuple[_Entry, _Entry]]:
    """Pairs of entries with the same new name."""
    by_name: dict[str, _Entry] = {}
    for entry in entries:
        earlier = by_name.setdefault(entry.name, entry)
        if earlier is not entry:
            yield earlier, entry


def _entry(info: zipfile.ZipInfo, wanted: Format | None) -> _Entry:
    name = info.filename
    own = None if info.is_dir() else format_of_name(name)
    kept = _Entry(info, name, None)
    if own is None or kept.is_hidden:
        return kept
    chosen = wanted or (own if own.writable else FORMATS["JPEG"])
    if chosen != own:
        name = name.removesuffix(PurePath(name).suffix) + chosen.suffixes[0]
    return _Entry(info, name, chosen)


class _Header(zipfile.ZipInfo):
    """The header of an entry that keeps the bytes of its name.

    Names that are not marked as UTF-8 are in code page 437 by the specification (appendix D), but
    often in that of the computer that wrote them: readers guess, from these bytes.
    """

    is_utf8 = False

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:  # noqa: N802  # of zipfile
        if self.is_utf8:
            return self.filename.encode(), self.flag_bits | _UTF8
        return self.filename.encode("cp437"), self.flag_bits


def _header(entry: _Entry) -> zipfile.ZipInfo:
    """The header of a new entry: that of the old one, without its sizes."""
    old, made = entry.info, _Header(entry.name, entry.info.date_time)
    made.is_utf8 = bool(old.flag_bits & _UTF8)
    made.compress_type, made.comment, made.extra = old.compress_type, old.comment, _extra(old.extra)
    made.external_attr, made.internal_attr = old.external_attr, old.internal_attr
    made.create_system = old.create_system
    return made


def _extra(fields: bytes) -> bytes:
    """The extra fields of a header without those that belong to the old content or name."""
    kept, position = b"", 0
    while position + 4 <= len(fields):
        kind, size = struct.unpack_from("<HH", fields, position)
        if kind not in (_ZIP64, _UNICODE_PATH):
            kept += fields[position : position + 4 + size]
        position += 4 + size
    return kept


def _without_page_sizes(described: bytes) -> bytes:
    """ComicInfo.xml without the sizes of pages, which are optional and would no longer be true."""
    encoding = _UTF16.get(described[:2], "latin-1")
    text = described.decode(encoding, "surrogatepass")
    return _PAGE_TAG.sub(lambda tag: _PAGE_SIZES.sub("", tag[0]), text).encode(
        encoding, "surrogatepass"
    )
