"""The index of Multi-Picture Format (CIPA DC-007-2009): where further images of a file are."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from sr_cli.imaging.compound.segments import APP2, JpegImage, build_segment

_IDENTIFIER = b"MPF\0"
_VERSION, _COUNT, _ENTRIES = 0xB000, 0xB001, 0xB002
_LONG, _UNDEFINED = 4, 7
_ENTRY = 16
_PRIMARY_TYPE = 0x030000
_HEADER = 4 + len(_IDENTIFIER)
"""From the start of the segment to the byte order: marker, length and identifier."""

_KINDS = {
    0x010001: "preview",
    0x010002: "preview",
    0x020001: "panorama",
    0x020002: "stereo",
    0x020003: "multi-angle",
}
"""The type codes of individual images (section 5.2.3.3.1)."""


@dataclass(frozen=True)
class Place:
    """Where a further part of a file should start.

    Attributes:
        start: Its position in the file.
        kind: In the index, `preview`, `panorama`, `stereo`, `multi-angle` or `other`; in the
            directory of XMP, the semantic.
    """

    start: int
    kind: str


def read_index(image: JpegImage) -> list[Place]:
    """The further images that the index of a file names; empty if it has none or is damaged.

    Positions are not checked: they may lie outside of the file.
    """
    segment = image.find(APP2, _IDENTIFIER)
    if segment is None:
        return []
    block = segment.content[len(_IDENTIFIER) :]
    try:
        entries = _entries(block)
    except (struct.error, KeyError, ValueError):
        return []
    # Offsets count from the byte order (section 5.2.3.3.3); the first image has none.
    base = segment.start + len(_IDENTIFIER)
    return [
        Place(base + offset, _KINDS.get(attribute & 0xFFFFFF, "other"))
        for attribute, _, offset, _, _ in entries
        if offset
    ]


def _entries(block: bytes) -> list[tuple[int, ...]]:
    """The entries of an index: attribute, size, offset, and two dependent images each."""
    order = {b"II*\0": "<", b"MM\0*": ">"}[block[:4]]
    (directory,) = struct.unpack_from(f"{order}I", block, 4)
    (count,) = struct.unpack_from(f"{order}H", block, directory)
    for number in range(count):
        tag, _, length, offset = struct.unpack_from(
            f"{order}HHII", block, directory + 2 + 12 * number
        )
        if tag == _ENTRIES:
            table = block[offset : offset + length]
            whole = len(table) - len(table) % _ENTRY
            return list(struct.iter_unpack(f"{order}IIIHH", table[:whole]))
    return []


def build_index(first: int, second: int, place: int) -> bytes:
    """The segment with the index of a file with two images (section 5.2).

    Args:
        first: Bytes of the first image, with this segment.
        second: Bytes of the second image, which follows the first.
        place: The position of this segment in the file.
    """
    directory = struct.pack(
        ">H HHI4s HHII HHII I",
        3,
        *(_VERSION, _UNDEFINED, 4, b"0100"),
        *(_COUNT, _LONG, 1, 2),
        *(_ENTRIES, _UNDEFINED, 2 * _ENTRY, 50),
        0,
    )
    offset = first - (place + _HEADER) if first else 0
    table = struct.pack(">IIIHH", _PRIMARY_TYPE, first, 0, 0, 0)
    table += struct.pack(">IIIHH", 0, second, offset, 0, 0)
    return build_segment(APP2, _IDENTIFIER + b"MM\0*" + struct.pack(">I", 8) + directory + table)
