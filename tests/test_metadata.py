"""EXIF, XMP, profiles, text: what a picture says of itself is kept."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from helpers.command import BICUBIC, Run
from helpers.images import smooth
from PIL import ExifTags, Image, ImageCms, PngImagePlugin
from PIL.TiffImagePlugin import IFDRational

from sr_cli.imaging.codecs import png_rows, tiff_writer
from sr_cli.imaging.decode import read_picture
from sr_cli.imaging.exif import clean_exif, exif_directory
from sr_cli.imaging.formats import Encoding
from sr_cli.imaging.metadata import adapt_metadata, has_unusual_gamma, read_metadata
from sr_cli.imaging.picture import Frame, Metadata, Picture

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
    sr: Run, tmp_path: Path, suffix: str
) -> None:
    source = tmp_path / f"in.{suffix}"
    picture = smooth(24, 32)
    picture[:8, :8] = (255, 0, 0)
    options = {"xmp": XMP} if suffix in ("jpg", "webp", "avif") else {}
    Image.fromarray(picture).save(
        source, exif=exif_of_a_phone(6), icc_profile=SRGB, dpi=(300, 300), quality=95, **options
    )
    assert sr(*BICUBIC, source).returncode == 0
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


def test_exif_goes_through_a_tiff_and_out_again(sr: Run, tmp_path: Path) -> None:
    Image.fromarray(smooth(24, 32)).save(tmp_path / "a.jpg", exif=exif_of_a_phone(6))
    assert sr(*BICUBIC, "a.jpg", "-o", "b.tif").returncode == 0
    assert sr(*BICUBIC, "b.tif", "-o", "c.tif").returncode == 0
    assert sr(*BICUBIC, "c.tif", "-o", "d.jpg").returncode == 0
    for name, width in (("b.tif", 48), ("c.tif", 96), ("d.jpg", 192)):
        with Image.open(tmp_path / name) as made:
            exif = made.getexif()
            assert exif[ExifTags.Base.Make] == "Maker"
            assert exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ISOSpeedRatings] == 200, name
            assert exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ExifImageWidth] == width


def test_strip_drops_metadata_but_still_turns(sr: Run, tmp_path: Path) -> None:
    source = tmp_path / "in.jpg"
    Image.fromarray(smooth(24, 32)).save(source, exif=exif_of_a_phone(6), icc_profile=SRGB, xmp=XMP)
    assert sr(*BICUBIC, source, "--strip").returncode == 0
    with Image.open(tmp_path / "in_x2.jpg") as made:
        assert made.size == (48, 64)
        assert not dict(made.getexif())
        assert "icc_profile" not in made.info
        assert "xmp" not in made.info


def test_stale_thumbnail_goes_and_iptc_stays(sr: Run, tmp_path: Path) -> None:
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
    assert sr(*BICUBIC, source).returncode == 0
    made = (tmp_path / "in_x2.jpg").read_bytes()
    assert caption in made
    assert b"a comment" in made
    assert b"THUMBNAI" not in made
    assert Image.open(io.BytesIO(made)).getexif()[0x010F] == "M"


def test_png_text_is_kept(sr: Run, tmp_path: Path) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("Author", "somebody")
    info.add_itxt("Title", "Überschrift")
    source = tmp_path / "in.png"
    Image.fromarray(smooth(9, 9)).save(source, pnginfo=info)
    assert sr(*BICUBIC, source).returncode == 0
    made = Image.open(tmp_path / "in_x2.png")
    made.load()
    assert made.text["Author"] == "somebody"
    assert made.text["Title"] == "Überschrift"


def test_deep_files_keep_their_description(sr: Run, tmp_path: Path) -> None:
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
    assert sr(*BICUBIC, "in.png", "-f", "tif").returncode == 0
    assert sr(*BICUBIC, "in.png").returncode == 0
    for name in ("in_x2.png", "in_x2.tif"):
        with Image.open(tmp_path / name) as made:
            made.load()
            assert made.size == (20, 28), name
            assert made.info["icc_profile"] == SRGB
            details = made.getexif().get_ifd(ExifTags.IFD.Exif)
            assert details[ExifTags.Base.ISOSpeedRatings] == 200, name
            assert details[ExifTags.Base.ExifImageWidth] == 20
    assert Image.open(tmp_path / "in_x2.png").text["Author"] == "somebody"


def test_utf8_in_exif_and_gps_survive_every_format(sr: Run, tmp_path: Path) -> None:
    exif = exif_of_a_phone(1)
    exif[ExifTags.Base.Copyright] = "© Jürgen".encode()
    Image.fromarray(smooth(24, 32)).save(tmp_path / "a.jpg", exif=exif, dpi=(300, 300))
    for suffix in ("jpg", "webp", "png", "tif", "avif"):
        assert sr(*BICUBIC, "a.jpg", "-f", suffix).returncode == 0
        made = tmp_path / f"a_x2.{suffix}"
        assert "© Jürgen".encode() in made.read_bytes(), suffix
        with Image.open(made) as image:
            assert image.getexif().get_ifd(ExifTags.IFD.GPSInfo)[1] == "N", suffix
            if suffix in ("webp", "avif"):
                assert float(image.getexif()[0x011A]) == 300


def test_a_broken_profile_is_said_not_fatal(sr: Run, tmp_path: Path) -> None:
    Image.fromarray(smooth(12, 12)).convert("CMYK").save(
        tmp_path / "c.jpg", icc_profile=b"junk" * 50
    )
    done = sr(*BICUBIC, "c.jpg", "--json")
    assert done.returncode == 0
    assert done.note_kinds == ["converted-without-profile"]


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "avif"])
def test_names_beyond_ascii_survive_in_every_directory(
    sr: Run, tmp_path: Path, suffix: str
) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Artist] = "Zoë".encode()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.LensModel] = "für 50 mm".encode()
    Image.fromarray(smooth(16, 16)).save(tmp_path / "a.jpg", exif=exif)
    assert sr(*BICUBIC, "a.jpg", "-f", suffix).returncode == 0
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
def test_what_a_camera_wrote_keeps_its_type(sr: Run, tmp_path: Path, suffix: str) -> None:
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
    assert sr(*BICUBIC, "a.jpg", "-f", suffix).returncode == 0
    made = tmp_path / f"a_x2.{suffix}"
    kinds = exif_types(made)
    assert kinds[0x9003] == kinds[0xA434] == 2
    assert kinds[0x9286] == 7 and kinds[0x9204] == 10 and kinds[0x829A] == kinds[0x9402] == 5
    found = Image.open(made).getexif().get_ifd(ExifTags.IFD.Exif)
    assert found[0x9003] == "2024:05:06 07:08:09" and found[0xA434] == "50mm"
    assert found[0x9204] == IFDRational(1, 3) and found[0x9286] == b"ASCII\0\0\0mine"


@pytest.mark.parametrize("order", ["<", ">"])
def test_iptc_of_a_tiff_that_calls_it_numbers(sr: Run, tmp_path: Path, order: str) -> None:
    records = b"\x1c\x02x\x00\x07Caption"
    tag = (33723, 4, 3, np.frombuffer(records, order + "u4").tolist(), True)
    tifffile.imwrite(
        tmp_path / "a.tif", smooth(16, 16), photometric="rgb", byteorder=order, extratags=[tag]
    )
    assert records in (tmp_path / "a.tif").read_bytes()
    assert sr(*BICUBIC, "a.tif").returncode == 0
    assert records in (tmp_path / "a_x2.tif").read_bytes()
    said = sr(*BICUBIC, "a.tif", "-f", "png", "--json")
    note = {"kind": "metadata-dropped", "block": "IPTC", "format": "PNG"}
    assert said.returncode == 0 and said.notes == [note]


def test_a_sheet_of_a_gray_picture_has_no_profile_for_gray(sr: Run, tmp_path: Path) -> None:
    Image.fromarray(smooth(16, 16)[..., 0]).save(tmp_path / "a.png", icc_profile=b"gray" * 40)
    assert sr(*BICUBIC, "a.png", "--compare").returncode == 0
    with Image.open(tmp_path / "a_x2_compare.png") as sheet:
        assert "icc_profile" not in sheet.info


@pytest.mark.parametrize("deep", [False, True])
def test_what_the_samples_of_a_png_mean_is_kept(sr: Run, tmp_path: Path, deep: bool) -> None:
    info = PngImagePlugin.PngInfo()
    colour = {b"gAMA": struct.pack(">I", 100_000), b"cHRM": struct.pack(">8I", *range(1, 9))}
    for kind, content in colour.items():
        info.add(kind, content)
    Image.fromarray(smooth(12, 12)).save(tmp_path / "a.png", pnginfo=info)
    if deep:
        made = io.BytesIO()
        png_rows.write_frame(
            Frame(smooth(12, 12).astype(np.uint16) * 257), made, (tmp_path / "a.png").read_bytes()
        )
        (tmp_path / "a.png").write_bytes(made.getvalue())
    assert sr(*BICUBIC, "a.png").returncode == 0
    made_bytes = (tmp_path / "a_x2.png").read_bytes()
    for kind, content in colour.items():
        assert made_bytes.count(kind + content) == 1
    assert b"gAMA" not in made_bytes[made_bytes.index(b"IDAT") :]
    other = sr(*BICUBIC, "a.png", "-f", "tif", "--json")
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


@pytest.mark.parametrize(
    ("chunks", "unusual"),
    [
        ({}, False),
        ({b"gAMA": (45_455).to_bytes(4, "big")}, False),
        ({b"gAMA": (47_727).to_bytes(4, "big")}, False),
        ({b"gAMA": (47_729).to_bytes(4, "big")}, True),
        ({b"gAMA": (43_181).to_bytes(4, "big")}, True),
        ({b"gAMA": (100_000).to_bytes(4, "big")}, True),
        ({b"gAMA": (100_000).to_bytes(4, "big"), b"sRGB": b"\0"}, False),
    ],
)
def test_a_gamma_is_unusual_beyond_a_twentieth(chunks: dict[bytes, bytes], unusual: bool) -> None:
    assert has_unusual_gamma(Metadata(png_colour=chunks)) == unusual


def test_chunks_of_colour_are_read_where_there_is_no_profile() -> None:
    info = PngImagePlugin.PngInfo()
    colour = {
        b"gAMA": struct.pack(">I", 50_000),
        b"cHRM": struct.pack(">8I", 31_270, 32_900, 64_000, 33_000, 30_000, 60_000, 15_000, 6_000),
        b"sRGB": b"\1",
    }
    for kind, content in colour.items():
        info.add(kind, content)
    for profile, wanted in ((None, colour), (SRGB, {})):
        file = io.BytesIO()
        Image.fromarray(smooth(9, 9)).save(file, "PNG", pnginfo=info, icc_profile=profile)
        assert read_picture(file.getvalue()).metadata.png_colour == wanted


@pytest.mark.parametrize("name", [b"", b"a", b"ab"])
@pytest.mark.parametrize("length", [1, 2, 7])
def test_iptc_is_found_among_other_photoshop_resources(name: bytes, length: int) -> None:
    def resource(number: int, name: bytes, content: bytes) -> bytes:
        label = bytes([len(name)]) + name
        label += b"\0" * (len(label) % 2)
        head = b"8BIM" + struct.pack(">H", number) + label + struct.pack(">I", len(content))
        return head + content + b"\0" * (len(content) % 2)

    records = b"\x1c\x02x\0\3Cap"
    block = b"Photoshop 3.0\0" + resource(0x03ED, name, b"8BIM\4\4"[:length])
    block += resource(0x0404, name, records) + resource(0x0425, b"", b"digest")
    segment = b"\xff\xed" + struct.pack(">H", len(block) + 2) + block
    file = io.BytesIO()
    Image.fromarray(smooth(9, 9)).save(file, "JPEG", extra=segment)
    assert read_picture(file.getvalue()).metadata.iptc == records
    without = segment.replace(b"\4\4" + bytes([len(name)]), b"\4\5" + bytes([len(name)]))
    file = io.BytesIO()
    Image.fromarray(smooth(9, 9)).save(file, "JPEG", extra=without)
    assert read_picture(file.getvalue()).metadata.iptc is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tiff:Orientation", 1),
        ("tiff:ImageWidth", 640),
        ("tiff:ImageLength", 480),
        ("exif:PixelXDimension", 640),
        ("exif:PixelYDimension", 480),
    ],
)
def test_sizes_in_xmp_are_those_of_the_result(name: str, value: int) -> None:
    for form in (f'<a {name}="77"/>', f"<a {name} = ' 77 '/>", f"<{name}> 77 </{name}>"):
        metadata = adapt_metadata(Metadata(xmp=form.encode()), 640, 480)
        wanted = form.replace(" 77 ", "77").replace("77", str(value)).encode()
        assert metadata.xmp == wanted
    other = b'<a b:Orientation="77" tiff:ImageWidthX="77"/>'
    assert adapt_metadata(Metadata(xmp=other), 640, 480).xmp == other


def test_sizes_and_resolution_in_exif_are_those_of_the_result() -> None:
    block = adapt_metadata(
        Metadata(exif=exif_of_a_phone(6).tobytes(), dpi=(300, 150)), 640, 480
    ).exif
    exif = Image.Exif()
    exif.load(block)
    details = exif.get_ifd(ExifTags.IFD.Exif)
    assert (details[0xA002], details[0xA003]) == (640, 480)
    assert [exif[tag] for tag in (0x0112, 0x011A, 0x011B, 0x0128)] == [1, 300, 150, 2]
    # A block with the resolution alone is made where there was none.
    exif.load(adapt_metadata(Metadata(dpi=(72, 72)), 9, 9).exif)
    assert exif[0x011A] == 72 and ExifTags.IFD.Exif not in exif
    assert adapt_metadata(Metadata(), 9, 9).exif is None


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("big", [False, True])
def test_tiffs_that_pillow_does_not_open_are_described_as_well(order: str, big: bool) -> None:
    page = np.full((9, 12, 2), 1000, np.uint16)
    tags = [(274, 3, 1, 6, True), (315, 2, 0, "Anna", True), (700, 1, 4, b"<x/>", True),
            (34675, 7, len(SRGB), SRGB, True), (33723, 7, 5, b"\x1c\x02x\0\0", True)]  # fmt: skip
    file = io.BytesIO()
    tifffile.imwrite(
        file, page, photometric="minisblack", extrasamples=["unassalpha"], byteorder=order,
        bigtiff=big, extratags=tags, resolution=(118, 118), resolutionunit="CENTIMETER",
    )  # fmt: skip
    made = read_picture(file.getvalue())
    assert made.frames[0].pixels.shape == (12, 9) and made.format == "TIFF"
    assert made.metadata.icc == SRGB and made.metadata.xmp == b"<x/>"
    assert made.metadata.iptc == b"\x1c\x02x\0\0"
    assert made.metadata.dpi == pytest.approx((118 * 2.54, 118 * 2.54))
    exif = Image.Exif()
    exif.load(made.metadata.exif)
    assert exif[315] == "Anna" and exif.endian == order


def test_a_tiff_keeps_text_bytes_and_numbers_of_its_main_directory() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Software], exif[ExifTags.Base.ImageDescription] = "by me", "a scan"
    exif[ExifTags.Base.Artist] = "Zoë".encode()
    exif[0x9C9B] = "Title".encode("utf-16-le")
    exif[0x4746] = 4
    exif.get_ifd(ExifTags.IFD.Exif)[0x8827] = 200
    exif.get_ifd(ExifTags.IFD.GPSInfo)[1] = "N"
    file = io.BytesIO()
    pages = [Frame(smooth(15, 15)), Frame(smooth(7, 7))]
    tiff_writer.write(Picture(pages, "TIFF"), file, Metadata(exif=exif.tobytes()), Encoding())
    file.seek(0)
    with tifffile.TiffFile(file) as made:
        first, second = made.pages
        assert first.tags[305].value == "by me" and first.tags[270].value == "a scan"
        assert first.tags[315].dtype == 2
        assert (first.tags[0x9C9B].dtype, first.tags[0x4746].dtype) == (1, 3)
        assert bytes(first.tags[0x9C9B].value).decode("utf-16-le") == "Title"
        assert first.tags[0x4746].value == 4
        for code in (0x8769, 0x8825):
            assert code - 1 not in first.tags
            place = struct.unpack_from("<I", file.getvalue(), first.tags[code].offset + 8)[0]
            assert place % 2 == 0 and place > len(file.getvalue()) // 2
        assert not {315, 0x8769, 0x8825} & {tag.code for tag in second.tags}
    with Image.open(file) as again:
        assert again.getexif().get_ifd(ExifTags.IFD.Exif)[0x8827] == 200
        assert again.getexif().get_ifd(ExifTags.IFD.GPSInfo)[1] == "N"


DESCRIBING = (
    "DocumentName", "ImageDescription", "Make", "Model", "Software", "DateTime", "Artist",
    "HostComputer", "Copyright", "XPTitle", "XPComment", "XPAuthor", "XPKeywords", "XPSubject",
    "Rating", "RatingPercent",
)  # fmt: skip


def test_tags_that_describe_the_photo_stay_and_those_of_the_old_file_go() -> None:
    exif = Image.Exif()
    kept = {int(ExifTags.Base[name]) for name in DESCRIBING}
    for tag in kept:
        exif[tag] = 3 if tag in (0x4746, 0x4749) else b"text"
    old = [ExifTags.Base[n] for n in ("ImageWidth", "Orientation", "JpegIFOffset", "StripOffsets")]
    for tag in old:
        exif[tag] = 1
    exif.get_ifd(ExifTags.IFD.Exif)[0x8827] = 200
    found = Image.Exif()
    found.load(clean_exif(exif))
    assert set(found) == kept | {ExifTags.IFD.Exif}
    assert clean_exif(Image.Exif()) is None


@pytest.mark.parametrize(
    ("kind", "value", "names"),
    [
        (2, b"2024", (
            "SpectralSensitivity", "DateTimeOriginal", "DateTimeDigitized", "OffsetTime",
            "OffsetTimeOriginal", "OffsetTimeDigitized", "SubsecTime", "SubsecTimeOriginal",
            "SubsecTimeDigitized", "RelatedSoundFile", "ImageUniqueID", "CameraOwnerName",
            "BodySerialNumber", "LensMake", "LensModel", "LensSerialNumber",
        )),
        (7, b"0230", (
            "OECF", "ExifVersion", "ComponentsConfiguration", "MakerNote", "UserComment",
            "FlashPixVersion", "SpatialFrequencyResponse", "FileSource", "SceneType", "CFAPattern",
            "DeviceSettingDescription",
        )),
        (10, IFDRational(-1, 3), (
            "ShutterSpeedValue", "BrightnessValue", "ExposureBiasValue", "AmbientTemperature",
            "WaterDepth", "CameraElevationAngle",
        )),
    ],
)  # fmt: skip
def test_types_are_those_of_the_standard(kind: int, value: object, names: tuple[str, ...]) -> None:
    for name in names:
        tag = int(ExifTags.Base[name])
        assert exif_directory(ExifTags.IFD.Exif, {tag: value}).tagtype[tag] == kind, name
    assert exif_directory(ExifTags.IFD.GPSInfo, {0x9000: b"0230"}).tagtype[0x9000] != 7


@pytest.mark.parametrize(("unit", "dpi"), [(2, 300.0), (3, 762.0), (None, 300.0)])
def test_the_resolution_may_stand_in_exif_alone(unit: int | None, dpi: float) -> None:
    exif = Image.Exif()
    exif[0x011A] = exif[0x011B] = IFDRational(300, 1)
    if unit is not None:
        exif[0x0128] = unit
    file = io.BytesIO()
    Image.fromarray(smooth(9, 9)).save(file, "WEBP", exif=exif)
    assert read_picture(file.getvalue()).metadata.dpi == pytest.approx((dpi, dpi))


@pytest.mark.parametrize("bad", [(0, 0), (float("nan"), 1), (1e6, 1), (-1, 1), (1,), None, "ab"])
def test_resolutions_that_cannot_be_are_left_out(bad: object) -> None:
    image = Image.fromarray(smooth(9, 9))
    image.info["dpi"] = bad
    assert read_metadata(image)[0].dpi is None
    image.info["dpi"] = (999_999, 1)
    assert read_metadata(image)[0].dpi == (999_999, 1)


def test_text_that_carries_exif_or_xmp_is_no_text() -> None:
    info = PngImagePlugin.PngInfo()
    for key in ("XML:com.adobe.xmp", "Raw profile type exif", "Raw profile type APP1", "Author"):
        info.add_text(key, "text")
    file = io.BytesIO()
    Image.fromarray(smooth(9, 9)).save(file, "PNG", pnginfo=info)
    assert read_picture(file.getvalue()).metadata.text == {"Author": "text"}
