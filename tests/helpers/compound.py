"""Ultra HDR photos, motion photos and multi-picture files, composed by hand; and read back."""

from __future__ import annotations

import hashlib
import io
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray
from PIL import Image

HDRGM = "http://ns.adobe.com/hdr-gain-map/1.0/"
CAMERA = "http://ns.google.com/photos/1.0/camera/"
ITEM = "{http://ns.google.com/photos/1.0/container/item/}"
XMP_SEGMENT = b"http://ns.adobe.com/xap/1.0/\0"
ISO_SEGMENT = b"urn:iso:std:iso:ts:21496:-1\0"
PROMISES = (b"hdrgm", b"hdr-gain-map", b"Container", b"Item:", b"MotionPhoto", b"MicroVideo")
"""What XMP says of further parts, by which it is found."""

NAMES = (
    'xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" '
    'xmlns:Container="http://ns.google.com/photos/1.0/container/" '
    'xmlns:Item="http://ns.google.com/photos/1.0/container/item/" '
    'xmlns:GCamera="http://ns.google.com/photos/1.0/camera/" '
    'xmlns:OpCamera="http://ns.oplus.com/photos/1.0/camera/" '
    'xmlns:xmpNote="http://ns.adobe.com/xmp/note/" '
    'xmlns:xmp="http://ns.adobe.com/xap/1.0/"'
)


def packet(attributes: str = "", content: str = "") -> bytes:
    """An XMP packet with one description."""
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/">\n'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">\n'
        f'<rdf:Description rdf:about="" {NAMES} {attributes}>{content}</rdf:Description>\n'
        '</rdf:RDF>\n</x:xmpmeta>\n<?xpacket end="w"?>'
    ).encode()


GAIN_XMP = packet(
    'hdrgm:Version="1.0" hdrgm:GainMapMin="0" hdrgm:GainMapMax="2" hdrgm:Gamma="1" '
    'hdrgm:OffsetSDR="0.015625" hdrgm:OffsetHDR="0.015625" hdrgm:HDRCapacityMin="0" '
    'hdrgm:HDRCapacityMax="2" hdrgm:BaseRenditionIsHDR="False"'
)
APPLE_XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
    b'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
    b'xmlns:apdi="http://ns.apple.com/pixeldatainfo/1.0/" '
    b'xmlns:HDRGainMap="http://ns.apple.com/HDRGainMap/1.0/">'
    b"<apdi:AuxiliaryImageType>urn:com:apple:photo:2020:aux:hdrgainmap</apdi:AuxiliaryImageType>"
    b"<HDRGainMap:HDRGainMapVersion>131072</HDRGainMap:HDRGainMapVersion>"
    b"</rdf:Description></rdf:RDF></x:xmpmeta>"
)
ISO_VERSIONS = ISO_SEGMENT + bytes(4)
# One channel, common denominator 64: headrooms 0 and 2, gains 0 to 2, gamma 1, offsets 1/64.
ISO_METADATA = ISO_VERSIONS + struct.pack(">B I II iIIii", 0x08, 64, 0, 128, 0, 128, 64, 1, 1)


def item(semantic: str, length: int | None = None, mime: str = "image/jpeg") -> str:
    """An entry of a directory."""
    size = "" if length is None else f' Item:Length="{length}"'
    return (
        '<rdf:li rdf:parseType="Resource">'
        f'<Container:Item Item:Semantic="{semantic}" Item:Mime="{mime}"{size}/></rdf:li>'
    )


def directory(*items: str) -> str:
    """The directory of a file, with its primary image first."""
    inner = "".join([item("Primary"), *items])
    return f"<Container:Directory><rdf:Seq>{inner}</rdf:Seq></Container:Directory>"


def segment(marker: int, content: bytes) -> bytes:
    """A marker segment of a JPEG file."""
    return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2, "big") + content


def jpeg(
    pixels: NDArray[Any], *, xmp: bytes | None = None, segments: bytes = b"", **options: Any
) -> bytes:
    """A JPEG with XMP and further segments."""
    file = io.BytesIO()
    block = segment(0xE1, XMP_SEGMENT + xmp) if xmp else b""
    Image.fromarray(pixels).save(file, "JPEG", quality=95, extra=block + segments, **options)
    return file.getvalue()


def extension(content: bytes, step: int = 60_000) -> tuple[str, bytes]:
    """The name of a second XMP packet, and its segments (XMP part 3, section 1.1.3.1)."""
    name = hashlib.md5(content).hexdigest().upper()
    parts = [
        segment(
            0xE1,
            b"http://ns.adobe.com/xmp/extension/\0"
            + name.encode()
            + struct.pack(">II", len(content), start)
            + content[start : start + step],
        )
        for start in range(0, len(content), step)
    ]
    # Readers must not expect them in order.
    return name, b"".join(reversed(parts))


def extension_of(data: bytes) -> dict[str, bytes]:
    """The second XMP packets of a JPEG, by name."""
    found: dict[str, dict[int, bytes]] = {}
    for content in segments_of(data):
        identifier, _, rest = content.partition(b"\0")
        if identifier == b"http://ns.adobe.com/xmp/extension/":
            _, start = struct.unpack_from(">II", rest, 32)
            found.setdefault(rest[:32].decode(), {})[start] = rest[40:]
    return {n: b"".join(parts[k] for k in sorted(parts)) for n, parts in found.items()}


