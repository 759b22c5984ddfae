"""Reading of compound files: where their parts are, and what is kept of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from sr_cli.imaging.compound.mpf import Place, read_index
from sr_cli.imaging.compound.promises import GAIN_MAP, MOTION_PHOTO, Promises
from sr_cli.imaging.compound.segments import APP2, JpegImage, parse_image
from sr_cli.imaging.compound.video import video_end
from sr_cli.imaging.compound.xmp import GAIN_MAP_URI

ISO = b"urn:iso:std:iso:ts:21496:-1\0"
"""The identifier of an APP2 segment with ISO 21496-1 metadata (annex C)."""

_VERSIONS = 4
"""Bytes of the part that stands with the base image: minimum and writer version."""

_APPLE_GAIN_MAP = b"urn:com:apple:photo:2020:aux:hdrgainmap"

_SAMSUNG_VIDEO = b"MotionPhoto_Data"
"""The name that comes before the video in photos of Samsung, whose directory has other lengths."""

_MOST = 64
"""Places that are looked at: each may cost a pass over the file."""


@dataclass
class Parts:
    """The parts of a JPEG file.

    Attributes:
        gain_map: The gain map, or None.
        video: Start and end of the video of a motion photo, or None.
        others: The kinds of the further images, except previews.
        unknown: Bytes after the image that belong to none of these, without padding.
    """

    gain_map: JpegImage | None = None
    video: tuple[int, int] | None = None
    others: list[str] = field(default_factory=list)
    unknown: int = 0


def find_parts(data: bytes, base: JpegImage, promises: Promises) -> Parts:
    """Find the parts of a JPEG file.

    Nothing in the file is trusted: positions outside of it lead nowhere, lengths are measured,
    and an image is a gain map only if its own metadata says so.

    Args:
        data: The file.
        base: The image at its start.
        promises: Of its XMP.
    """
    parts = Parts()
    listed = _places(promises, base.end)
    parts.video = _find_video(data, promises, listed, base.end)
    known = [(0, base.end)] + ([parts.video] if parts.video else [])
    kinds = _image_kinds(base, listed)
    for start, kind in list(kinds.items())[:_MOST]:
        if any(a <= start < b for a, b in known):
            continue
        image = parse_image(data, start)
        if image is None:
            continue
        known.append((image.start, image.end))
        if parts.gain_map is None and is_gain_map(image):
            parts.gain_map = image
        elif kind != "preview":
            parts.others.append(kind)
    parts.unknown = _count_unknown(data, known)
    return parts


def is_gain_map(image: JpegImage) -> bool:
    """Whether the own metadata of an image describes a gain map."""
    xmp = image.xmp or b""
    iso = image.find(APP2, ISO)
    described = iso is not None and len(iso.content) > len(ISO) + _VERSIONS
    return described or GAIN_MAP_URI.encode() in xmp or _APPLE_GAIN_MAP in xmp


def _places(promises: Promises, end: int) -> list[Place]:
    """Where the directory has its items: one after the other (Ultra HDR 1.1, "Item element")."""
    places = []
    position = end + (promises.items[0].padding if promises.items else 0)
    for item in promises.items[1:]:
        if item.length:
            places.append(Place(position, item.semantic))
            position += item.length + item.padding
    return places


def _image_kinds(base: JpegImage, listed: Sequence[Place]) -> dict[int, str]:
    """Where images may start, and their kinds: by the directory, the index, after the image."""
    kinds = {p.start: p.kind for p in listed if p.kind != MOTION_PHOTO}
    for entry in read_index(base):
        kinds.setdefault(entry.start, entry.kind)
    kinds.setdefault(base.end, "other")
    # A wrong directory must not hide the gain map: what its own metadata says counts.
    return {start: "other" if kind == GAIN_MAP else kind for start, kind in kinds.items()}


def _find_video(
    data: bytes, promises: Promises, listed: Sequence[Place], end: int
) -> tuple[int, int] | None:
    """The video: where the directory has it, counted from the end of the file, or by its name."""
    size = len(data)
    starts = [place.start for place in listed if place.kind == MOTION_PHOTO]
    starts += [size - i.length - i.padding for i in promises.items if i.semantic == MOTION_PHOTO]
    lengths = [p.value for p in promises.motion if p.name in ("MicroVideoOffset", "VideoLength")]
    starts += [size - int(text) for text in lengths if re.fullmatch("[0-9]{1,12}", text)]
    named = data.find(_SAMSUNG_VIDEO, end)
    starts = [*starts[: _MOST - 1], *([named + len(_SAMSUNG_VIDEO)] if named >= 0 else [])]
    for start in starts:
        if end <= start < size and (stop := video_end(data, start, size)) is not None:
            return start, stop
    return None


def _count_unknown(data: bytes, known: Sequence[tuple[int, int]]) -> int:
    """The bytes outside of the known parts, except runs of zeros or of 0xFF at their ends."""
    count = position = 0
    for start, end in [*sorted(known), (len(data), len(data))]:
        rest = data[position:start].strip(b"\0\xff")
        count += len(rest)
        position = max(position, end)
    return count
