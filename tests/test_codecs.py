"""Codecs one by one, without the command line: what is written, and how rare layouts are read."""

from __future__ import annotations

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
import tifffile
from helpers.images import smooth
from PIL import Image, ImageCms

from sr_cli.errors import Note, SrError
from sr_cli.imaging.codecs import png_rows, tiff_writer
from sr_cli.imaging.decode import read_picture
from sr_cli.imaging.encode import write_picture
from sr_cli.imaging.formats import FORMATS, Encoding, Feature
from sr_cli.imaging.metadata import Metadata
from sr_cli.imaging.picture import Frame, Picture
from sr_cli.imaging.profiles import color_space, srgb_profile


def written(picture: Picture, name: str, encoding: Encoding = Encoding()) -> bytes:
    file = io.BytesIO()
    write_picture(picture, file, FORMATS[name], encoding)
    return file.getvalue()


def noise(*shape: int, dtype: type = np.uint16) -> np.ndarray:
    top = np.iinfo(dtype).max
    return np.random.default_rng(0).integers(0, top + 1, shape).astype(dtype)


def large_exif() -> bytes:
    exif = Image.Exif()
    exif[0x010E], exif[0x010F] = "a" * 65_000, "b" * 600
    return exif.tobytes()


KINDS = {"gray": (1, False), "gray-alpha": (1, True), "rgb": (3, False), "rgb-alpha": (3, True)}


def frame_of(kind: str, height: int, dtype: type) -> Frame:
    channels, alpha = KINDS[kind]
    pixels = noise(height, 7, 4, dtype=dtype)
    colour = pixels[..., 0] if channels == 1 else pixels[..., :3]
    return Frame(
        np.ascontiguousarray(colour), np.ascontiguousarray(pixels[..., 3]) if alpha else None
    )


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("height", [1, 64, 65, 130])
@pytest.mark.parametrize(
    ("name", "dtype"),
    [("PNG", np.uint16), ("TIFF", np.uint16), ("PNG", np.uint8), ("TIFF", np.uint8)],
)
def test_lossless_writers_give_back_every_bit(
    kind: str, height: int, name: str, dtype: type
) -> None:
    frame, wanted = frame_of(kind, height, dtype), frame_of(kind, height, dtype)
    (made,) = read_picture(written(Picture([frame], "PNG"), name)).frames
    assert made.pixels.dtype == dtype and np.array_equal(made.pixels, wanted.pixels)
    assert (made.alpha is None) == (wanted.alpha is None)
    assert wanted.alpha is None or np.array_equal(made.alpha, wanted.alpha)


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_16_bit_png_has_the_parts_that_the_standard_asks_for(kind: str) -> None:
    data = written(Picture([frame_of(kind, 200, np.uint16)], "PNG"), "PNG")
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, names, packed = 8, [], b""
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        body = data[at + 4 : at + 8 + length]
        assert zlib.crc32(body) == int.from_bytes(data[at + 8 + length : at + 12 + length], "big")
        names.append(body[:4])
        packed += body[4:] if body[:4] == b"IDAT" else b""
        at += 12 + length
    channels = KINDS[kind][0] + KINDS[kind][1]
    colour = {"gray": 0, "gray-alpha": 4, "rgb": 2, "rgb-alpha": 6}[kind]
    assert struct.unpack(">IIBBBBB", data[16:29]) == (7, 200, 16, colour, 0, 0, 0)
    assert names[0] == b"IHDR" and names[-1] == b"IEND" and names.count(b"IDAT") >= 1
    assert len(zlib.decompress(packed)) == 200 * (1 + 7 * channels * 2)


def test_a_smooth_16_bit_png_is_packed_well() -> None:
    ramp = np.add.outer(np.arange(400) * 9, np.arange(300) * 31).astype(np.uint16)
    assert len(written(Picture([Frame(ramp)], "PNG"), "PNG")) < 0.05 * ramp.nbytes


def test_chunks_of_the_description_keep_their_side_of_the_pixels() -> None:
    def chunk(kind: bytes, content: bytes) -> bytes:
        check = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)

    plain = io.BytesIO()
    Image.new("L", (1, 1)).save(plain, "PNG")
    start = plain.getvalue()
    cut = len(start) - 12
    described = start[:33] + chunk(b"tEXt", b"a\0before") + start[33:cut]
    described += chunk(b"tEXt", b"b\0after") + start[cut:]
    file = io.BytesIO()
    png_rows.write_frame(Frame(noise(3, 3)), file, described)
    made = file.getvalue()
    places = [made.index(part) for part in (b"IHDR", b"before", b"IDAT", b"after", b"IEND")]
    assert places == sorted(places)
    assert [made.count(name) for name in (b"IHDR", b"IEND", b"tEXt")] == [1, 1, 2]
    assert np.array_equal(read_picture(made).frames[0].pixels, noise(3, 3))


