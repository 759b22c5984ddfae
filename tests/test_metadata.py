"""EXIF, XMP, profiles, text: what a picture says of itself is kept."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from conftest import smooth
from helpers.inprocess import Invoke
from PIL import ExifTags, Image, ImageCms, PngImagePlugin
from PIL.TiffImagePlugin import IFDRational

from sr_cli.imaging.codecs import png16, tiff_writer
from sr_cli.imaging.formats import Encoding
from sr_cli.imaging.picture import Frame, Metadata, Picture

BICUBIC = ("upscale", "-m", "bicubic", "-x2")
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description tiff:Orientation="6">'
    b"<exif:PixelXDimension>32</exif:PixelXDimension></rdf:Description></rdf:RDF></x:xmpmeta>"
)


def exif_of_a_phone(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    exif[ExifTags.Base.Make] = "Maker"
    exif[ExifTags.Base.DateTime] = "2024:05:06 07:08:09"
    details = exif.get_ifd(ExifTags.IFD.Exif)
    details[ExifTags.Base.ExifImageWidth] = 32
    details[ExifTags.Base.ExifImageHeight] = 24
    details[ExifTags.Base.ISOSpeedRatings] = 200
    exif.get_ifd(ExifTags.IFD.GPSInfo)[1] = "N"
    return exif


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "avif"])
def test_orientation_is_applied_once_and_metadata_is_kept(
    inprocess: Invoke, tmp_path: Path, suffix: str
) -> None:
    source = tmp_path / f"in.{suffix}"
    picture = smooth(24, 32)
    picture[:8, :8] = (255, 0, 0)
    options = {"xmp": XMP} if suffix in ("jpg", "webp", "avif") else {}
    Image.fromarray(picture).save(
        source, exif=exif_of_a_phone(6), icc_profile=SRGB, dpi=(300, 300), quality=95, **options
    )
    assert inprocess(*BICUBIC, source).returncode == 0
    with Image.open(tmp_path / f"in_x2.{suffix}") as made:
        made.load()
        assert made.size == (48, 64)
        corner = np.asarray(made.convert("RGB"))[:12, -12:].reshape(-1, 3).mean(0)
        assert corner[0] > 180
        assert max(corner[1:]) < 80
        exif = made.getexif()
        assert exif.get(ExifTags.Base.Orientation, 1) == 1
        assert exif[ExifTags.Base.Make] == "Maker"
        if suffix != "tif":  # Pillow writes no EXIF directory into a TIFF: see the next test.
            details = exif.get_ifd(ExifTags.IFD.Exif)
            assert details[ExifTags.Base.ExifImageWidth] == 48
            assert details[ExifTags.Base.ExifImageHeight] == 64
            assert details[ExifTags.Base.ISOSpeedRatings] == 200
        assert made.info["icc_profile"] == SRGB
        if suffix in ("jpg", "tif", "png"):
            assert float(made.info["dpi"][0]) == pytest.approx(300, abs=0.1)
        if options:
            assert b'tiff:Orientation="1"' in made.info["xmp"]
            assert b"<exif:PixelXDimension>48<" in made.info["xmp"]


def test_exif_goes_through_a_tiff_and_out_again(inprocess: Invoke, tmp_path: Path) -> None:
    Image.fromarray(smooth(24, 32)).save(tmp_path / "a.jpg", exif=exif_of_a_phone(6))
    assert inprocess(*BICUBIC, "a.jpg", "-o", "b.tif").returncode == 0
    assert inprocess(*BICUBIC, "b.tif", "-o", "c.tif").returncode == 0
    assert inprocess(*BICUBIC, "c.tif", "-o", "d.jpg").returncode == 0
    for name, width in (("b.tif", 48), ("c.tif", 96), ("d.jpg", 192)):
        with Image.open(tmp_path / name) as made:
            exif = made.getexif()
            assert exif[ExifTags.Base.Make] == "Maker"
            assert exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ISOSpeedRatings] == 200, name
            assert exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ExifImageWidth] == width


def test_strip_drops_metadata_but_still_turns(inprocess: Invoke, tmp_path: Path) -> None:
    source = tmp_path / "in.jpg"
    Image.fromarray(smooth(24, 32)).save(source, exif=exif_of_a_phone(6), icc_profile=SRGB, xmp=XMP)
    assert inprocess(*BICUBIC, source, "--strip").returncode == 0
    with Image.open(tmp_path / "in_x2.jpg") as made:
        assert made.size == (48, 64)
        assert not dict(made.getexif())
        assert "icc_profile" not in made.info
        assert "xmp" not in made.info


def test_stale_thumbnail_goes_and_iptc_stays(inprocess: Invoke, tmp_path: Path) -> None:
    source = tmp_path / "in.jpg"
    caption = b"\x1c\x02\x78\x00\x05Hello"
    block = b"Photoshop 3.0\x008BIM\x04\x04\0\0" + len(caption).to_bytes(4, "big") + caption
    segment = b"\xff\xed" + (len(block) + 2).to_bytes(2, "big") + block
    Image.fromarray(smooth(24, 32)).save(source, extra=segment, comment=b"a comment")
    data = source.read_bytes()
    # An EXIF block with a second directory, as cameras write it: IFD1 with JPEG offset and size.
    ifd0 = b"\x01\0" + b"\x0f\x01\x02\0\x02\0\0\0M\0\0\0" + (26).to_bytes(4, "little")
    ifd1 = b"\x02\0" + b"\x01\x02\x04\0\x01\0\0\0" + (56).to_bytes(4, "little")
    ifd1 += b"\x02\x02\x04\0\x01\0\0\0" + (8).to_bytes(4, "little") + b"\0\0\0\0"
    block = b"Exif\0\0II*\0\x08\0\0\0" + ifd0 + ifd1 + b"THUMBNAI"
    source.write_bytes(
        data[:2] + b"\xff\xe1" + (len(block) + 2).to_bytes(2, "big") + block + data[2:]
    )
    assert inprocess(*BICUBIC, source).returncode == 0
    made = (tmp_path / "in_x2.jpg").read_bytes()
    assert caption in made
    assert b"a comment" in made
    assert b"THUMBNAI" not in made
    assert Image.open(io.BytesIO(made)).getexif()[0x010F] == "M"


def test_png_text_is_kept(inprocess: Invoke, tmp_path: Path) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("Author", "somebody")
    info.add_itxt("Title", "Überschrift")
    source = tmp_path / "in.png"
    Image.fromarray(smooth(9, 9)).save(source, pnginfo=info)
    assert inprocess(*BICUBIC, source).returncode == 0
    made = Image.open(tmp_path / "in_x2.png")
    made.load()
    assert made.text["Author"] == "somebody"
    assert made.text["Title"] == "Überschrift"


def test_deep_files_keep_their_description(inprocess: Invoke, tmp_path: Path) -> None:
    deep = smooth(10, 14, top=65535)
    small = Image.new("L", (1, 1))
    info = PngImagePlugin.PngInfo()
    info.add_text("Author", "somebody")
    described = io.BytesIO()
    small.save(
        described, "PNG", pnginfo=info, icc_profile=SRGB, exif=exif_of_a_phone(6), dpi=(300, 300)
    )
    chunks = described.getvalue()
    start, end = 33, chunks.index(b"IDAT") - 4
    png = cv2.imencode(".png", deep[..., ::-1])[1].tobytes()
    (tmp_path / "in.png").write_bytes(png[:33] + chunks[start:end] + png[33:])
    assert inprocess(*BICUBIC, "in.png", "-f", "tif").returncode == 0
    assert inprocess(*BICUBIC, "in.png").returncode == 0
    for name in ("in_x2.png", "in_x2.tif"):
        with Image.open(tmp_path / name) as made:
            made.load()
            assert made.size == (20, 28), name
            assert made.info["icc_profile"] == SRGB
            details = made.getexif().get_ifd(ExifTags.IFD.Exif)
            assert details[ExifTags.Base.ISOSpeedRatings] == 200, name
            assert details[ExifTags.Base.ExifImageWidth] == 20
    assert Image.open(tmp_path / "in_x2.png").text["Author"] == "somebody"


def test_utf8_in_exif_and_gps_survive_every_format(inprocess: Invoke, tmp_path: Path) -> None:
    exif = exif_of_a_phone(1)
    exif[ExifTags.Base.Copyright] = "© Jürgen".encode()
    Image.fromarray(smooth(24, 32)).save(tmp_path / "a.jpg", exif=exif, dpi=(300, 300))
    for suffix in ("jpg", "webp", "png", "tif", "avif"):
        assert inprocess(*BICUBIC, "a.jpg", "-f", suffix).returncode == 0
        made = tmp_path / f"a_x2.{suffix}"
        assert "© Jürgen".encode() in made.read_bytes(), suffix
        with Image.open(made) as image:
            assert image.getexif().get_ifd(ExifTags.IFD.GPSInfo)[1] == "N", suffix
            if suffix in ("webp", "avif"):
                assert float(image.getexif()[0x011A]) == 300


def test_a_broken_profile_is_said_not_fatal(inprocess: Invoke, tmp_path: Path) -> None:
    Image.fromarray(smooth(12, 12)).convert("CMYK").save(
        tmp_path / "c.jpg", icc_profile=b"junk" * 50
    )
    done = inprocess(*BICUBIC, "c.jpg", "--json")
    assert done.returncode == 0
    assert done.note_kinds == ["converted-without-profile"]


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "avif"])
def test_names_beyond_ascii_survive_in_every_directory(
    inprocess: Invoke, tmp_path: Path, suffix: str
) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Artist] = "Zoë".encode()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.LensModel] = "für 50 mm".encode()
    Image.fromarray(smooth(16, 16)).save(tmp_path / "a.jpg", exif=exif)
    assert inprocess(*BICUBIC, "a.jpg", "-f", suffix).returncode == 0
    data = (tmp_path / f"a_x2.{suffix}").read_bytes()
    assert "Zoë".encode() in data and "für 50 mm".encode() in data


def exif_types(path: Path) -> dict[int, int]:
    """Tag to type (2 text, 5 fraction, 7 undefined, 10 signed) in a file's Exif directory."""
    data = path.read_bytes() if path.suffix == ".tif" else Image.open(path).info["exif"]
    data = data.removeprefix(b"Exif\0\0")
    order = "<" if data[:2] == b"II" else ">"

    def entries(at: int) -> list[tuple[int, int, int]]:
        count = struct.unpack_from(order + "H", data, at)[0]
        found = (struct.unpack_from(order + "HHII", data, at + 2 + 12 * i) for i in range(count))
        return [(tag, kind, value) for tag, kind, _, value in found]

    start = struct.unpack_from(order + "I", data, 4)[0]
    (place,) = (value for tag, _, value in entries(start) if tag == 0x8769)
    return {tag: kind for tag, kind, _ in entries(place)}


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "avif"])
def test_what_a_camera_wrote_keeps_its_type(inprocess: Invoke, tmp_path: Path, suffix: str) -> None:
    exif = Image.Exif()
    exif.endian = "<"
    details = exif.get_ifd(ExifTags.IFD.Exif)
    details[ExifTags.Base.DateTimeOriginal] = "2024:05:06 07:08:09"
    details[ExifTags.Base.LensModel] = "50mm"
    details[ExifTags.Base.UserComment] = b"ASCII\0\0\0mine"
    details[ExifTags.Base.ExposureBiasValue] = IFDRational(1, 3)
    details[ExifTags.Base.ExposureTime] = IFDRational(1, 250)
    details[0x9402] = IFDRational(1013, 1)
    Image.fromarray(smooth(16, 16)).save(tmp_path / "a.jpg", exif=exif)
    assert inprocess(*BICUBIC, "a.jpg", "-f", suffix).returncode == 0
    made = tmp_path / f"a_x2.{suffix}"
    kinds = exif_types(made)
    assert kinds[0x9003] == kinds[0xA434] == 2
    assert kinds[0x9286] == 7 and kinds[0x9204] == 10 and kinds[0x829A] == kinds[0x9402] == 5
    found = Image.open(made).getexif().get_ifd(ExifTags.IFD.Exif)
    assert found[0x9003] == "2024:05:06 07:08:09" and found[0xA434] == "50mm"
    assert found[0x9204] == IFDRational(1, 3) and found[0x9286] == b"ASCII\0\0\0mine"


