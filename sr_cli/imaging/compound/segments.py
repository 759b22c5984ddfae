"""The marker segments of JPEG files (ITU-T T.81, annex B), and where an image ends."""

from __future__ import annotations

import hashlib
import re
import struct
from dataclasses import dataclass

START = b"\xff\xd8"
APP1, APP2 = 0xE1, 0xE2

XMP = b"http://ns.adobe.com/xap/1.0/\0"
"""The identifier of an APP1 segment with XMP (XMP part 3, section 1.1.3)."""

EXTENDED_XMP = b"http://ns.adobe.com/xmp/extension/\0"
"""The identifier of an APP1 segment with a part of long XMP (section 1.1.3.1)."""

_EXTENSION_HEAD = struct.Struct(">32sII")
"""The name of the packet, its length, and the position of this part in it."""

_MAX_CONTENT = 0xFFFF - 2

_END, _SCAN = 0xD9, 0xDA
_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]", re.DOTALL)
"""A marker with a segment, or the end: no stuffed byte, restart or fill byte (B.1.1)."""


@dataclass(frozen=True)
class Segment:
    """A marker segment.

    Attributes:
        marker: The second byte of the marker.
        start: The position of its content in the file.
        content: What follows the length.
    """

    marker: int
    start: int
    content: bytes


@dataclass(frozen=True)
class JpegImage:
    """A JPEG image within a file.

    Attributes:
        start, end: Its bytes.
        head: The segments before the first scan.
    """

    start: int
    end: int
    head: tuple[Segment, ...]

    def find(self, marker: int, identifier: bytes) -> Segment | None:
        """The first segment whose content begins with `identifier`, or None."""
        for segment in self.head:
            if segment.marker == marker and segment.content.startswith(identifier):
                return segment
        return None

    @property
    def xmp(self) -> bytes | None:
        """The XMP packet, or None."""
        segment = self.find(APP1, XMP)
        return segment.content[len(XMP) :] if segment else None


def parse_image(data: bytes, start: int = 0) -> JpegImage | None:
    """Find the segments and the end of the image at `start`; None if it is truncated.

    What is not a marker is passed over, as decoders do it.
    """
    if data[start : start + 2] != START:
        return None
    head: list[Segment] = []
    in_head = True
    found = _MARKER.search(data, start + 2)
    while found is not None:
        marker, after = data[found.end() - 1], found.end()
        if marker == _END:
            return JpegImage(start, after, tuple(head))
        length = int.from_bytes(data[after : after + 2], "big")
        if length < 2 or after + length > len(data):
            return None
        in_head = in_head and marker != _SCAN
        if in_head:
            head.append(Segment(marker, after + 2, data[after + 2 : after + length]))
        found = _MARKER.search(data, after + length)
    return None


def read_extension(image: JpegImage, name: str) -> bytes | None:
    """Join the second packet of long XMP; None if it is not there or not complete.

    Args:
        image: The image.
        name: Of the packet, from the first one.
    """
    parts: dict[int, bytes] = {}
    whole = 0
    for segment in image.head:
        content = segment.content.removeprefix(EXTENDED_XMP)
        if segment.marker != APP1 or content == segment.content:
            continue
        if len(content) >= _EXTENSION_HEAD.size:
            found, whole_here, offset = _EXTENSION_HEAD.unpack_from(content)
            if found.decode("latin-1") == name:
                parts[offset] = content[_EXTENSION_HEAD.size :]
                whole = whole_here
    packet = b""
    for offset, part in sorted(parts.items()):
        if offset != len(packet):
            return None
        packet += part
    return packet if packet and len(packet) == whole else None


def extension_name(packet: bytes) -> str:
    """The name of a second packet: its MD5 digest (section 1.1.3.1)."""
    return hashlib.md5(packet, usedforsecurity=False).hexdigest().upper()


def build_extension(packet: bytes) -> bytes:
    """The segments with the second packet of long XMP."""
    name = extension_name(packet).encode()
    step = _MAX_CONTENT - len(EXTENDED_XMP) - _EXTENSION_HEAD.size
    return b"".join(
        build_segment(
            APP1,
            EXTENDED_XMP
            + _EXTENSION_HEAD.pack(name, len(packet), offset)
            + packet[offset : offset + step],
        )
        for offset in range(0, len(packet), step)
    )


def build_segment(marker: int, content: bytes) -> bytes:
    """A marker segment.

    Args:
        marker: The second byte of the marker.
        content: At most 65533 bytes.
    """
    return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2, "big") + content


def insert_after_applications(image: bytes, segment: bytes) -> tuple[bytes, int]:
    """Insert a segment after the leading application segments of an image.

    Returns:
        The image, and the position of the segment in it.
    """
    position = 2
    while image[position] == 0xFF and 0xE0 <= image[position + 1] <= 0xEF:
        position += 2 + int.from_bytes(image[position + 2 : position + 4], "big")
    return image[:position] + segment + image[position:], position