def test_the_transparent_colour_of_a_16_bit_png_becomes_alpha() -> None:
    pixels = noise(6, 5, 3)
    pixels[2, 3] = (1, 2, 3)
    pixels[2, 4] = (1, 2, 4)
    plain = written(Picture([Frame(pixels.copy())], "PNG"), "PNG")
    content = b"tRNS" + struct.pack(">3H", 1, 2, 3)
    key = struct.pack(">I", 6) + content + struct.pack(">I", zlib.crc32(content))
    (made,) = read_picture(plain[:33] + key + plain[33:]).frames
    assert made.alpha is not None and made.alpha.dtype == np.uint16
    assert made.alpha[2, 3] == 0 and (made.alpha == 65535).sum() == 29
    assert np.array_equal(made.pixels, pixels)


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("extra", [None, "unassalpha", "assocalpha", "unspecified"])
def test_tiff_layouts_of_16_bit_colour(planar: str, extra: str | None) -> None:
    colour, alpha = noise(9, 8, 3) // 2, np.full((9, 8), 40_000, np.uint16)
    stored = colour
    if extra == "assocalpha":
        stored = np.round(colour * (40_000 / 65535)).astype(np.uint16)
    pixels = stored if extra is None else np.dstack([stored, alpha])
    file = io.BytesIO()
    tifffile.imwrite(
        file, np.moveaxis(pixels, -1, 0) if planar == "separate" else pixels, photometric="rgb",
        planarconfig=planar, extrasamples=None if extra is None else [extra],
    )  # fmt: skip
    (made,) = read_picture(file.getvalue()).frames
    assert np.abs(made.pixels.astype(int) - colour).max() <= (2 if extra == "assocalpha" else 0)
    if extra in (None, "unspecified"):
        assert made.alpha is None
    else:
        assert np.array_equal(made.alpha, alpha)


def test_pages_have_their_own_tags_and_share_the_profile() -> None:
    frames = [Frame(noise(70, 5, dtype=np.uint8)), Frame(noise(3, 4, 3), noise(3, 4))]
    metadata = Metadata(icc=b"profile" * 9, xmp=b"<x/>", iptc=b"\x1c\x02x\0\1A", dpi=(300, 150))
    file = io.BytesIO()
    assert tiff_writer.write(Picture(frames, "TIFF"), file, metadata, Encoding()) == []
    file.seek(0)
    with tifffile.TiffFile(file) as made:
        assert not made.is_bigtiff
        first, second = made.pages
        assert [len(p.tags[273].value) if p.imagelength > 64 else 1 for p in made.pages] == [2, 1]
        assert first.tags[278].value == 64
        assert (first.photometric, second.photometric) == (1, 2)
        assert first.tags[259].value == second.tags[259].value == 8
        assert second.extrasamples == (2,) and first.extrasamples == ()
        assert (first.tags[282].value, first.tags[283].value) == ((300, 1), (150, 1))
        assert first.tags[296].value == 2
        for number, kind, value in ((700, 1, b"<x/>"), (33723, 7, metadata.iptc)):
            assert bytes(first.tags[number].value) == value and first.tags[number].dtype == kind
            assert number not in second.tags
        assert first.tags[34675].value == second.tags[34675].value == metadata.icc
        assert 305 not in first.tags and 270 not in first.tags


def test_a_bigtiff_is_written_only_where_it_must_be(monkeypatch: pytest.MonkeyPatch) -> None:
    for most, magic in ((20 * 20 * 2 - 1, 43), (20 * 20 * 2, 42)):
        monkeypatch.setattr(tiff_writer, "_BIG", most)
        plane = noise(20, 20, dtype=np.uint8)
        assert written(Picture([Frame(plane, plane)], "TIFF"), "TIFF")[2] == magic


@pytest.mark.parametrize(("loop", "stored"), [(None, None), (0, 0), (1, None), (2, 1), (5, 4)])
def test_a_gif_counts_repetitions(loop: int | None, stored: int | None) -> None:
    frames = [Frame(smooth(8, 8, seed=i), None, 40.0) for i in range(3)]
    data = written(Picture(frames, "GIF", animation=True, loop=loop), "GIF")
    with Image.open(io.BytesIO(data)) as made:
        assert made.info.get("loop") == stored
    again = read_picture(data)
    assert again.loop == (None if loop == 1 else loop) and again.animation
    assert [f.duration for f in again.frames] == [40.0] * 3


