"""Colour signalled by numbers: read from PNG, AVIF and HEIC, written, converted or refused."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from helpers.colour import srgb_of_p3
from helpers.command import BICUBIC, Run
from helpers.images import smooth
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms

from sr_cli.cli.messages import note_sentence
from sr_cli.errors import Note
from sr_cli.imaging.cicp import Cicp, as_chunk, parse_chunk
from sr_cli.imaging.codecs.png_chunks import SIGNATURE, chunk, read_chunks
from sr_cli.imaging.decode import read_picture
from sr_cli.imaging.isobmff import read_colour, read_crop, read_depth, write_mastering
from sr_cli.imaging.profiles import describe, profile_of_cicp, srgb_profile

DISPLAY_P3 = bytes([12, 13, 0, 1])
PQ = bytes([9, 16, 0, 1])
HLG = bytes([9, 18, 0, 1])
MASTERING = (
    b"mDCV",
    struct.pack(">8HII", 35400, 14600, 8500, 39850, 6550, 2300, 15635, 16450, 10_000_000, 50),
)


def png(*chunks: tuple[bytes, bytes], image: Image.Image | None = None, **options: Any) -> bytes:
    """A PNG with chunks after its header."""
    file = io.BytesIO()
    (image or Image.fromarray(smooth(8, 9))).save(file, "PNG", **options)
    data, place = file.getvalue(), len(SIGNATURE) + 25
    return data[:place] + b"".join(chunk(*c) for c in chunks) + data[place:]


def avif(primaries: int, transfer: int, **options: Any) -> bytes:
    """An AVIF with these code points in its colour boxes."""
    file = io.BytesIO()
    Image.fromarray(smooth(8, 9)).save(file, "AVIF", subsampling="4:4:4", **options)
    data = file.getvalue()
    for written in (b"nclx\0\1\0\x0d", b"nclx\0\2\0\2"):
        data = data.replace(written, b"nclx" + struct.pack(">HH", primaries, transfer))
    return data


def code_points_by_ffmpeg(data: bytes) -> tuple[int, int]:
    """Primaries and transfer as FFmpeg decodes them, from the box and from the coded image."""
    av = pytest.importorskip("av")
    with av.open(io.BytesIO(data)) as file:
        frame = next(file.decode(video=0))
        return int(frame.color_primaries), int(frame.color_trc)


def by_pillow_heif(data: bytes) -> Any:
    pillow_heif = pytest.importorskip("pillow_heif")
    return pillow_heif.open_heif(io.BytesIO(data)).info["nclx_profile"]


@pytest.mark.parametrize("suffix", ["png", "avif"])
@pytest.mark.parametrize("source", ["png", "avif"])
@pytest.mark.parametrize("code_points", [DISPLAY_P3, PQ, HLG, bytes([9, 1, 0, 1])])
def test_code_points_are_carried_over(
    sr: Run, tmp_path: Path, source: str, suffix: str, code_points: bytes
) -> None:
    primaries, transfer = code_points[:2]
    data = avif(primaries, transfer) if source == "avif" else png((b"cICP", code_points))
    (tmp_path / f"a.{source}").write_bytes(data)
    done = sr(*BICUBIC, f"a.{source}", "-f", suffix, "--json")
    assert done.returncode == 0 and done.notes == []
    made = (tmp_path / f"a_x2.{suffix}").read_bytes()
    if suffix == "png":
        assert dict(read_chunks(made))[b"cICP"] == code_points
        # Readers that do not know the chunk see an equal profile, where there is one.
        profile = Image.open(io.BytesIO(made)).info.get("icc_profile")
        assert profile == profile_of_cicp(Cicp(primaries, transfer))
    else:
        assert made.count(b"colrnclx" + struct.pack(">HH", primaries, transfer)) == 1
    assert code_points_by_ffmpeg(made) == (primaries, transfer)


def test_libheif_reads_the_same_from_an_avif(sr: Run, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png((b"cICP", PQ)))
    assert sr(*BICUBIC, "a.png", "-f", "avif").returncode == 0
    found = by_pillow_heif((tmp_path / "a_x2.avif").read_bytes())
    assert (found["color_primaries"], found["transfer_characteristics"]) == (9, 16)


def test_animations_and_lossless_files_carry_them_too(sr: Run, tmp_path: Path) -> None:
    frames = [Image.fromarray(smooth(16, 16, seed=seed)) for seed in (0, 1)]
    moving = png((b"cICP", PQ), image=frames[0], save_all=True, append_images=frames[1:], loop=0)
    (tmp_path / "a.png").write_bytes(moving)
    (tmp_path / "b.png").write_bytes(png((b"cICP", PQ)))
    assert sr(*BICUBIC, "a.png", "-f", "avif").returncode == 0
    assert sr(*BICUBIC, "b.png", "-f", "avif", "--lossless").returncode == 0
    for name, boxes in (("a_x2.avif", 2), ("b_x2.avif", 1)):
        made = (tmp_path / name).read_bytes()
        assert made.count(b"colrnclx\0\x09\0\x10") == boxes
        assert read_colour(made)[0] == Cicp(9, 16)
    # The lossless image is still RGB, by the identity matrix.
    assert b"colrnclx\0\x09\0\x10\0\0\x80" in (tmp_path / "b_x2.avif").read_bytes()
    assert sr(*BICUBIC, "b.png", "-f", "png").returncode == 0
    lossless, plain = (Image.open(tmp_path / f"b_x2.{s}") for s in ("avif", "png"))
    assert np.array_equal(np.asarray(lossless), np.asarray(plain))


@pytest.mark.parametrize("suffix", ["jpg", "webp", "tif", "bmp", "gif"])
@pytest.mark.parametrize(("code_points", "name"), [(PQ, "pq"), (HLG, "hlg")])
@pytest.mark.parametrize("source", ["png", "avif"])
def test_hdr_is_refused_where_it_would_be_shown_as_sdr(
    sr: Run, tmp_path: Path, source: str, code_points: bytes, name: str, suffix: str
) -> None:
    data = avif(*code_points[:2]) if source == "avif" else png((b"cICP", code_points))
    (tmp_path / f"a.{source}").write_bytes(data)
    for options in ([], ["--flatten"], ["--strip"]):
        done = sr(*BICUBIC, f"a.{source}", "-f", suffix, *options, "--json")
        assert done.error_codes == ["unsupported-by-format"]
        assert done.records[0]["error"]["features"] == [name]
        assert done.records[0]["error"]["formats"] == ["png", "avif"]
        assert b"-f png or avif" in done.stderr and b"--flatten drops" not in done.stderr
    assert not (tmp_path / f"a_x2.{suffix}").exists()


def test_strip_leaves_what_hdr_pixels_mean(sr: Run, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png((b"cICP", PQ), MASTERING))
    (tmp_path / "b.png").write_bytes(png((b"cICP", DISPLAY_P3), icc_profile=srgb_profile()))
    assert sr(*BICUBIC, "a.png", "b.png", "--strip").returncode == 0
    a, b = (dict(read_chunks((tmp_path / f"{n}_x2.png").read_bytes())) for n in "ab")
    assert a[b"cICP"] == PQ and set(a) == {b"IHDR", b"cICP", b"IDAT", b"IEND"}
    assert set(b) == {b"IHDR", b"IDAT", b"IEND"}


@pytest.mark.parametrize("deep", [False, True])
def test_a_png_keeps_code_points_profile_and_mastering_display(
    sr: Run, tmp_path: Path, deep: bool
) -> None:
    image = Image.fromarray(smooth(8, 9, top=65535)[..., 0]) if deep else None
    chunks = (b"cICP", PQ), MASTERING, (b"cLLI", struct.pack(">II", 10_000_000, 4_000_000))
    (tmp_path / "a.png").write_bytes(png(*chunks, image=image, icc_profile=srgb_profile()))
    assert sr(*BICUBIC, "a.png").returncode == 0
    made = list(read_chunks((tmp_path / "a_x2.png").read_bytes()))
    names = [name for name, _ in made]
    assert all(c in made and names.count(c[0]) == 1 for c in chunks)
    assert names.index(b"cICP") < names.index(b"IDAT") and b"iCCP" in names


def test_code_points_come_before_profile_and_gamma(sr: Run, tmp_path: Path) -> None:
    gamma = b"gAMA", struct.pack(">I", 100_000)
    (tmp_path / "a.png").write_bytes(png((b"cICP", DISPLAY_P3), icc_profile=srgb_profile()))
    (tmp_path / "b.png").write_bytes(png((b"cICP", DISPLAY_P3), gamma))
    (tmp_path / "c.png").write_bytes(png(gamma, icc_profile=srgb_profile()))
    (tmp_path / "d.png").write_bytes(png(gamma, (b"sRGB", b"\0")))
    (tmp_path / "e.png").write_bytes(png((b"cICP", bytes([1, 13, 0, 1])), gamma))
    names = [f"{n}.png" for n in "abcde"]
    assert sr(*BICUBIC, *names, "-f", "jpg", "--json").note_kinds == []
    profiles = [Image.open(tmp_path / f"{n}_x2.jpg").info.get("icc_profile") for n in "abcde"]
    p3 = profile_of_cicp(Cicp(12, 13))
    assert profiles == [p3, p3, srgb_profile(), None, None]
    # An AVIF reader would take a profile before the code points: only one of them is written.
    assert sr(*BICUBIC, "a.png", "-f", "avif").returncode == 0
    made = (tmp_path / "a_x2.avif").read_bytes()
    assert b"colrnclx\0\x0c\0\x0d" in made and b"colrprof" not in made


def test_a_profile_comes_before_the_code_points_of_an_avif(sr: Run, tmp_path: Path) -> None:
    profile = profile_of_cicp(Cicp(9, 14))
    for name, transfer in (("a", 13), ("b", 16)):
        (tmp_path / f"{name}.avif").write_bytes(avif(12, transfer, icc_profile=profile))
    assert sr(*BICUBIC, "a.avif", "b.avif", "-f", "png").returncode == 0
    a, b = (dict(read_chunks((tmp_path / f"{n}_x2.png").read_bytes())) for n in "ab")
    assert b"cICP" not in a and b"iCCP" in a
    assert b[b"cICP"] == bytes([12, 16, 0, 1])


@pytest.mark.parametrize("suffix", ["jpg", "webp", "tif"])
def test_wide_colour_looks_the_same_with_the_profile(sr: Run, tmp_path: Path, suffix: str) -> None:
    flat = Image.new("RGB", (9, 8), (200, 120, 60))
    (tmp_path / "a.png").write_bytes(png((b"cICP", DISPLAY_P3), image=flat))
    assert sr(*BICUBIC, "a.png", "-f", suffix, "-q", "100").returncode == 0
    with Image.open(tmp_path / f"a_x2.{suffix}") as made:
        profile = made.info["icc_profile"]
        assert describe(profile) == "Display P3"
        transform = ImageCms.buildTransform(
            io.BytesIO(profile), ImageCms.createProfile("sRGB"), "RGB", "RGB"
        )
        seen = ImageCms.applyTransform(made.convert("RGB"), transform).getpixel((5, 5))
    assert np.abs(np.array(seen) - srgb_of_p3((200, 120, 60))).max() <= 2


def test_video_range_is_refused_except_in_png(sr: Run, tmp_path: Path) -> None:
    narrow = bytes([1, 1, 0, 0])
    (tmp_path / "a.png").write_bytes(png((b"cICP", narrow)))
    assert sr(*BICUBIC, "a.png").returncode == 0
    assert dict(read_chunks((tmp_path / "a_x2.png").read_bytes()))[b"cICP"] == narrow
    done = sr(*BICUBIC, "a.png", "-f", "avif")
    assert done.error_codes == ["unsupported-by-format"] and b"-f png" in done.stderr


def test_log_curves_have_no_profile(sr: Run, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png((b"cICP", bytes([1, 9, 0, 1]))))
    done = sr(*BICUBIC, "a.png", "-f", "jpg", "--json")
    assert done.notes == [{"kind": "metadata-dropped", "block": "cICP", "format": "JPEG"}]


def test_heic_has_code_points_and_depth(sr: Run, tmp_path: Path) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    deep = smooth(64, 64, top=65535)
    image = pillow_heif.from_bytes("RGB;16", (64, 64), deep.tobytes())
    for name, transfer in (("a", 13), ("b", 18)):
        image.save(
            tmp_path / f"{name}.heic", color_primaries=12, transfer_characteristics=transfer,
            matrix_coefficients=6, full_range_flag=1,
        )  # fmt: skip
    done = sr(*BICUBIC, "a.heic", "--json")
    assert done.notes == [{"kind": "depth-reduced", "bits": 10}]
    profile = Image.open(tmp_path / "a_x2.jpg").info["icc_profile"]
    assert profile == profile_of_cicp(Cicp(12, 13))
    refused = sr(*BICUBIC, "b.heic")
    assert refused.error_codes == ["unsupported-by-format"] and b"HLG" in refused.stderr
    assert sr(*BICUBIC, "b.heic", "-f", "avif").returncode == 0
    assert b"colrnclx\0\x0c\0\x12" in (tmp_path / "b_x2.avif").read_bytes()


def test_more_than_eight_bits_that_are_not_read_are_said(sr: Run, tmp_path: Path) -> None:
    pixels = np.full((16, 16, 3), 40_000, np.uint16)
    options = [cv2.IMWRITE_AVIF_DEPTH, 10, cv2.IMWRITE_AVIF_QUALITY, 90]
    ok, ten_bits = cv2.imencode(".avif", pixels >> 6, options)
    assert ok
    (tmp_path / "a.avif").write_bytes(ten_bits.tobytes())
    tifffile.imwrite(
        tmp_path / "b.tif", np.dstack([pixels, pixels[..., 0]]), photometric="separated"
    )
    tifffile.imwrite(tmp_path / "c.tif", np.dstack([smooth(8, 9), smooth(8, 9)[..., 0]]),
                     photometric="separated")  # fmt: skip
    a, b, c = sr(*BICUBIC, "a.avif", "b.tif", "c.tif", "--json").records
    assert [note["kind"] for note in a["notes"]] == ["depth-reduced"] and a["notes"][0][
        "bits"
    ] == 10
    assert {note["kind"] for note in b["notes"]} == {"depth-reduced", "converted-without-profile"}
    assert [note["kind"] for note in c["notes"]] == ["converted-without-profile"]
    assert "10 bits" in note_sentence(Note("depth-reduced", {"bits": 10}))


def box(kind: bytes, *content: bytes) -> bytes:
    inside = b"".join(content)
    return struct.pack(">I4s", 8 + len(inside), kind) + inside


def nclx(primaries: int, transfer: int) -> bytes:
    return box(b"colr", b"nclx", struct.pack(">HHHB", primaries, transfer, 6, 128))


PROPERTIES = (
    nclx(1, 13),
    box(b"pixi", b"\0\0\0\0\1\x08"),
    nclx(12, 16),
    box(b"pixi", b"\0\0\0\0\3\x0a\x0a\x0a"),
    box(b"mdcv", struct.pack(">8HII", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)),
    box(b"clli", struct.pack(">HH", 1000, 400)),
)


@pytest.mark.parametrize("wide_items", [False, True])
@pytest.mark.parametrize("wide_indices", [False, True])
def test_properties_are_those_of_the_primary_item(wide_items: bool, wide_indices: bool) -> None:
    number = ">I" if wide_items else ">H"
    index = ">H" if wide_indices else ">B"
    essential = 0x8000 if wide_indices else 0x80

    def item(id: int, *indices: int) -> bytes:
        places = b"".join(struct.pack(index, i | essential * (i == 4)) for i in indices)
        return struct.pack(number, id) + bytes([len(indices)]) + places

    pitm = box(b"pitm", bytes([wide_items, 0, 0, 0]), struct.pack(number, 7))
    entries = struct.pack(">I", 2) + item(5, 1, 2) + item(7, 3, 4, 5, 6)
    ipma = box(b"ipma", bytes([wide_items, 0, 0, wide_indices]), entries)
    iprp = box(b"iprp", box(b"ipco", *PROPERTIES), ipma)
    data = box(b"ftyp", b"avif") + box(b"meta", bytes(4), pitm, iprp) + box(b"mdat", b"x" * 40)
    cicp, chunks = read_colour(data)
    assert cicp == Cicp(12, 16) and read_depth(data) == 10
    # Green, blue, red in the box; red, green, blue in the chunk.
    assert chunks[b"mDCV"] == struct.pack(">8HII", 5, 6, 1, 2, 3, 4, 7, 8, 9, 10)
    assert chunks[b"cLLI"] == struct.pack(">II", 10_000_000, 4_000_000)
    for length in range(len(data)):
        read_colour(data[:length])
        read_depth(data[:length])


@given(st.binary(max_size=60), st.integers(0, 300))
def test_damaged_boxes_are_no_error(noise: bytes, place: int) -> None:
    data = bytearray(avif(12, 13))
    data[place : place + len(noise)] = noise
    read_colour(bytes(data))
    read_depth(bytes(data))
    read_crop(bytes(data), 9, 8)


def test_boxes_inside_themselves_end() -> None:
    data = b""
    for _ in range(3000):
        data = box(b"ipco", data)
    assert read_colour(box(b"meta", bytes(4), data)) == (None, {})


@given(st.binary(max_size=6))
def test_chunks_are_parsed_or_ignored(content: bytes) -> None:
    found = parse_chunk(content)
    is_valid = len(content) == 4 and content[2] == 0 and content[3] <= 1
    assert (found is not None) == is_valid
    assert found is None or as_chunk(found) == content


@pytest.mark.parametrize(
    ("cicp", "plain"),
    [
        (Cicp(1, 13), True), (Cicp(2, 2), True), (Cicp(2, 13), True), (Cicp(1, 2), True),
        (Cicp(1, 13, False), False), (Cicp(1, 1), False), (Cicp(12, 2), False),
        (Cicp(2, 16), False), (Cicp(2, 9), False),
    ],
)  # fmt: skip
def test_what_says_no_more_than_srgb(cicp: Cicp, plain: bool) -> None:
    assert cicp.is_plain == plain


def test_an_avif_in_srgb_stays_without_profile(sr: Run, tmp_path: Path) -> None:
    Image.fromarray(smooth(8, 9)).save(tmp_path / "a.avif")
    assert sr(*BICUBIC, "a.avif", "-f", "png").returncode == 0
    made = read_picture(tmp_path / "a_x2.png").metadata
    assert made.cicp is None and made.icc is None and made.png_colour == {}


@pytest.mark.parametrize("options", [[], ["--lossless"]])
@pytest.mark.parametrize("count", [1, 2])
def test_the_mastering_display_goes_into_an_avif_and_out(
    sr: Run, tmp_path: Path, count: int, options: list[str]
) -> None:
    if count == 2 and options:
        pytest.skip("lossless AVIF has one frame")
    chunks = (b"cICP", PQ), MASTERING, (b"cLLI", struct.pack(">II", 10_000_000, 4_000_000))
    image = Image.fromarray(smooth(20, 30))
    # Alpha, EXIF and XMP are items of their own, whose places in the file move.
    image.putalpha(Image.fromarray(smooth(20, 30, seed=3)[..., 0]))
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    several = {"save_all": True, "append_images": [image.rotate(180)], "loop": 0}
    moving = several if count == 2 else {}
    (tmp_path / "a.png").write_bytes(png(*chunks, image=image, exif=exif, **moving))
    done = sr(*BICUBIC, "a.png", "-f", "avif", "--json", *options)
    assert done.returncode == 0 and done.notes == []
    data = (tmp_path / "a_x2.avif").read_bytes()
    display = struct.unpack(">8HII", MASTERING[1])
    green_first = (*display[2:6], *display[:2], *display[6:])
    assert box(b"mdcv", struct.pack(">8HII", *green_first)) in data
    assert box(b"clli", struct.pack(">HH", 1000, 400)) in data
    assert sr(*BICUBIC, "a.png", "-o", "same.png").returncode == 0
    with Image.open(tmp_path / "a_x2.avif") as made, Image.open(tmp_path / "same.png") as same:
        for number in range(count):
            made.seek(number)
            same.seek(number)
            difference = np.asarray(made).astype(int) - np.asarray(same)
            assert np.abs(difference).mean() < (0.01 if options else 2)
        assert made.n_frames == count and str(made.getexif()[0x010F]) == "Maker"
    assert sr(*BICUBIC, "a_x2.avif", "-f", "png").returncode == 0
    back = dict(read_chunks((tmp_path / "a_x2_x2.png").read_bytes()))
    assert all(back[name] == content for name, content in chunks)


@pytest.mark.parametrize(
    ("old", "new"),
    [(b"\x44\0", b"\x48\0"), (b"pitm\0", b"pitm\1"), (b"ipma\0", b"ipma\1"), (b"ipco", b"free")],
)
def test_other_layouts_of_an_avif_are_left_alone(old: bytes, new: bytes) -> None:
    data = avif(9, 16)
    assert old in data
    file = io.BytesIO(data.replace(old, new))
    assert not write_mastering(file, dict([MASTERING]))
    assert file.getvalue() == data.replace(old, new)
    untouched = io.BytesIO(data)
    assert write_mastering(untouched, dict([MASTERING]))
    assert len(untouched.getvalue()) == len(data) + 32 + 1