@pytest.mark.parametrize("order", ["<", ">"])
def test_iptc_of_a_tiff_that_calls_it_numbers(
    inprocess: Invoke, tmp_path: Path, order: str
) -> None:
    records = b"\x1c\x02x\x00\x07Caption"
    tag = (33723, 4, 3, np.frombuffer(records, order + "u4").tolist(), True)
    tifffile.imwrite(
        tmp_path / "a.tif", smooth(16, 16), photometric="rgb", byteorder=order, extratags=[tag]
    )
    assert records in (tmp_path / "a.tif").read_bytes()
    assert inprocess(*BICUBIC, "a.tif").returncode == 0
    assert records in (tmp_path / "a_x2.tif").read_bytes()
    said = inprocess(*BICUBIC, "a.tif", "-f", "png", "--json")
    note = {"kind": "metadata-dropped", "block": "IPTC", "format": "PNG"}
    assert said.returncode == 0 and said.notes == [note]


def test_a_sheet_of_a_gray_picture_has_no_profile_for_gray(
    inprocess: Invoke, tmp_path: Path
) -> None:
    Image.fromarray(smooth(16, 16)[..., 0]).save(tmp_path / "a.png", icc_profile=b"gray" * 40)
    assert inprocess(*BICUBIC, "a.png", "--compare").returncode == 0
    with Image.open(tmp_path / "a_x2_compare.png") as sheet:
        assert "icc_profile" not in sheet.info