@pytest.mark.parametrize("name", ["WEBP", "PNG"])
@pytest.mark.parametrize("loop", [None, 0, 3])
def test_others_count_how_often_they_are_played(name: str, loop: int | None) -> None:
    frames = [Frame(smooth(8, 8, seed=i), None, 40.0 + i) for i in range(3)]
    again = read_picture(written(Picture(frames, "GIF", animation=True, loop=loop), name))
    assert again.loop == (1 if loop is None else loop)
    assert [round(f.duration) for f in again.frames] == [40, 41, 42]


@pytest.mark.parametrize("gray", [False, True])
@pytest.mark.parametrize("name", ["WEBP", "PNG", "GIF"])
def test_frames_of_an_animation_do_not_shine_through(name: str, gray: bool) -> None:
    frames = []
    for number in range(3):
        alpha = np.zeros((12, 12), np.uint8)
        alpha[:, number * 4 : number * 4 + 4] = 255
        plane = np.full((12, 12), 60 * (number + 1), np.uint8)
        frames.append(Frame(plane if gray else np.dstack([plane] * 3), alpha, 30.0))
    again = read_picture(
        written(Picture(frames, "PNG", animation=True), name, Encoding(None, True))
    )
    for number, frame in enumerate(again.frames):
        shown = np.flatnonzero(frame.alpha.all(0))
        assert shown.tolist() == list(range(number * 4, number * 4 + 4))
        visible = frame.pixels[frame.alpha == 255].astype(int)
        assert np.abs(visible - 60 * (number + 1)).max() <= 1


def test_alpha_in_one_frame_gives_alpha_to_all() -> None:
    plain = Image.fromarray(smooth(8, 8)).convert("RGBA")
    clear = Image.new("RGBA", (8, 8), (9, 9, 9, 0))
    file = io.BytesIO()
    plain.convert("RGB").save(file, "PNG", save_all=True, append_images=[clear], duration=9)
    made = read_picture(file.getvalue())
    assert len({f.alpha is None for f in made.frames}) == 1


def test_a_large_image_goes_to_pillow_in_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    from sr_cli.imaging.codecs import pillow

    monkeypatch.setattr(pillow, "_BAND_BYTES", 100)
    for kind in KINDS:
        frame, wanted = frame_of(kind, 50, np.uint8), frame_of(kind, 50, np.uint8)
        made, _ = pillow.to_frame(pillow.to_pillow(frame), None)
        assert np.array_equal(made.pixels, wanted.pixels) and frame.pixels.size == 0
        assert wanted.alpha is None or np.array_equal(made.alpha, wanted.alpha)


def test_quality_is_the_formats_own_unless_one_is_asked_for() -> None:
    for name in ("JPEG", "WEBP", "AVIF"):
        sizes = [
            len(written(Picture([Frame(noise(64, 64, 3, dtype=np.uint8))], "PNG"), name, encoding))
            for encoding in (
                Encoding(10),
                Encoding(),
                Encoding(FORMATS[name].quality),
                Encoding(100),
            )
        ]
        assert sizes[0] < sizes[1] == sizes[2] < sizes[3]


def test_jpegs_colour_is_not_subsampled() -> None:
    file = io.BytesIO(written(Picture([Frame(smooth(16, 16))], "PNG"), "JPEG"))
    with Image.open(file) as made:
        assert {layer[1:3] for layer in made.layer} == {(1, 1)}


@pytest.mark.parametrize("recent", [True, False])
def test_lossless_avif_holds_one_frame_with_its_metadata(
    monkeypatch: pytest.MonkeyPatch, recent: bool
) -> None:
    if not recent:
        monkeypatch.delattr(cv2, "imencodeWithMetadata", raising=False)
    elif not hasattr(cv2, "IMAGE_METADATA_ICCP"):
        pytest.skip("OpenCV writes no metadata before version 5")
    exif = Image.Exif()
    exif[0x010F] = b"Maker"
    xmp = b"<x:xmpmeta/>"
    for kind in KINDS:
        frame = frame_of(kind, 9, np.uint8)
        described = Metadata(icc=srgb_profile(), exif=exif.tobytes(), xmp=xmp)
        picture = Picture([frame], "PNG", described)
        read = read_picture(written(picture, "AVIF", Encoding(None, True)))
        (made,) = read.frames
        colour = made.pixels if KINDS[kind][0] == 3 else made.pixels[..., 0]
        assert np.array_equal(colour, frame.pixels)
        assert frame.alpha is None or np.array_equal(made.alpha, frame.alpha)
        if recent:
            assert picture.notes == [] and read.metadata.xmp == xmp
            assert b"Maker" in (read.metadata.exif or b"")
            assert color_space(read.metadata.icc or b"") == "RGB"
        else:
            assert picture.notes == [Note("lossless-avif-without-metadata")]
    bare = Picture([frame_of("rgb", 9, np.uint8)], "PNG")
    written(bare, "AVIF", Encoding(None, True))
    assert bare.notes == []
    with pytest.raises(SrError) as caught:
        written(Picture([Frame(smooth(8, 8))] * 2, "PNG", animation=True), "AVIF",
                Encoding(None, True))  # fmt: skip
    assert caught.value.code == "lossless-avif-animation"


