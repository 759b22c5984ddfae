"""AVIF files of libavif with further boxes."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from sr_cli.imaging.isobmff import Box, read_boxes

_INSIDE = {
    b"meta": 4, b"iprp": 0, b"ipco": 0, b"moov": 0, b"trak": 0, b"mdia": 0, b"minf": 0,
    b"stbl": 0, b"stsd": 8, b"av01": 78,
}  # fmt: skip


def clap(width: int, height: int, right: int, down: int, divisor: int = 1) -> bytes:
    """A clean aperture: its size, and how far its centre is from that of the image."""
    numbers = (width, divisor, height, divisor, right, divisor, down, divisor)
    return struct.pack(">I4sIIIIiIiI", 40, b"clap", *numbers)


def irot(quarters: int) -> bytes:
    """A rotation against the clock."""
    return struct.pack(">I4sB", 9, b"irot", quarters)


def imir(axis: int) -> bytes:
    """A mirror: 0 for upside down, 1 for left to right."""
    return struct.pack(">I4sB", 9, b"imir", axis)


def with_properties(data: bytes, *properties: bytes) -> bytes:
    """The file with further, essential properties of its first item."""
    ipco, ipma = (_first(data, kind) for kind in (b"ipco", b"ipma"))
    first = 1 + len(list(read_boxes(data, ipco.start, ipco.end)))
    count = ipma.start + 10
    end = count + 1 + data[count]
    indices = bytes(0x80 | first + number for number in range(len(properties)))
    data = data[:count] + bytes([data[count] + len(indices)]) + data[count + 1 :]
    return _insert(_insert(data, end, indices), ipco.end, b"".join(properties))


def with_unused_property(data: bytes, content: bytes) -> bytes:
    """The file with a property that no item has."""
    return _insert(data, _first(data, b"ipco").end, content)


def with_track_properties(data: bytes, *properties: bytes) -> bytes:
    """An animation with further boxes in the description of its first track."""
    return _insert(data, _first(data, b"av01").end, b"".join(properties))


def _insert(data: bytes, place: int, content: bytes) -> bytes:
    """Insert into the boxes that end or go on at a place, and move what follows."""
    made = bytearray(data)
    places = []
    for box in _walk(data, 0, len(data)):
        if box.start <= place <= box.end and box.kind in (*_INSIDE, b"ipma"):
            places.append(box.start - 8)
        elif box.kind == b"stco":
            (count,) = struct.unpack_from(">I", data, box.start + 4)
            places += range(box.start + 8, box.start + 8 + 4 * count, 4)
        elif box.kind == b"iloc":
            # Items of one extent, with offsets and lengths of 4 bytes.
            assert data[box.start] == 0 and data[box.start + 4 : box.start + 6] == b"\x44\0"
            places += range(box.start + 14, box.end, 14)
    for number in places:
        (old,) = struct.unpack_from(">I", data, number)
        struct.pack_into(">I", made, number, old + len(content))
    return bytes(made[:place]) + content + bytes(made[place:])


def _first(data: bytes, kind: bytes) -> Box:
    return next(box for box in _walk(data, 0, len(data)) if box.kind == kind)


def _walk(data: bytes, start: int, end: int) -> Iterator[Box]:
    for box in read_boxes(data, start, end):
        yield box
        if box.kind in _INSIDE:
            yield from _walk(data, box.start + _INSIDE[box.kind], box.end)
