"""Every kind of metadata from every format into every other: kept with its value, or said."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from helpers.command import BICUBIC, Run
from helpers.images import smooth
from PIL import ExifTags, Image, ImageCms, PngImagePlugin

from sr_cli.imaging.cicp import Cicp
from sr_cli.imaging.codecs.png_chunks import SIGNATURE, chunk
from sr_cli.imaging.fates import FATES, Fate, Kind
from sr_cli.imaging.formats import FORMATS, Feature
from sr_cli.imaging.profiles import profile_of_cicp

TARGETS = {f.suffixes[0][1:]: f.name for f in FORMATS.values() if f.writable}

HELD = {
    "jpg": (Kind.PROFILE, Kind.EXIF, Kind.XMP, Kind.IPTC, Kind.RESOLUTION, Kind.COMMENT),
    "png": (Kind.PROFILE, Kind.CICP, Kind.GAMMA, Kind.MASTERING, Kind.TEXT, Kind.EXIF, Kind.XMP,
            Kind.RESOLUTION, Kind.LOOP),
    "webp": (Kind.PROFILE, Kind.EXIF, Kind.XMP, Kind.LOOP),
    "tif": (Kind.PROFILE, Kind.EXIF, Kind.XMP, Kind.IPTC, Kind.RESOLUTION),
    "bmp": (Kind.RESOLUTION,),
    "gif": (Kind.COMMENT, Kind.LOOP),
    "avif": (Kind.PROFILE, Kind.CICP, Kind.EXIF, Kind.XMP),
}  # fmt: skip
"""The kinds that a file of each format can have."""

P3 = profile_of_cicp(Cicp(12, 13))
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
    image.save(file, name, **options.get(kind, {}))
    data = file.getvalue()
    if suffix == "avif" and kind is Kind.CICP:
        return data.replace(b"nclx\0\1\0\x0d", b"nclx\0\x0c\0\x0d")
    chunks = {Kind.CICP: CICP, Kind.GAMMA: GAMMA, Kind.MASTERING: MASTERING}
    if kind in chunks:
        place = len(SIGNATURE) + 25
        added = chunk(chunks[kind][:4], chunks[kind][4:])
        return data[:place] + added + data[place:]
    return data


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


def is_found(kind: Kind, data: bytes) -> bool:
    """Whether a file has this kind with its value, wherever that is, as Pillow reads it."""
    image = Image.open(io.BytesIO(data))
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
        return text == TEXT or all(value in places for value in values)
    if kind is Kind.RESOLUTION:
        dpi = info.get("dpi", (0,))[0] or image.getexif().get(0x011A, 0)
        return abs(float(dpi) - 300) < 0.5
    return {
        Kind.PROFILE: profile == P3,
        Kind.MASTERING: MASTERING in data,
        Kind.EXIF: str(image.getexif().get(ExifTags.Base.Make)) == "Maker",
        Kind.XMP: b'xmp:Label="mine"' in xmp,
        Kind.IPTC: IPTC in data,
        Kind.COMMENT: COMMENT in (comment, text.get("Comment", "").encode())
        or b">a comment<" in xmp,
        Kind.LOOP: info.get("loop") == (2 if image.format == "GIF" else 3) and image.n_frames == 2,
    }[kind]


@pytest.mark.parametrize("suffix", list(TARGETS))
@pytest.mark.parametrize(
    ("source", "kind"),
    [(source, kind) for source, kinds in HELD.items() for kind in kinds],
    ids=lambda v: v if isinstance(v, str) and len(v) < 5 else v.name,
)
def test_metadata_is_kept_or_said(
    sr: Run, tmp_path: Path, source: str, kind: Kind, suffix: str
) -> None:
    data = file_with(source, kind)
    assert is_found(kind, data)
    (tmp_path / f"a.{source}").write_bytes(data)
    if kind is Kind.LOOP and Feature.ANIMATION not in FORMATS[TARGETS[suffix]].features:
        assert sr(*BICUBIC, f"a.{source}", "-f", suffix).error_codes == ["unsupported-by-format"]
        return
    done = sr(*BICUBIC, f"a.{source}", "-f", suffix, "--json")
    assert done.returncode == 0, done.stderr
    found = is_found(kind, (tmp_path / f"a_x2.{suffix}").read_bytes())
    dropped = {"kind": "metadata-dropped", "block": kind.value, "format": TARGETS[suffix]}
    fate = FATES[kind][TARGETS[suffix]]
    if fate is Fate.TO_SRGB:
        assert not found and done.note_kinds == ["converted-to-srgb"]
    elif fate is Fate.DROPPED:
        assert not found and done.notes == [dropped]
        assert f"{kind.value} dropped".encode() in done.stderr
    else:
        assert found and done.notes == []


COLOURS = {Feature.PQ: (9, 16, 0, 1), Feature.HLG: (9, 18, 0, 1), Feature.VIDEO_RANGE: (1, 1, 0, 0)}


def file_that_needs(feature: Feature) -> tuple[str, bytes]:
    """A suffix and a file with a feature."""
    image = Image.fromarray(smooth(7, 9))
    file = io.BytesIO()
    if feature in COLOURS:
        image.save(file, "PNG")
        data, place = file.getvalue(), len(SIGNATURE) + 25
        return "png", data[:place] + chunk(b"cICP", bytes(COLOURS[feature])) + data[place:]
    if feature is Feature.SIXTEEN_BIT:
        Image.fromarray(smooth(7, 9, top=65535)[..., 0]).save(file, "PNG")
    elif feature is Feature.ALPHA:
        image.putalpha(99)
        image.save(file, "PNG")
    else:
        name = "TIFF" if feature is Feature.PAGES else "PNG"
        image.save(file, name, save_all=True, append_images=[image.rotate(180)])
    return ("tif" if feature is Feature.PAGES else "png"), file.getvalue()


@pytest.mark.parametrize("suffix", list(TARGETS))
@pytest.mark.parametrize(
    "feature", [f for f in Feature if f is not Feature.SIXTEEN_BIT_ANIMATION], ids=lambda f: f.name
)
def test_what_a_format_cannot_hold_is_refused_by_name(
    sr: Run, tmp_path: Path, feature: Feature, suffix: str
) -> None:
    source, data = file_that_needs(feature)
    (tmp_path / f"a.{source}").write_bytes(data)
    done = sr(*BICUBIC, f"a.{source}", "-f", suffix, "-o", f"b.{suffix}", "--json")
    if feature in FORMATS[TARGETS[suffix]].features:
        assert done.returncode == 0 and done.notes == []
        assert feature in read_features(tmp_path / f"b.{suffix}")
        return
    assert done.error_codes == ["unsupported-by-format"]
    assert done.records[0]["error"]["features"] == [feature.value]
    assert not (tmp_path / f"b.{suffix}").exists()


def read_features(path: Path) -> set[Feature]:
    """Features of a file, as Pillow and its bytes show them."""
    data = path.read_bytes()
    with Image.open(path) as image:
        found = {
            Feature.SIXTEEN_BIT: image.mode.startswith("I;16"),
            Feature.ALPHA: image.has_transparency_data,
            Feature.ANIMATION: getattr(image, "n_frames", 1) == 2 and image.format != "TIFF",
            Feature.PAGES: getattr(image, "n_frames", 1) == 2 and image.format == "TIFF",
            Feature.PQ: b"cICP\x09\x10" in data or b"colrnclx\0\x09\0\x10" in data,
            Feature.HLG: b"cICP\x09\x12" in data or b"colrnclx\0\x09\0\x12" in data,
            Feature.VIDEO_RANGE: b"cICP\1\1\0\0" in data,
        }
    return {feature for feature, there in found.items() if there}


def test_the_table_is_complete() -> None:
    assert set(FATES) == set(Kind)
    for kind, fates in FATES.items():
        assert set(fates) == set(TARGETS.values()), kind