@pytest.mark.parametrize(
    ("block", "metadata"),
    [
        ("EXIF", Metadata(exif=large_exif())),
        ("XMP", Metadata(xmp=b"x" * 65_501)),
        ("IPTC", Metadata(iptc=b"x" * 65_501)),
        ("comment", Metadata(comment=b"x" * 65_501)),
    ],
)
def test_blocks_too_large_for_a_jpeg_are_dropped(block: str, metadata: Metadata) -> None:
    picture = Picture([Frame(smooth(8, 8))], "PNG", metadata)
    data = written(picture, "JPEG")
    found = read_picture(data).metadata
    assert len(data) < 20_000 and not (found.xmp or found.iptc or found.exif)
    (note,) = picture.notes
    assert (note.kind, note.facts["block"]) == ("metadata-too-large", block)
    assert note.facts["bytes"] > 65_500 and note.facts["format"] == "JPEG"


@pytest.mark.parametrize("length", [1, 2, 65_499, 65_500])
def test_iptc_that_fits_comes_back_from_a_jpeg(length: int) -> None:
    records = bytes(range(256)) * 256
    data = written(Picture([Frame(smooth(8, 8))], "PNG", Metadata(iptc=records[:length])), "JPEG")
    assert read_picture(data).metadata.iptc == records[:length]


def test_an_encoder_that_fails_is_an_error_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ValueError("no")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(SrError) as caught:
        written(Picture([Frame(smooth(8, 8))], "PNG"), "WEBP")
    assert caught.value.code == "encoding-failed"
    assert caught.value.facts == {"format": "WEBP", "reason": "no"}


def test_premultiplied_modes_of_pillow_become_straight() -> None:
    from sr_cli.imaging.codecs.pillow import from_pillow

    image = Image.fromarray(
        np.dstack([np.full((4, 4, 3), 200, np.uint8), np.full((4, 4), 128, np.uint8)])
    )
    frame = from_pillow(image.convert("RGBa"))
    assert np.abs(frame.pixels.astype(int) - 200).max() <= 1 and (frame.alpha == 128).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_xmp_profile_and_text_go_through_every_format_that_has_them(name: str, dtype: type) -> None:
    if dtype == np.uint16 and Feature.SIXTEEN_BIT not in FORMATS[name].features:
        dtype = np.uint8
    xmp = '<x:xmpmeta xmlns:x="adobe:ns:meta/">für</x:xmpmeta>'.encode()
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    metadata = Metadata(xmp=xmp, icc=icc, text={"Author": "me", "Titel": "Über"}, comment=b"hello")
    data = written(Picture([Frame(noise(8, 8, 3, dtype=dtype))], "PNG", metadata), name)
    found = read_picture(data).metadata
    assert found.xmp == xmp and found.icc == icc
    assert found.text == (metadata.text | {"Comment": "hello"} if name == "PNG" else {})
    assert found.comment == (b"hello" if name == "JPEG" else None)
    bare = Picture([Frame(noise(8, 8, 3, dtype=dtype))], "PNG", metadata)
    stripped = read_picture(written(bare, name, Encoding(None, False, True))).metadata
    assert not (stripped.xmp or stripped.icc or stripped.text or stripped.comment)


@pytest.mark.parametrize("kind", [1, 3])
def test_reduced_copies_of_pages_are_skipped_and_counted(kind: int) -> None:
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        for height, subfile in ((8, 0), (4, kind), (6, 2), (3, kind)):
            writer.write(noise(height, 5, dtype=np.uint8), subfiletype=subfile)
    made = read_picture(file.getvalue(), max_pixels=14 * 5)
    assert [f.height for f in made.frames] == [8, 6]
    assert made.notes == [Note("reduced-pages-skipped", {"count": 2})]
    with pytest.raises(SrError) as caught:
        read_picture(file.getvalue(), max_pixels=14 * 5 - 1)
    assert caught.value.facts == {"pixels": 70, "max_pixels": 69}


def test_plain_pages_need_no_note() -> None:
    data = written(Picture([Frame(noise(8, 8)), Frame(noise(8, 8))], "TIFF"), "TIFF")
    assert read_picture(data).notes == []