def with_index(images: list[bytes], kinds: list[int], order: str = "<") -> bytes:
    """Images one after the other, with a multi-picture index in the first (CIPA DC-007)."""
    place = 2
    while images[0][place + 1] in range(0xE0, 0xF0):
        place += 2 + int.from_bytes(images[0][place + 2 : place + 4], "big")
    count = len(images)
    size = 4 + 4 + 8 + 2 + 3 * 12 + 4 + 16 * count
    starts = np.cumsum([0, len(images[0]) + size, *map(len, images[1:-1])]).tolist()
    block = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8)
    block += struct.pack(f"{order}HHHI4s", 3, 0xB000, 7, 4, b"0100")
    block += struct.pack(f"{order}HHII", 0xB001, 4, 1, count)
    block += struct.pack(f"{order}HHIII", 0xB002, 7, 16 * count, 50, 0)
    for number, (kind, start) in enumerate(zip(kinds, starts, strict=True)):
        length = len(images[number]) + (0 if number else size)
        offset = start - (place + 8) if number else 0
        block += struct.pack(f"{order}IIIHH", kind, length, offset, 0, 0)
    first = images[0][:place] + segment(0xE2, b"MPF\0" + block) + images[0][place:]
    return b"".join([first, *images[1:]])


def ultra_hdr(
    base: NDArray[Any],
    gain: bytes,
    *,
    video: bytes = b"",
    attributes: str = "",
    order: str = "<",
    **options: Any,
) -> bytes:
    """An Ultra HDR photo with a true directory and index."""
    items = [item("GainMap", len(gain))]
    if video:
        items.append(item("MotionPhoto", len(video), "video/mp4"))
    xmp = packet(f'hdrgm:Version="1.0" xmp:Label="red" {attributes}', directory(*items))
    return with_index([jpeg(base, xmp=xmp, **options), gain], [0x030000, 0], order) + video


def box(kind: bytes, content: bytes = b"") -> bytes:
    """A box of an ISO base media file."""
    return (len(content) + 8).to_bytes(4, "big") + kind + content


VIDEO = (
    box(b"ftyp", b"mp42\0\0\0\0mp42isom")
    + box(b"moov", box(b"mvhd", bytes(100)))
    # What looks like markers of a JPEG inside of a video is none.
    + box(b"mdat", b"\xff\xd8\xff\xe1\0\x04" + bytes(range(256)) * 4)
)
"""A video as far as its boxes go."""


@dataclass
class Found:
    """What a JPEG file holds, read without the code that is tested.

    Attributes:
        base: The image.
        xmp: Its XMP packet; empty if it has none.
        parts: The bytes of the parts in the directory, by semantic.
        indexed: The bytes of the images in the multi-picture index.
        size: Of the file.
    """

    base: Image.Image
    xmp: bytes
    size: int
    parts: dict[str, bytes] = field(default_factory=dict)
    indexed: list[bytes] = field(default_factory=list)


def read_back(path: Path) -> Found:
    """Read a JPEG with Pillow, and what its directory and index say; both must be true."""
    data = path.read_bytes()
    image: Any = Image.open(io.BytesIO(data))
    image.load()
    found = Found(image, image.info.get("xmp", b""), len(data))
    index = image._getmp()
    if index:
        base = data.index(b"MPF\0") + 4
        for number, entry in enumerate(index[0xB002]):
            start = base + entry["DataOffset"] if number else 0
            found.indexed.append(data[start : start + entry["Size"]])
        assert all(part[:2] == b"\xff\xd8" and part[-2:] == b"\xff\xd9" for part in found.indexed)
    # The parts are counted from the end, as readers of motion photos do.
    end = len(data)
    for entry in reversed(_directory(found.xmp)):
        length = int(entry.get("Length", 0))
        if length:
            found.parts[entry["Semantic"]] = data[end - length : end]
        end -= length + int(entry.get("Padding", 0))
    if found.parts:
        assert data[end - 2 : end] == b"\xff\xd9", "the image ends where its parts begin"
    return found


def _directory(xmp: bytes) -> list[dict[str, str]]:
    if not xmp:
        return []
    tree = ElementTree.fromstring(xmp.strip(b"\0"))
    items = tree.iter("{http://ns.google.com/photos/1.0/container/}Item")
    return [{k.removeprefix(ITEM): v for k, v in i.attrib.items()} for i in items]


def property_of(xmp: bytes, uri: str, name: str) -> str | None:
    """An attribute anywhere in a packet."""
    for element in ElementTree.fromstring(xmp.strip(b"\0")).iter():
        if f"{{{uri}}}{name}" in element.attrib:
            return element.attrib[f"{{{uri}}}{name}"]
    return None


def segments_of(data: bytes) -> list[bytes]:
    """The contents of the application segments at the start of a JPEG."""
    found, place = [], 2
    while data[place] == 0xFF and data[place + 1] in range(0xE0, 0xF0):
        length = int.from_bytes(data[place + 2 : place + 4], "big")
        found.append(data[place + 4 : place + 2 + length])
        place += 2 + length
    return found


def scene(height: int = 96, width: int = 128) -> NDArray[np.uint8]:
    """Gray with a lamp in the upper left, so that no two orientations are alike."""
    pixels = np.full((height, width, 3), 90, np.uint8)
    pixels[height // 8 : height // 2, width // 8 : width // 4] = 250
    return pixels


def gain_of(base: NDArray[np.uint8], step: int = 4, *, rgb: bool = False) -> NDArray[np.uint8]:
    """A gain map that brightens the lamp."""
    small = base[step // 2 :: step, step // 2 :: step]
    bright = np.where(small > 200, 220, 20).astype(np.uint8)
    return bright if rgb else bright[..., 0]


def photo_with(tmp_path: Path, data: bytes, name: str = "a.jpg") -> Path:
    """A file with these bytes."""
    path = tmp_path / name
    path.write_bytes(data)
    return path


def says_nothing(xmp: bytes) -> bool:
    """Whether nothing is said of further parts."""
    return not any(word in xmp for word in PROMISES)
