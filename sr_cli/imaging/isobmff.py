"""Boxes of AVIF and HEIC files: what decoders do not report of colour, depth, crop and gain maps.

Sections are of ISO/IEC 14496-12 (boxes) and ISO/IEC 23008-12 (items and their properties).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from contextlib import suppress
from fractions import Fraction
from typing import BinaryIO, NamedTuple

from sr_cli.imaging.cicp import Cicp

_CONTAINERS = {
    b"meta": 4, b"iprp": 0, b"ipco": 0, b"moov": 0, b"trak": 0, b"mdia": 0, b"minf": 0,
    b"stbl": 0, b"stsd": 8, b"av01": 78,
}  # fmt: skip
"""Boxes with boxes inside, by the bytes before them."""

_GAIN_MAPS = (
    b"urn:com:apple:photo:2020:aux:hdrgainmap",
    b"urn:iso:std:iso:ts:21496:-1:aux:gainmap",
)
"""Types of auxiliary images."""

_DEPTH = 8
"""The deepest boxes that matter are eight levels down; damaged files may have more."""


class Box(NamedTuple):
    """A box: its kind, and where its content is in the file."""

    kind: bytes
    start: int
    end: int


def read_colour(data: bytes) -> tuple[Cicp | None, dict[bytes, bytes]]:
    """The colour of the primary image, and the chunks of PNG for its mastering display.

    Args:
        data: The file. What is damaged counts as absent.

    Returns:
        The code points of the `nclx` colour box (14496-12, section 12.1.5), for full-range RGB as
        decoders return it; and mDCV and cLLI with the content of the boxes `mdcv` and `clli`.
    """
    cicp: Cicp | None = None
    chunks: dict[bytes, bytes] = {}
    with suppress(struct.error, IndexError):
        for kind, content in _image_properties(data):
            if kind == b"colr" and content[:4] == b"nclx":
                cicp = cicp or Cicp(*struct.unpack_from(">HH", content, 4))
            elif kind == b"mdcv" and len(content) == 24:
                # The box begins with green (section 12.1.7), the chunk with red.
                green, blue, red = content[0:4], content[4:8], content[8:12]
                chunks.setdefault(b"mDCV", red + green + blue + content[12:])
            elif kind == b"clli" and len(content) == 4:
                # Units of 1 cd/m2 in the box (section 12.1.6), of 0.0001 in the chunk.
                levels = struct.unpack(">HH", content)
                units = struct.pack(">II", *(level * 10_000 for level in levels))
                chunks.setdefault(b"cLLI", units)
    return cicp, chunks


def read_depth(data: bytes) -> int:
    """The most bits per channel of the primary image (`pixi`, 23008-12 section 6.5.6), or 8."""
    with suppress(struct.error, IndexError):
        for kind, content in _image_properties(data):
            if kind == b"pixi":
                return max(content[5 : 5 + content[4]], default=8)
    return 8


def read_crop(data: bytes, width: int, height: int) -> tuple[int, int, int, int] | None:
    """What an AVIF shows of its decoded image, before it is turned (`clap`, section 12.1.4).

    Args:
        data: The file.
        width: Of the decoded image.
        height: Of the decoded image.

    Returns:
        Left, top, right and bottom; None for a crop that leaves the image, divides pixels, or
        follows a rotation (ISO/IEC 23000-22, section 7.3.6.7, has it first).
    """
    with suppress(struct.error, IndexError, ZeroDivisionError):
        transforms = _transforms(data)
        if all(kind != b"clap" for kind, _ in transforms):
            return 0, 0, width, height
        kind, content = transforms[0]
        numbers = struct.unpack(">IIIIiIiI", content)
        wide, high, right, down = (Fraction(*numbers[i : i + 2]) for i in (0, 2, 4, 6))
        # The offsets are between the centres.
        left, top = (width - wide) / 2 + right, (height - high) / 2 + down
        sides = left, top, left + wide, top + high
        is_inside = 0 <= left < sides[2] <= width and 0 <= top < sides[3] <= height
        if kind == b"clap" and is_inside and all(side.denominator == 1 for side in sides):
            return int(left), int(top), int(sides[2]), int(sides[3])
    return None


def _transforms(data: bytes) -> list[tuple[bytes, bytes]]:
    """The properties that crop and turn the image that is decoded, in their order."""
    found, _ = _properties(data)
    # Decoders take an animation from its track, which has its own.
    if data[8:12] == b"avis":
        movies = (box for box in read_boxes(data, 0, len(data)) if box.kind == b"moov")
        inside = (box for movie in movies for box in _walk(data, movie.start, movie.end))
        found = [(box.kind, data[box.start : box.end]) for box in inside]
    return [change for change in found if change[0] in (b"clap", b"irot", b"imir")]


def write_colour(file: BinaryIO, cicp: Cicp) -> None:
    """Set primaries and transfer in all `nclx` colour boxes of a complete file.

    The matrix and the range stay those of the encoder. Colour boxes take precedence over what the
    coded image says (ISO/IEC 23000-22, section 7.3.6.4).
    """
    file.seek(0)
    data = file.read()
    for box in _walk(data, 0, len(data)):
        if box.kind == b"colr" and data[box.start : box.start + 4] == b"nclx":
            file.seek(box.start + 4)
            file.write(struct.pack(">HH", *cicp.code_points))
    file.seek(len(data))


def write_mastering(file: BinaryIO, chunks: Mapping[bytes, bytes]) -> bool:
    """Add the boxes `mdcv` and `clli` to the primary image of a complete file of libavif.

    Args:
        file: Opened for writing and reading.
        chunks: The PNG chunks mDCV and cLLI.

    Returns:
        Whether the file has the layout that libavif writes; otherwise nothing is changed.
    """
    file.seek(0)
    data = file.read()
    added = _mastering_boxes(chunks)
    boxes = list(_walk(data, 0, len(data)))
    # Tracks of an animation may have boxes of the same kinds, after those of the file.
    by_kind = {box.kind: box for box in reversed(boxes)}
    try:
        ipco, ipma = by_kind[b"ipco"], by_kind[b"ipma"]
        count_at, indices_end = _entry_of(data, ipma, by_kind[b"pitm"])
        offsets = [place for box in boxes for place in _file_offsets(data, box)]
    except (KeyError, ValueError, struct.error, IndexError):
        return False
    first = 1 + len(list(read_boxes(data, ipco.start, ipco.end)))
    indices, content = bytes(range(first, first + len(added))), b"".join(added)
    grows = len(content) + len(indices)
    made = bytearray(data)
    made[count_at] += len(indices)
    larger = {b"ipco": len(content), b"ipma": len(indices), b"iprp": grows, b"meta": grows}
    sizes = [(by_kind[kind].start - 8, more) for kind, more in larger.items()]
    for place, more in (*sizes, *((place, grows) for place in offsets)):
        (number,) = struct.unpack_from(">I", data, place)
        struct.pack_into(">I", made, place, number + more)
    # The later place first, so that the other is still where it was.
    made[indices_end:indices_end] = indices
    made[ipco.end : ipco.end] = content
    file.seek(0)
    file.write(made)
    return True


def _mastering_boxes(chunks: Mapping[bytes, bytes]) -> list[bytes]:
    boxes = []
    if len(display := chunks.get(b"mDCV", b"")) == 24:
        red, green, blue = display[0:4], display[4:8], display[8:12]
        boxes.append(b"mdcv" + green + blue + red + display[12:])
    if len(levels := chunks.get(b"cLLI", b"")) == 8:
        whole = (min(round(level / 10_000), 65_535) for level in struct.unpack(">II", levels))
        boxes.append(b"clli" + struct.pack(">HH", *whole))
    return [struct.pack(">I", 4 + len(box)) + box for box in boxes]


def _entry_of(data: bytes, ipma: Box, pitm: Box) -> tuple[int, int]:
    """Where the primary item has its number of properties, and where its properties end."""
    if data[ipma.start : ipma.start + 4] != bytes(4) or data[pitm.start] != 0:
        raise ValueError("not a layout of libavif")
    wanted = _number(data, pitm.start + 4, wide=False)
    position = ipma.start + 8
    while position < ipma.end:
        end = position + 3 + data[position + 2]
        if _number(data, position, wide=False) == wanted:
            return position + 2, end
        position = end
    raise ValueError("no properties")


def _file_offsets(data: bytes, box: Box) -> Iterator[int]:
    """Where a box has offsets in the file (`iloc`, 14496-12 section 8.11.3; `stco`, 8.7.5)."""
    if box.kind == b"stco":
        (count,) = struct.unpack_from(">I", data, box.start + 4)
        yield from range(box.start + 8, box.start + 8 + 4 * count, 4)
    elif box.kind == b"iloc":
        if data[box.start] != 0 or data[box.start + 4 : box.start + 6] != b"\x44\0":
            raise ValueError("not a layout of libavif")
        position = box.start + 8
        for _ in range(_number(data, box.start + 6, wide=False)):
            extents = _number(data, position + 4, wide=False)
            position += 6
            yield from range(position, position + 8 * extents, 8)
            position += 8 * extents
    elif box.kind == b"co64":
        raise ValueError("not a layout of libavif")


def has_gain_map(data: bytes) -> bool:
    """Whether an AVIF or HEIC file has a gain map.

    Either a derived item `tmap` (ISO 21496-1, annex C) or an auxiliary image, as iPhones write it.
    """
    for box in _walk(data, 0, len(data)):
        if box.kind == b"auxC" and any(n in data[box.start : box.end] for n in _GAIN_MAPS):
            return True
        if box.kind == b"iinf" and _has_gain_map_item(data, box):
            return True
    return False


def _has_gain_map_item(data: bytes, box: Box) -> bool:
    # Version 0 counts items in two bytes, later ones in four (section 8.11.6).
    entries = box.start + (6 if data[box.start : box.start + 1] == b"\0" else 8)
    for entry in read_boxes(data, entries, box.end):
        wide = data[entry.start : entry.start + 1] == b"\x03"
        place = entry.start + (10 if wide else 8)
        if entry.kind == b"infe" and data[place : place + 4] == b"tmap":
            return True
    return False


def _image_properties(data: bytes) -> list[tuple[bytes, bytes]]:
    """The properties of the primary item; all properties if it has no colour of its own."""
    own, all_properties = _properties(data)
    # A grid may leave its colour to its tiles.
    return own if any(kind == b"colr" for kind, _ in own) else own + all_properties


def _properties(data: bytes) -> tuple[list[tuple[bytes, bytes]], list[tuple[bytes, bytes]]]:
    """The kinds and contents of the properties of the primary item, and of all properties."""
    item, places, all_properties = None, [], []
    for box in _walk(data, 0, len(data)):
        if box.kind == b"pitm":
            item = _number(data, box.start + 4, wide=data[box.start] > 0)
        elif box.kind == b"ipco":
            inside = read_boxes(data, box.start, box.end)
            all_properties = [(b.kind, data[b.start : b.end]) for b in inside]
        elif box.kind == b"ipma":
            places = _associations(data, box, item)
    own = [all_properties[i - 1] for i in places if 0 < i <= len(all_properties)]
    return own, all_properties


def _associations(data: bytes, box: Box, item: int | None) -> list[int]:
    """The indices of the properties of an item, from 1 (`ipma`, 23008-12 section 9.3.1)."""
    version, has_wide_indices = data[box.start], data[box.start + 3] & 1
    (count,) = struct.unpack_from(">I", data, box.start + 4)
    position = box.start + 8
    for _ in range(count):
        if position >= box.end:
            break
        found = _number(data, position, wide=version > 0)
        position += 4 if version > 0 else 2
        entries, width = data[position], 2 if has_wide_indices else 1
        position += 1
        raw = data[position : position + entries * width]
        position += len(raw)
        if found == item:
            # The highest bit says whether a property is essential.
            mask = 0x7FFF if has_wide_indices else 0x7F
            return [
                int.from_bytes(raw[i : i + width], "big") & mask for i in range(0, len(raw), width)
            ]
    return []


def _number(data: bytes, position: int, *, wide: bool) -> int:
    return int.from_bytes(data[position : position + (4 if wide else 2)], "big")


def _walk(data: bytes, start: int, end: int, depth: int = 0) -> Iterator[Box]:
    """All boxes, those with boxes inside first."""
    for box in read_boxes(data, start, end):
        yield box
        if box.kind in _CONTAINERS and depth < _DEPTH:
            yield from _walk(data, box.start + _CONTAINERS[box.kind], box.end, depth + 1)


def read_boxes(data: bytes, start: int, end: int) -> Iterator[Box]:
    """The boxes in a part of the file (14496-12, section 4.2)."""
    while start + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, start)
        head = 8
        if size == 1 and start + 16 <= end:
            (size,) = struct.unpack_from(">Q", data, start + 8)
            head = 16
        size = size or end - start
        if size < head or start + size > end:
            return
        yield Box(kind, start + head, start + size)
        start += size
