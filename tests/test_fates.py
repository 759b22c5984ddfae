"""Every kind of metadata from every format into every other: kept with its value, or said."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import tifffile
from helpers.command import BICUBIC, Run
from helpers.compound import jpeg
from helpers.images import noise, smooth
from helpers.metadata import (
    HELD,
    P3,
    TARGETS,
    TEXT,
    XMP,
    exif,
    file_with,
    is_found,
    linear_of,
    open_image,
    png_text,
)
from PIL import Image, ImageCms, PngImagePlugin

from sr_cli.errors import Note
from sr_cli.imaging.codecs import gif
from sr_cli.imaging.codecs.png_chunks import SIGNATURE, chunk
from sr_cli.imaging.compound.segments import build_segment
from sr_cli.imaging.decode import read_picture
from sr_cli.imaging.encode import write_picture
from sr_cli.imaging.fates import FATES, Fate, Kind
from sr_cli.imaging.formats import FORMATS, Encoding, Feature
from sr_cli.imaging.picture import Metadata
from sr_cli.imaging.profiles import fit_to_samples

WRITABLE = {f.name for f in FORMATS.values() if f.writable}


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
    elif feature is Feature.WIDE:
        tifffile.imwrite(file, smooth(7, 9)[..., 0].astype(np.float32) / 255)
    elif feature is Feature.BANDS:
        tifffile.imwrite(file, np.dstack([smooth(7, 9)] * 2), photometric="rgb")
    elif feature is Feature.ALPHA:
        image.putalpha(99)
        image.save(file, "PNG")
    else:
        name = "TIFF" if feature is Feature.PAGES else "PNG"
        image.save(file, name, save_all=True, append_images=[image.rotate(180)])
    of_tiff = (Feature.PAGES, Feature.WIDE, Feature.BANDS)
    return ("tif" if feature in of_tiff else "png"), file.getvalue()


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
        is_reduced = suffix == "gif" and feature is Feature.ALPHA
        assert done.returncode == 0
        assert done.note_kinds == ["reduced-to-palette"] * is_reduced
        assert feature in read_features(tmp_path / f"b.{suffix}")
        return
    assert done.error_codes == ["unsupported-by-format"]
    assert done.records[0]["error"]["features"] == [feature.value]
    assert not (tmp_path / f"b.{suffix}").exists()


def read_features(path: Path) -> set[Feature]:
    """Features of a file, as Pillow and its bytes show them."""
    data = path.read_bytes()
    if path.suffix == ".tif":
        page = tifffile.TiffFile(path).pages.first
        if page.dtype == np.float32 or page.samplesperpixel > 4:
            return {Feature.WIDE if page.dtype == np.float32 else Feature.BANDS}
    with open_image(data) as image:
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
        assert set(fates) == WRITABLE, kind


def test_text_goes_into_xmp_beside_what_is_there(sr: Run, tmp_path: Path) -> None:
    info = png_text()
    info.add_itxt("Comment", "mine")
    info.add_itxt("XML:com.adobe.xmp", XMP.decode().replace('about=""', 'about="uuid:7"'))
    Image.fromarray(smooth(7, 9)).save(tmp_path / "a.png", pnginfo=info)
    assert sr(*BICUBIC, "a.png", "-f", "webp", "--json").notes == []
    xmp = Image.open(tmp_path / "a_x2.webp").info["xmp"]
    root = ElementTree.fromstring(xmp)
    rdf = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
    abouts = [node.get(f"{rdf}about") for node in root.iter(f"{rdf}Description")]
    assert abouts == ["uuid:7"] * 3
    found = {
        node.tag.partition("}")[2]: "".join(node.itertext())
        for node in root.iter()
        if node.tag.startswith(("{http://purl.org/dc", "{http://ns.adobe.com/exif"))
    }
    assert found == {
        "title": "a < b & c", "creator": "Zoë", "UserComment": "parameters: steps: 20\nmine",
    }  # fmt: skip
    # A JPEG has comments of its own.
    assert sr(*BICUBIC, "a.png", "-f", "jpg", "--json").notes == []
    made = Image.open(tmp_path / "a_x2.jpg")
    assert made.info["comment"] == b"mine" and b"mine<" not in made.info["xmp"]


@pytest.mark.parametrize(
    "xmp",
    [
        XMP.replace(b"/></rdf:RDF>", b"><dc:title>other</dc:title></rdf:Description></rdf:RDF>"),
        XMP.replace(b"xmp:Label", b"exif:UserComment"),
        XMP.decode().encode("utf-16"),
        b"<x:xmpmeta/>",
    ],
    ids=["other title", "other comment", "utf-16", "no description"],
)
def test_text_that_has_no_place_in_xmp_is_said(sr: Run, tmp_path: Path, xmp: bytes) -> None:
    Image.fromarray(smooth(7, 9)).save(tmp_path / "a.webp", xmp=xmp)
    picture = read_picture(tmp_path / "a.webp")
    picture.metadata.text = dict(TEXT)
    file = io.BytesIO()
    write_picture(picture, file, FORMATS["WEBP"], Encoding())
    dropped = {"block": "PNG text", "format": "WEBP"}
    assert picture.notes == [Note("metadata-dropped", dropped)]
    assert Image.open(file).info["xmp"] == xmp


def test_text_too_large_for_a_jpeg_leaves_its_xmp(sr: Run, tmp_path: Path) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("workflow", "x" * 66_000)
    info.add_itxt("XML:com.adobe.xmp", XMP.decode())
    Image.fromarray(smooth(7, 9)).save(tmp_path / "a.png", pnginfo=info)
    done = sr(*BICUBIC, "a.png", "-f", "jpg", "--json")
    (note,) = done.notes
    assert note == {
        "kind": "metadata-too-large", "block": "PNG text", "format": "JPEG", "bytes": 66_010,
    }  # fmt: skip
    assert Image.open(tmp_path / "a_x2.jpg").info["xmp"].startswith(XMP.partition(b"</rdf:RDF>")[0])


def test_text_that_xml_forbids_is_replaced(sr: Run, tmp_path: Path) -> None:
    Image.fromarray(smooth(7, 9)).save(tmp_path / "a.jpg", comment=b"a\x01b\xe9")
    assert sr(*BICUBIC, "a.jpg", "-f", "webp").returncode == 0
    xmp = Image.open(tmp_path / "a_x2.webp").info["xmp"]
    assert next(ElementTree.fromstring(xmp).itertext()) == "a\ufffdbé"


def test_invented_resolutions_are_not_written(sr: Run, tmp_path: Path) -> None:
    # Pillow reports 72 dpi for a JPEG with EXIF and 1 for a TIFF that state none.
    Image.fromarray(smooth(7, 9)).save(tmp_path / "a.jpg", exif=exif())
    Image.fromarray(smooth(7, 9)).save(tmp_path / "b.tif")
    assert sr(*BICUBIC, "a.jpg", "b.tif").returncode == 0
    assert Image.open(tmp_path / "a_x2.jpg").getexif().get(0x011A) is None
    with tifffile.TiffFile(tmp_path / "b_x2.tif") as made:
        assert made.pages[0].tags["ResolutionUnit"].value == 1


def test_a_gif_says_that_colours_were_reduced_unless_it_was_one(sr: Run, tmp_path: Path) -> None:
    image = Image.fromarray(noise(20, 20))
    image.save(tmp_path / "a.png")
    image.save(tmp_path / "b.gif")
    done = sr(*BICUBIC, "a.png", "b.gif", "-f", "gif", "--json")
    assert [r["notes"] and r["notes"][0]["kind"] for r in done.records] == [
        "reduced-to-palette",
        [],
    ]


def test_damaged_extensions_of_a_gif_are_left_out() -> None:
    data = file_with("gif", Kind.XMP)
    for length in range(len(data)):
        metadata = Metadata()
        gif.read_extensions(data[:length], metadata)
        assert metadata.xmp in (None, XMP)
    for place in range(6, 300):
        gif.read_extensions(data[:place] + b"\xff" + data[place + 1 :], Metadata())


def test_every_comment_and_text_of_a_keyword_is_kept(sr: Run, tmp_path: Path) -> None:
    data = jpeg(smooth(7, 9), segments=build_segment(0xFE, b"one") + build_segment(0xFE, b"two"))
    (tmp_path / "a.jpg").write_bytes(data)
    info = PngImagePlugin.PngInfo()
    info.add_text("Author", "Ann")
    info.add_text("Author", "Bob", zip=True)
    info.add_itxt("Author", "Zoë", zip=True)
    Image.fromarray(smooth(7, 9)).save(tmp_path / "b.png", pnginfo=info)
    assert sr(*BICUBIC, "a.jpg", "b.png", "--json").notes == []
    assert Image.open(tmp_path / "a_x2.jpg").info["comment"] == b"one\ntwo"
    assert Image.open(tmp_path / "b_x2.png").text["Author"] == "Ann\nBob\nZoë"


def file_with_further_data(suffix: str) -> tuple[bytes, list[str]]:
    """A file with data that is neither read nor written, and the names of that."""
    if suffix == "jpg":
        path = b"8BIM\x07\xd0\0\0" + struct.pack(">I", 4) + b"path"
        photoshop_path = build_segment(0xED, b"Photoshop 3.0\0" + path)
        content = build_segment(0xEB, b"JP\0\1jumb")
        return jpeg(smooth(7, 9), segments=content * 2 + photoshop_path), ["APP11", "APP13"]
    if suffix == "png":
        data = file_with("png", Kind.TEXT)
        time = chunk(b"tIME", b"\x07\xea\1\1\0\0\0")
        added = chunk(b"caBX", b"jumb") + chunk(b"sBIT", b"\5\5\5") + time
        return data[:33] + added + data[33:], ["caBX", "sBIT", "tIME"]
    if suffix == "webp":
        data = file_with("webp", Kind.EXIF) + b"Priv\3\0\0\0abc\0"
        return data[:4] + struct.pack("<I", len(data) - 8) + data[8:], ["Priv"]
    file = io.BytesIO()
    tags = [(285, 2, 5, "page", True), (37724, 7, 8, b"8BIMabcd", True), (65000, 3, 1, 7, True)]
    tifffile.imwrite(file, smooth(7, 9), photometric="rgb", extratags=tags, metadata=None)
    return file.getvalue(), ["tag 285", "tag 37724", "tag 65000"]


@pytest.mark.parametrize("target", list(TARGETS))
@pytest.mark.parametrize("source", ["jpg", "png", "webp", "tif"])
def test_further_data_is_said_by_name(sr: Run, tmp_path: Path, source: str, target: str) -> None:
    data, names = file_with_further_data(source)
    (tmp_path / f"a.{source}").write_bytes(data)
    done = sr(*BICUBIC, f"a.{source}", "-f", target, "--json")
    assert {"kind": "further-dropped", "blocks": names} in done.notes
    assert f"further data dropped: {', '.join(names)}".encode() in done.stderr
    assert (
        "further-dropped"
        not in sr(
            *BICUBIC, f"a.{source}", "-f", target, "--strip", "--overwrite", "--json"
        ).note_kinds
    )


@pytest.mark.parametrize("values", [(9, 16, 9, 1), (77, 13, 0, 1), (1, 99, 0, 1), (1, 13, 0, 7)])
@pytest.mark.parametrize("target", ["png", "jpg"])
def test_code_points_without_a_meaning_are_said(
    sr: Run, tmp_path: Path, values: tuple[int, ...], target: str
) -> None:
    data = file_with("png", Kind.GAMMA)
    (tmp_path / "a.png").write_bytes(data[:33] + chunk(b"cICP", bytes(values)) + data[33:])
    done = sr(*BICUBIC, "a.png", "-f", target, "--json")
    assert done.notes == [{"kind": "colour-not-understood", "values": list(values)}]
    made = (tmp_path / f"a_x2.{target}").read_bytes()
    # What has lower precedence holds instead.
    assert b"cICP" not in made and is_found(Kind.GAMMA, made)


def calibrated_bmp(red: tuple[float, float, float], gamma: float) -> bytes:
    """A BMP with a V4 header: chromaticities as endpoints ([MS-WMF] 2.2.2.4)."""
    ends = (*red, 0.3, 0.6, 0.1, 0.15, 0.06, 0.79)
    numbers = struct.pack("<9i", *(round(end * 2**30) for end in ends))
    gammas = struct.pack("<3I", *[round(gamma * 2**16)] * 3)
    head = struct.pack("<IiiHHIIiiII", 108, 4, 4, 1, 24, 0, 48, 0, 0, 0, 0) + bytes(16)
    head += bytes(4) + numbers + gammas
    return b"BM" + struct.pack("<IHHI", 14 + 108 + 48, 0, 0, 14 + 108) + head + bytes([128] * 48)


def test_the_calibration_of_a_bmp_is_kept(sr: Run, tmp_path: Path) -> None:
    (tmp_path / "linear.bmp").write_bytes(calibrated_bmp((0.64, 0.33, 0.03), 1.0))
    (tmp_path / "wide.bmp").write_bytes(calibrated_bmp((0.73, 0.27, 0.0), 2.2))
    (tmp_path / "usual.bmp").write_bytes(calibrated_bmp((0.64, 0.33, 0.03), 2.2))
    done = sr(*BICUBIC, "linear.bmp", "wide.bmp", "usual.bmp", "-f", "jpg", "--json")
    assert done.notes == []
    profiles = {
        name: Image.open(tmp_path / f"{name}_x2.jpg").info.get("icc_profile")
        for name in ("linear", "wide", "usual")
    }
    assert profiles["usual"] is None
    assert abs(linear_of(profiles["linear"], 128) - 188) <= 1
    red = ImageCms.ImageCmsProfile(io.BytesIO(profiles["wide"])).profile.red_primary
    assert red is not None and red[1][0] > 0.7
    assert sr(*BICUBIC, "linear.bmp", "-f", "bmp", "--json").note_kinds == ["converted-to-srgb"]


def test_the_default_image_of_an_animation_is_said(sr: Run, tmp_path: Path) -> None:
    image = Image.fromarray(smooth(7, 9))
    frames = [image.rotate(180), image]
    image.save(
        tmp_path / "a.png", save_all=True, default_image=True, append_images=frames, duration=100
    )
    assert sr(*BICUBIC, "a.png", "--json").notes == [{"kind": "default-image-dropped"}]
    made = Image.open(tmp_path / "a_x2.png")
    assert made.n_frames == 2 and not made.default_image


def test_a_gray_profile_of_colour_is_read_in_silence(sr_process: Run, tmp_path: Path) -> None:
    profile = fit_to_samples(P3, gray=True)
    assert profile is not None
    head = struct.pack(">IIBBBBB", 4, 4, 16, 2, 0, 0, 0)
    content = b"a\0\0" + zlib.compress(profile)
    rows = zlib.compress((b"\0" + b"\x0b\xb8" * 12) * 4)
    chunks = {b"IHDR": head, b"iCCP": content, b"IDAT": rows, b"IEND": b""}
    data = SIGNATURE + b"".join(chunk(kind, content) for kind, content in chunks.items())
    (tmp_path / "a.png").write_bytes(data)
    done = sr_process(*BICUBIC, "a.png", "--json")
    assert done.returncode == 0 and b"libpng" not in done.stderr
