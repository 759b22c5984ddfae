"""HDR photos stay HDR photos, and nothing is promised that is not there."""

from __future__ import annotations

import io
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.command import BICUBIC, Run
from helpers.compound import (
    APPLE_XMP,
    GAIN_XMP,
    HDRGM,
    ISO_METADATA,
    ISO_SEGMENT,
    ISO_VERSIONS,
    VIDEO,
    XMP_SEGMENT,
    box,
    directory,
    gain_of,
    item,
    jpeg,
    packet,
    photo_with,
    property_of,
    read_back,
    says_nothing,
    scene,
    segment,
    segments_of,
    ultra_hdr,
    with_index,
)
from helpers.images import smooth
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms

from sr_cli.errors import SrError
from sr_cli.imaging.conversion import orient_pixels
from sr_cli.imaging.decode import read_picture
from sr_cli.imaging.isobmff import has_gain_map

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def decoded(data: bytes) -> NDArray[Any]:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


def orientation(value: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = value
    exif[ExifTags.Base.Make] = "Maker"
    return exif


@pytest.mark.parametrize("turned", range(1, 9))
def test_gain_map_turns_and_grows_with_the_image(sr: Run, tmp_path: Path, turned: int) -> None:
    base = scene()
    gain = jpeg(gain_of(base), xmp=GAIN_XMP)
    photo_with(tmp_path, ultra_hdr(base, gain, exif=orientation(turned), icc_profile=SRGB))
    done = sr(*BICUBIC, "a.jpg", "--json")
    assert (done.returncode, done.notes) == (0, [])
    found = read_back(tmp_path / "a_x2.jpg")
    upright = orient_pixels(scene(), turned)
    height, width = upright.shape[:2]
    assert found.base.size == (2 * width, 2 * height)
    assert found.base.info["icc_profile"] == SRGB
    assert found.base.getexif()[ExifTags.Base.Make] == "Maker"
    assert found.base.getexif().get(ExifTags.Base.Orientation, 1) == 1
    (_, second) = found.indexed
    assert found.parts == {"GainMap": second}
    assert len(found.indexed[0]) + len(second) == found.size
    made = decoded(second)
    assert made.shape == (height // 2, width // 2)
    # The map is bright where the image is.
    lamp = np.asarray(found.base.convert("L"))[2::4, 2::4] > 170
    assert np.mean((made > 120) == lamp) > 0.98
    assert 0.03 < lamp.mean() < 0.5


@pytest.mark.parametrize("order", ["<", ">"])
def test_metadata_of_the_map_is_unchanged(sr: Run, tmp_path: Path, order: str) -> None:
    gain = jpeg(
        gain_of(scene(), 2, rgb=True),
        xmp=GAIN_XMP,
        segments=segment(0xE2, ISO_METADATA),
        icc_profile=SRGB,
    )
    data = ultra_hdr(scene(), gain, order=order, segments=segment(0xE2, ISO_VERSIONS))
    photo_with(tmp_path, data)
    assert sr("upscale", "-m", "bicubic", "-x1.5", "a.jpg").returncode == 0
    found = read_back(tmp_path / "a_x1.5.jpg")
    made = segments_of(found.indexed[1])
    assert XMP_SEGMENT + GAIN_XMP in made
    assert [s for s in made if s.startswith(ISO_SEGMENT)] == [ISO_METADATA]
    assert [s for s in segments_of(found.indexed[0]) if ISO_SEGMENT in s] == [ISO_VERSIONS]
    with Image.open(io.BytesIO(found.indexed[1])) as image:
        assert (image.mode, image.size) == ("RGB", (96, 72))
        assert image.info["icc_profile"] == SRGB
    assert property_of(found.xmp, HDRGM, "Version") == "1.0"
    assert property_of(found.xmp, "http://ns.adobe.com/xap/1.0/", "Label") == "red"


def test_independent_reader_sees_the_same_light(sr: Run, tmp_path: Path) -> None:
    imagecodecs = pytest.importorskip("imagecodecs")
    gain = jpeg(gain_of(scene()), xmp=GAIN_XMP)
    before = photo_with(tmp_path, ultra_hdr(scene(), gain, icc_profile=SRGB))
    assert sr(*BICUBIC, "a.jpg").returncode == 0
    old, new = (
        np.asarray(imagecodecs.ultrahdr_decode(path.read_bytes()), np.float32)[..., 1]
        for path in (before, tmp_path / "a_x2.jpg")
    )
    assert new.shape == (192, 256)
    for part in (np.s_[24:40, 20:28], np.s_[60:90, 60:120]):
        small = np.median(old[part])
        large = np.median(new[tuple(slice(2 * s.start, 2 * s.stop) for s in part)])
        assert large == pytest.approx(small, rel=0.03)
    assert np.median(new[48:80, 40:56]) > 2


def test_map_shrinks_with_the_image_and_goes_through_streams(sr: Run, tmp_path: Path) -> None:
    gain = jpeg(gain_of(scene()), xmp=GAIN_XMP)
    data = ultra_hdr(scene(), gain, video=VIDEO)
    done = sr(*BICUBIC, "-", "--max-side", "40", input=data)
    assert done.returncode == 0
    found = read_back(photo_with(tmp_path, done.stdout, "out.jpg"))
    assert found.base.size == (40, 30)
    assert decoded(found.parts["GainMap"]).shape == (8, 10)
    assert found.parts["MotionPhoto"] == VIDEO


def test_network_upscales_the_image_and_bicubic_the_map(sr: Run, tmp_path: Path) -> None:
    base = smooth(48, 64)
    gain = np.ascontiguousarray(base[::2, ::2, 0])
    photo_with(tmp_path, ultra_hdr(base, jpeg(gain, xmp=GAIN_XMP)))
    for model in ("fsrcnn", "bicubic"):
        done = sr("upscale", "a.jpg", "-m", model, "-x2", "-o", f"{model}.jpg")
        assert done.returncode == 0
    by_network, plain = (read_back(tmp_path / f"{m}.jpg") for m in ("fsrcnn", "bicubic"))
    assert by_network.indexed[1] == plain.indexed[1]
    assert np.any(np.asarray(by_network.base) != np.asarray(plain.base))


@pytest.mark.parametrize("suffix", ["png", "webp", "tif", "avif", "bmp", "gif"])
def test_other_formats_drop_the_promise_and_say_so(sr: Run, tmp_path: Path, suffix: str) -> None:
    data = ultra_hdr(
        scene(),
        jpeg(gain_of(scene()), xmp=GAIN_XMP),
        video=VIDEO,
        attributes='GCamera:MotionPhoto="1"',
    )
    photo_with(tmp_path, data)
    done = sr(*BICUBIC, "a.jpg", "-f", suffix, "--json")
    assert done.returncode == 0
    name = {"tif": "TIFF"}.get(suffix, suffix.upper())
    for part in ("HDR gain map", "motion photo"):
        said = {"kind": "metadata-dropped", "block": part, "format": name}
        assert done.notes.count(said) == 1
    assert {n["kind"] for n in done.notes} <= {"metadata-dropped", "reduced-to-palette"}
    assert says_nothing((tmp_path / f"a_x2.{suffix}").read_bytes())


def test_strip_drops_map_and_video_without_a_word(sr: Run, tmp_path: Path) -> None:
    gain = jpeg(gain_of(scene()), xmp=GAIN_XMP, segments=segment(0xE2, ISO_METADATA))
    photo_with(
        tmp_path, ultra_hdr(scene(), gain, video=VIDEO, segments=segment(0xE2, ISO_VERSIONS))
    )
    done = sr(*BICUBIC, "a.jpg", "--strip", "--json")
    assert (done.returncode, done.notes) == (0, [])
    made = (tmp_path / "a_x2.jpg").read_bytes()
    assert says_nothing(made)
    assert ISO_SEGMENT not in made
    assert made.count(b"\xff\xd8\xff") == 1
    assert made.endswith(b"\xff\xd9")


def test_comparison_promises_nothing(sr: Run, tmp_path: Path) -> None:
    photo_with(tmp_path, ultra_hdr(scene(), jpeg(gain_of(scene()), xmp=GAIN_XMP), video=VIDEO))
    done = sr(*BICUBIC, "a.jpg", "--compare", "--json")
    assert (done.returncode, done.notes) == (0, [])
    assert read_back(tmp_path / "a_x2.jpg").parts["MotionPhoto"] == VIDEO
    sheet = read_back(tmp_path / "a_x2_compare.jpg")
    assert (sheet.parts, sheet.indexed) == ({}, [])
    assert says_nothing(sheet.xmp)


def wrong_length(gain: bytes) -> bytes:
    """The directory has a wrong length, and the index is true."""
    xmp = packet('hdrgm:Version="1.0"', directory(item("GainMap", len(gain) + 77)))
    return with_index([jpeg(scene(), xmp=xmp), gain], [0x030000, 0])


def broken_index(gain: bytes) -> bytes:
    """The index points outside of the file, and the directory is true."""
    whole = ultra_hdr(scene(), gain)
    place = whole.index(b"MPF\0") + 4 + 50 + 16
    return whole[: place + 8] + b"\xff\xff\xff\x7f" + whole[place + 12 :]


def no_index(gain: bytes) -> bytes:
    """There is a directory alone."""
    xmp = packet('hdrgm:Version="1.0"', directory(item("GainMap", len(gain))))
    return jpeg(scene(), xmp=xmp) + gain


def cut_index(gain: bytes) -> bytes:
    """The segment of the index ends within its directory."""
    xmp = packet('hdrgm:Version="1.0"', directory(item("GainMap", len(gain))))
    index = segment(0xE2, b"MPF\0II*\0\x08\0\0\0\x03\0\0\xb0")
    return jpeg(scene(), xmp=xmp, segments=index) + gain


def no_directory(gain: bytes) -> bytes:
    """There is an index alone."""
    return with_index([jpeg(scene()), gain], [0x030000, 0], ">")


@pytest.mark.parametrize("compose", [wrong_length, broken_index, no_index, cut_index, no_directory])
def test_map_is_found_by_what_is_true_and_written_true(
    sr: Run, tmp_path: Path, compose: Any
) -> None:
    photo_with(tmp_path, compose(jpeg(gain_of(scene()), xmp=GAIN_XMP)))
    done = sr(*BICUBIC, "a.jpg", "--json")
    assert (done.returncode, done.notes) == (0, [])
    found = read_back(tmp_path / "a_x2.jpg")
    assert found.parts == {"GainMap": found.indexed[1]}
    assert property_of(found.xmp, HDRGM, "Version") == "1.0"
    assert decoded(found.indexed[1]).shape == (48, 64)


def bad_maps() -> dict[str, bytes]:
    good = jpeg(gain_of(scene()), xmp=GAIN_XMP)
    ink = io.BytesIO()
    Image.new("CMYK", (32, 24)).save(ink, "JPEG", xmp=GAIN_XMP)
    no_frame = bytearray(good)
    # A lossless frame (SOF3), which no usual decoder reads.
    no_frame[good.index(b"\xff\xc0") + 1] = 0xC3
    return {
        "cut": good[: len(good) // 2],
        "gone": b"",
        "text": b"not an image, but as long as one" * 20,
        "ink": ink.getvalue(),
        "larger": jpeg(np.zeros((97, 128), np.uint8), xmp=GAIN_XMP),
        "lossless": bytes(no_frame),
        "plain": jpeg(gain_of(scene())),
    }


@pytest.mark.parametrize("kind", bad_maps())
def test_bad_map_is_dropped_with_its_promise(sr: Run, tmp_path: Path, kind: str) -> None:
    photo_with(tmp_path, ultra_hdr(scene(), bad_maps()[kind]))
    done = sr(*BICUBIC, "a.jpg", "--json")
    assert done.returncode == 0
    assert done.notes.count({"kind": "part-unreadable", "part": "HDR gain map"}) == 1
    found = read_back(tmp_path / "a_x2.jpg")
    assert (found.indexed, found.base.size) == ([], (256, 192))
    assert says_nothing(found.xmp)
    assert property_of(found.xmp, "http://ns.adobe.com/xap/1.0/", "Label") == "red"


def test_map_of_an_iphone_stays_one(sr: Run, tmp_path: Path) -> None:
    gain = jpeg(gain_of(scene()), xmp=APPLE_XMP)
    photo_with(tmp_path, with_index([jpeg(scene()), gain], [0x030000, 0], ">"))
    done = sr(*BICUBIC, "a.jpg", "--json")
    assert (done.returncode, done.notes) == (0, [])
    found = read_back(tmp_path / "a_x2.jpg")
    assert XMP_SEGMENT + APPLE_XMP in segments_of(found.indexed[1])
    assert decoded(found.indexed[1]).shape == (48, 64)
    assert says_nothing(found.xmp)  # It promises no map of another kind.


def test_map_by_iso_alone_stays_so(sr: Run, tmp_path: Path) -> None:
    gain = jpeg(gain_of(scene()), segments=segment(0xE2, ISO_METADATA))
    base = jpeg(scene(), segments=segment(0xE2, ISO_VERSIONS))
    photo_with(tmp_path, with_index([base, gain], [0x030000, 0]))
    assert sr(*BICUBIC, "a.jpg").returncode == 0
    found = read_back(tmp_path / "a_x2.jpg")
    assert ISO_METADATA in segments_of(found.indexed[1])
    assert ISO_VERSIONS in segments_of(found.indexed[0])
    assert says_nothing(found.xmp)


@pytest.mark.parametrize(
    ("kind", "notes"),
    [
        (0x020002, [{"kind": "images-dropped", "count": 2, "kinds": ["stereo"]}]),
        (0x020003, [{"kind": "images-dropped", "count": 2, "kinds": ["multi-angle"]}]),
        (0x020001, [{"kind": "images-dropped", "count": 2, "kinds": ["panorama"]}]),
        (0x010002, []),  # Previews are thumbnails of the old image.
    ],
)
def test_further_images_are_dropped_and_said(
    sr: Run, tmp_path: Path, kind: int, notes: list[dict[str, Any]]
) -> None:
    other = jpeg(scene(48, 64))
    data = with_index([jpeg(scene()), other, other], [0x030000, kind, kind])
    photo_with(tmp_path, data, "a.mpo")
    done = sr(*BICUBIC, "a.mpo", "--json")
    assert (done.returncode, done.notes) == (0, notes)
    found = read_back(tmp_path / "a_x2.mpo")
    assert (found.base.format, found.indexed, found.base.size) == ("JPEG", [], (256, 192))


def test_further_images_of_heic_are_said(sr: Run, tmp_path: Path) -> None:
    heif = pytest.importorskip("pillow_heif", reason="the extra sr-cli[heif] is not installed")
    file = heif.from_pillow(Image.fromarray(scene()))
    file.add_from_pillow(Image.fromarray(scene(48, 64)))
    file.save(tmp_path / "a.heic", quality=95)
    done = sr(*BICUBIC, "a.heic", "--json")
    assert done.notes == [{"kind": "images-dropped", "count": 1, "kinds": ["other"]}]


def test_data_after_the_image_is_said_but_padding_is_not(sr: Run, tmp_path: Path) -> None:
    photo_with(tmp_path, jpeg(scene()) + bytes(400), "padded.jpg")
    photo_with(tmp_path, jpeg(scene()) + b"a maker's own data", "data.jpg")
    depth = item("Depth", 18, "image/jpeg")
    photo_with(tmp_path, jpeg(scene(), xmp=packet("", directory(depth))) + jpeg(scene()), "d.jpg")
    assert sr(*BICUBIC, "padded.jpg", "--json").notes == []
    assert sr(*BICUBIC, "data.jpg", "--json").notes == [{"kind": "data-dropped", "bytes": 18}]
    done = sr(*BICUBIC, "d.jpg", "--json")
    assert done.notes == [{"kind": "images-dropped", "count": 1, "kinds": ["Depth"]}]
    assert says_nothing(read_back(tmp_path / "d_x2.jpg").xmp)


def test_gain_map_of_avif_is_said(sr: Run, tmp_path: Path) -> None:
    path = tmp_path / "a.avif"
    Image.fromarray(scene()).save(path, exif=orientation(1))
    plain = path.read_bytes()
    assert not has_gain_map(plain)
    assert sr(*BICUBIC, "a.avif", "--json").notes == []
    # The entry of another item becomes one of a derived image with a gain map.
    entry = plain.index(b"Exif", plain.index(b"infe"))
    path.write_bytes(plain[:entry] + b"tmap" + plain[entry + 4 :])
    done = sr(*BICUBIC, "a.avif", "-o", "b.avif", "--json")
    said = {"kind": "part-unsupported", "part": "HDR gain map", "format": "AVIF"}
    assert (done.returncode, done.notes) == (0, [said])


def test_gain_maps_in_boxes() -> None:
    def file(*inner: bytes) -> bytes:
        return box(b"ftyp", b"heic\0\0\0\0") + box(b"meta", bytes(4) + b"".join(inner))

    wide = box(b"infe", b"\x03\0\0\0" + bytes(6) + b"tmap\0")
    narrow = box(b"infe", b"\x02\0\0\0" + bytes(4) + b"tmap\0")
    other = box(b"infe", b"\x02\0\0\0" + bytes(4) + b"hvc1\0")
    aux = box(b"auxC", bytes(4) + b"urn:com:apple:photo:2020:aux:hdrgainmap\0")
    assert has_gain_map(file(box(b"iinf", b"\1\0\0\0" + bytes(4) + other + wide)))
    assert has_gain_map(file(box(b"iinf", bytes(6) + other + narrow)))
    assert has_gain_map(file(box(b"iprp", box(b"ipco", aux))))
    assert not has_gain_map(file(box(b"iinf", bytes(6) + other)))
    assert not has_gain_map(b"tmap" + file()[:-2])


def test_damaged_files_are_read_or_refused() -> None:
    gain = jpeg(gain_of(scene()), xmp=GAIN_XMP, segments=segment(0xE2, ISO_METADATA))
    whole = ultra_hdr(scene(), gain, video=VIDEO, attributes='GCamera:MotionPhoto="1"')
    random_ = random.Random(5)
    outcomes = set()
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(random_.choice((1, 4, 60))):
            data[random_.randrange(2, len(data))] = random_.randrange(256)
        del data[random_.choice((len(data), random_.randrange(len(data)))) :]
        try:
            picture = read_picture(bytes(data))
        except SrError:
            outcomes.add("refused")
            continue
        outcomes.add("with map" if picture.gain_map else "without")
        # Whatever is lost is said.
        assert picture.gain_map or picture.notes
    assert outcomes == {"refused", "with map", "without"}