@pytest.mark.parametrize("deep", [False, True])
def test_what_the_samples_of_a_png_mean_is_kept(
    inprocess: Invoke, tmp_path: Path, deep: bool
) -> None:
    info = PngImagePlugin.PngInfo()
    colour = {b"gAMA": struct.pack(">I", 100_000), b"cHRM": struct.pack(">8I", *range(1, 9))}
    for kind, content in colour.items():
        info.add(kind, content)
    Image.fromarray(smooth(12, 12)).save(tmp_path / "a.png", pnginfo=info)
    if deep:
        made = io.BytesIO()
        png16.write_frame(
            Frame(smooth(12, 12).astype(np.uint16) * 257), made, (tmp_path / "a.png").read_bytes()
        )
        (tmp_path / "a.png").write_bytes(made.getvalue())
    assert inprocess(*BICUBIC, "a.png").returncode == 0
    made_bytes = (tmp_path / "a_x2.png").read_bytes()
    for kind, content in colour.items():
        assert made_bytes.count(kind + content) == 1
    assert b"gAMA" not in made_bytes[made_bytes.index(b"IDAT") :]
    other = inprocess(*BICUBIC, "a.png", "-f", "tif", "--json")
    note = {"kind": "metadata-dropped", "block": "gAMA", "format": "TIFF"}
    assert other.returncode == 0 and other.notes == [note]


def test_the_directories_of_a_bigtiff_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiff_writer, "_BIG", 0)
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.LensModel] = "50mm"
    file = io.BytesIO()
    picture = Picture([Frame(smooth(16, 16))], "TIFF")
    tiff_writer.write(picture, file, Metadata(exif=exif.tobytes()), Encoding())
    assert file.getvalue()[2] == 43
    with Image.open(file) as made:
        assert made.getexif().get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.LensModel] == "50mm"
