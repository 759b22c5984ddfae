"""A file of each format with each kind of metadata, and whether a file has it."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import tifffile
from PIL import ExifTags, Image, ImageCms, PngImagePlugin

from helpers.compound import (
    GAIN_XMP,
    VIDEO,
    directory,
    extension,
    item,
    jpeg,
    packet,
    segments_of,
    with_index,
)
from helpers.images import smooth
from sr_cli.imaging.cicp import Cicp
from sr_cli.imaging.codecs.png_chunks import SIGNATURE, chunk
from sr_cli.imaging.decode import read_picture
from sr_cli.imaging.fates import Kind
from sr_cli.imaging.formats import FORMATS, sniff_format
from sr_cli.imaging.profiles import profile_of_cicp

TARGETS = {
    f.suffixes[0][1:]: f.name for f in FORMATS.values() if f.writable and not f.only_from_itself
}

HELD = {
    "jpg": (Kind.PROFILE, Kind.EXIF, Kind.XMP, Kind.IPTC, Kind.RESOLUTION, Kind.COMMENT,
            Kind.EXTENDED_XMP, Kind.GAIN_MAP, Kind.VIDEO),
    "png": (Kind.PROFILE, Kind.CICP, Kind.GAMMA, Kind.MASTERING, Kind.TEXT, Kind.EXIF, Kind.XMP,
            Kind.RESOLUTION, Kind.LOOP),
    "webp": (Kind.PROFILE, Kind.EXIF, Kind.XMP, Kind.LOOP),
    "tif": (Kind.PROFILE, Kind.EXIF, Kind.XMP, Kind.IPTC, Kind.RESOLUTION),
    "bmp": (Kind.RESOLUTION,),
    "gif": (Kind.COMMENT, Kind.LOOP, Kind.XMP, Kind.PROFILE),
    "avif": (Kind.PROFILE, Kind.CICP, Kind.EXIF, Kind.XMP),
}  # fmt: skip
"""The kinds that a file of each format can have."""

P3 = profile_of_cicp(Cicp(12, 13)) or b""
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
    b'rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Label="mine"/></rdf:RDF>'
    b"</x:xmpmeta>"
)
IPTC = b"\x1c\x02x\x00\x07Caption"
CICP = b"cICP\x0c\x0d\0\1"
GAMMA = b"gAMA" + struct.pack(">I", 100_000)
MASTERING = b"cLLI" + struct.pack(">II", 10_000_000, 2_000_000)
TEXT = {"Title": "a < b & c", "Author": "Zoë", "parameters": "steps: 20"}
COMMENT = b"a comment"
GIF = {
    Kind.XMP: b"XMP DataXMP" + XMP + b"\1" + bytes(range(255, -1, -1)) + b"\0",
    Kind.PROFILE: b"ICCRGBG1012"
    + b"".join(bytes([len(P3[i : i + 200])]) + P3[i : i + 200] for i in range(0, len(P3), 200))
    + b"\0",
}
"""Application extensions of GIF files, which Pillow neither reads nor writes."""


def exif() -> Image.Exif:
    made = Image.Exif()
    made[ExifTags.Base.Make] = "Maker"
    return made


def photoshop() -> bytes:
    block = b"Photoshop 3.0\x008BIM\x04\x04\0\0" + struct.pack(">I", len(IPTC)) + IPTC
    return b"\xff\xed" + struct.pack(">H", len(block) + 2) + block


def png_text() -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    for key, text in TEXT.items():
        info.add_itxt(key, text)
    return info


def file_with(suffix: str, kind: Kind) -> bytes:
    """A file of 9 x 7 pixels with one kind of metadata, as Pillow and tifffile write it."""
    if kind in COMPOUND:
        return COMPOUND[kind]()
    name = TARGETS[suffix]
    image = Image.fromarray(smooth(7, 9))
    file = io.BytesIO()
    if suffix == "tif" and kind is Kind.IPTC:
        tag = (33723, 7, len(IPTC), IPTC, True)
        tifffile.imwrite(
            file, smooth(7, 9), photometric="rgb", extratags=[tag], software=False, metadata=None
        )
        return file.getvalue()
    xmp = {"xmp": XMP}
    if suffix == "tif":
        xmp = {"tiffinfo": {700: XMP}}
    if suffix == "png":
        info = PngImagePlugin.PngInfo()
        info.add_itxt("XML:com.adobe.xmp", XMP.decode())
        xmp = {"pnginfo": info}
    options: dict[Kind, dict[str, Any]] = {
        Kind.PROFILE: {"icc_profile": P3},
        Kind.EXIF: {"exif": exif()},
        Kind.XMP: xmp,
        Kind.IPTC: {"extra": photoshop()},
        Kind.RESOLUTION: {"dpi": (300, 300)},
        Kind.COMMENT: {"comment": COMMENT},
        Kind.TEXT: {"pnginfo": png_text()},
        # GIF counts repeats, the others plays.
        Kind.LOOP: {"save_all": True, "append_images": [image.rotate(180)], "duration": 100,
                    "loop": 2 if suffix == "gif" else 3, "lossless": True},
    }  # fmt: skip
    image.save(file, name, **({} if suffix == "gif" and kind in GIF else options.get(kind, {})))
    data = file.getvalue()
    if suffix == "gif" and kind in GIF:
        # After a table of 2 to the power of (lowest three bits + 1) colours.
        place = 13 + 3 * 2 ** ((data[10] & 7) + 1)
        return data[:place] + b"\x21\xff\x0b" + GIF[kind] + data[place:]
    if suffix == "avif" and kind is Kind.CICP:
        return data.replace(b"nclx\0\1\0\x0d", b"nclx\0\x0c\0\x0d")
    chunks = {Kind.CICP: CICP, Kind.GAMMA: GAMMA, Kind.MASTERING: MASTERING}
    if kind in chunks:
        place = len(SIGNATURE) + 25
        added = chunk(chunks[kind][:4], chunks[kind][4:])
        return data[:place] + added + data[place:]
    return data


def photo_with_gain_map() -> bytes:
    gain = jpeg(smooth(3, 4), xmp=GAIN_XMP)
    xmp = packet('hdrgm:Version="1.0"', directory(item("GainMap", len(gain))))
    return with_index([jpeg(smooth(7, 9), xmp=xmp), gain], [0x030000, 0])


def motion_photo() -> bytes:
    xmp = packet("", directory(item("MotionPhoto", len(VIDEO), "video/mp4")))
    return jpeg(smooth(7, 9), xmp=xmp) + VIDEO


def photo_with_extended_xmp() -> bytes:
    name, segments = extension(XMP)
    return jpeg(smooth(7, 9), xmp=packet(f'xmpNote:HasExtendedXMP="{name}"'), segments=segments)


COMPOUND = {
    Kind.EXTENDED_XMP: photo_with_extended_xmp,
    Kind.GAIN_MAP: photo_with_gain_map,
    Kind.VIDEO: motion_photo,
}


def linear_of(profile: bytes, value: int) -> int:
    """A gray value in sRGB, by littleCMS."""
    transform = ImageCms.buildTransform(
        io.BytesIO(profile), ImageCms.createProfile("sRGB"), "RGB", "RGB"
    )
    gray = Image.new("RGB", (1, 1), (value,) * 3)
    return int(ImageCms.applyTransform(gray, transform).getpixel((0, 0))[1])


def is_display_p3(profile: bytes) -> bool:
    opened = ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile
    # As in Apple's own profile.
    wanted = (0.51512, 0.2412, -0.00105)
    return np.allclose(opened.red_colorant[0], wanted, atol=2e-4) and linear_of(profile, 99) == 99


def open_image(data: bytes) -> Image.Image:
    """A file as Pillow opens it; JPEG XL, which it does not open, as we read it."""
    if sniff_format(data[:32]) is not FORMATS["JXL"]:
        return Image.open(io.BytesIO(data))
    picture = read_picture(data)
    frame, found = picture.frames[0], picture.metadata
    alpha = [] if frame.alpha is None else [frame.alpha]
    image = Image.fromarray(np.dstack([frame.pixels, *alpha]) if alpha else frame.pixels)
    blocks = {"icc_profile": found.icc, "xmp": found.xmp, "exif": found.exif, "dpi": found.dpi}
    image.info = {name: block for name, block in blocks.items() if block}
    return image


def is_found(kind: Kind, data: bytes) -> bool:
    """Whether a file has this kind with its value, wherever that is, as Pillow reads it."""
    image = open_image(data)
    image.load()
    info = image.info
    profile = info.get("icc_profile")
    xmp = info.get("xmp", b"")
    xmp = xmp.encode() if isinstance(xmp, str) else xmp
    text = getattr(image, "text", {})
    comment = info.get("comment", b"")
    if kind is Kind.CICP:
        has_code_points = CICP in data or b"colrnclx\0\x0c\0\x0d" in data
        return has_code_points or (profile is not None and is_display_p3(profile))
    if kind is Kind.GAMMA:
        return GAMMA in data or (profile is not None and abs(linear_of(profile, 128) - 188) <= 1)
    if kind is Kind.TEXT:
        values = ("a < b & c", "Zoë", "steps: 20")
        places = comment.decode() + xmp.decode().replace("&lt;", "<").replace("&amp;", "&")
        return text.items() >= TEXT.items() or all(value in places for value in values)
    if kind is Kind.RESOLUTION:
        dpi = info.get("dpi", (0,))[0] or image.getexif().get(0x011A, 0)
        return abs(float(dpi) - 300) < 0.5
    if kind in COMPOUND:
        segments = segments_of(data) if data[:2] == b"\xff\xd8" else []
        return {
            Kind.EXTENDED_XMP: any(b"/xmp/extension/" in s and XMP in s for s in segments),
            Kind.GAIN_MAP: GAIN_XMP in data and any(s.startswith(b"MPF\0") for s in segments),
            Kind.VIDEO: data.endswith(VIDEO),
        }[kind]
    return {
        # Lossy JPEG XL describes the same colours in its own terms.
        Kind.PROFILE: profile == P3
        or GIF[Kind.PROFILE] in data
        or (sniff_format(data[:32]) is FORMATS["JXL"] and bool(profile) and is_display_p3(profile)),
        Kind.MASTERING: MASTERING in data
        or b"\0\0\0\x0cclli" + struct.pack(">HH", 1000, 200) in data,
        Kind.EXIF: str(image.getexif().get(ExifTags.Base.Make)) == "Maker",
        Kind.XMP: b'xmp:Label="mine"' in xmp or GIF[Kind.XMP][:150] in data,
        Kind.IPTC: IPTC in data,
        Kind.COMMENT: COMMENT in (comment, text.get("Comment", "").encode())
        or b">a comment<" in xmp,
        Kind.LOOP: info.get("loop") == (2 if image.format == "GIF" else 3) and image.n_frames == 2,
    }[kind]
