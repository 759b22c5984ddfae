"""What formats are said to hold: names, limits, features, and what is advised where one fails."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from helpers import REPOSITORY
from helpers.images import smooth
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sr_cli.cli.messages import advice, sentence
from sr_cli.errors import SrError
from sr_cli.imaging.decode import read_picture
from sr_cli.imaging.encode import write_picture
from sr_cli.imaging.formats import (
    FORMATS,
    Encoding,
    Feature,
    Format,
    Requirements,
    check_supported,
    estimated_bytes,
    fits,
    format_by_option,
    format_of_name,
    sniff_format,
    unsupported_features,
    writable_names,
)
from sr_cli.imaging.picture import Frame, Picture

WRITABLE = [f for f in FORMATS.values() if f.writable and not f.only_from_itself]


@pytest.mark.parametrize("name", list(FORMATS))
def test_every_suffix_names_its_format_in_any_case(name: str) -> None:
    for suffix in FORMATS[name].suffixes:
        assert format_of_name(f"a.b{suffix.upper()}") is FORMATS[name]
        assert format_by_option(suffix) is format_by_option(suffix[1:].upper()) is FORMATS[name]


def test_other_suffixes_name_none() -> None:
    assert format_of_name("jpg") is None and format_of_name("a.txt") is None
    assert format_by_option("docx") is None and format_by_option("") is None


def test_formats_that_can_be_asked_for() -> None:
    assert writable_names() == ["jpg", "png", "webp", "tif", "bmp", "gif", "avif", "jxl", "dcm"]


@pytest.mark.parametrize("target", WRITABLE, ids=lambda f: f.name)
def test_what_is_written_is_recognised_by_its_content(target: Format) -> None:
    file = io.BytesIO()
    write_picture(Picture([Frame(smooth(8, 8))], "PNG"), file, target, Encoding())
    assert sniff_format(file.getvalue()[:32]) is target


@pytest.mark.parametrize(
    ("start", "name"),
    [
        (b"MM\0*....", "TIFF"), (b"II+\0....", "TIFF"), (b"MM\0+....", "TIFF"),
        (b"GIF87a..", "GIF"), (b"\0\0\0\x18ftypheic", "HEIF"), (b"\0\0\0\x18ftypmif1", "HEIF"),
        (b"\0\0\0\x20ftypavis", "AVIF"), (b"\0\0\0\x20ftypavif", "AVIF"),
        (b"II*\0" + bytes(124) + b"DICM", "DICOM"),
    ],
)  # fmt: skip
def test_kinds_that_are_never_written_are_recognised(start: bytes, name: str) -> None:
    assert sniff_format(start) is FORMATS[name]


@pytest.mark.parametrize("start", [b"", b"RIFF....WAVE", b"....WEBP", b"hello", b"\xff\xd8"])
def test_other_content_is_not_recognised(start: bytes) -> None:
    assert sniff_format(start) is None


@pytest.mark.parametrize(
    ("target", "feature"),
    [
        (f, feature)
        for f in WRITABLE
        for feature in (Feature.ALPHA, Feature.SIXTEEN_BIT)
        if feature in f.features
    ],
    ids=lambda v: v.name,
)
def test_declared_features_survive_being_written(target: Format, feature: Feature) -> None:
    dtype = np.uint16 if feature is Feature.SIXTEEN_BIT else np.uint8
    pixels = smooth(16, 16).astype(dtype) * (257 if dtype == np.uint16 else 1)
    alpha = None
    if feature is Feature.ALPHA:
        alpha = np.zeros((16, 16), np.uint8)
        alpha[:, 8:] = 255
    file = io.BytesIO()
    picture = Picture([Frame(pixels, alpha)], "PNG")
    assert picture.features == {feature}
    write_picture(picture, file, target, Encoding())
    made = read_picture(file.getvalue())
    assert made.features == {feature} and made.format == target.name


@pytest.mark.parametrize(
    ("name", "side"),
    [("JPEG", 65_500), ("WEBP", 16_383), ("GIF", 65_535), ("AVIF", 65_535), ("HEIF", 16_384)],
)
def test_longest_sides(name: str, side: int) -> None:
    assert fits(FORMATS[name], side, 1) and fits(FORMATS[name], 1, side)
    assert not fits(FORMATS[name], side + 1, 1) and not fits(FORMATS[name], 1, side + 1)


@pytest.mark.parametrize(("name", "side"), [("JPEG", 65_500), ("WEBP", 16_383), ("GIF", 65_535)])
def test_the_libraries_have_those_limits_too(name: str, side: int) -> None:
    Image.new("L", (side, 1)).save(io.BytesIO(), name)
    with pytest.raises((OSError, ValueError, OverflowError, SystemError, struct.error)):
        Image.new("L", (side + 1, 1)).save(io.BytesIO(), name)


def test_avif_is_limited_in_all_as_well() -> None:
    assert fits(FORMATS["AVIF"], 16_384, 16_384)
    assert not fits(FORMATS["AVIF"], 16_384, 16_385)
    assert fits(FORMATS["PNG"], 2**31 - 1, 2**31 - 1)


@given(st.sets(st.sampled_from(list(Feature))), st.sampled_from(WRITABLE))
def test_what_is_unsupported_is_what_was_asked_for_and_is_not_there(
    features: set[Feature], target: Format
) -> None:
    missing = unsupported_features(target, features)
    assert set(missing) <= features - target.features
    halves = {Feature.SIXTEEN_BIT, Feature.ANIMATION}
    assert set(missing) | {Feature.SIXTEEN_BIT_ANIMATION} >= features - target.features
    if Feature.SIXTEEN_BIT_ANIMATION in features:
        assert (Feature.SIXTEEN_BIT_ANIMATION in missing) == (not halves & set(missing))
    assert missing == sorted(missing, key=list(Feature).index)


def refusal(name: str, wanted: Requirements, *, can_drop: bool = False) -> SrError:
    with pytest.raises(SrError) as caught:
        check_supported(FORMATS[name], wanted, can_drop=can_drop)
    return caught.value


def test_what_a_format_supports_passes() -> None:
    check_supported(
        FORMATS["PNG"], Requirements(9, 9, frozenset({Feature.ALPHA, Feature.SIXTEEN_BIT})),
        can_drop=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "features", "can_drop", "hint", "formats"),
    [
        (
            "JPEG",
            {Feature.ALPHA},
            True,
            "either",
            ["png", "webp", "tiff", "bmp", "gif", "avif", "jxl"],
        ),
        (
            "JPEG",
            {Feature.ALPHA},
            False,
            "other-format",
            ["png", "webp", "tiff", "bmp", "gif", "avif", "jxl"],
        ),
        ("PNG", {Feature.SIXTEEN_BIT_ANIMATION}, True, "drop", []),
        ("PNG", {Feature.SIXTEEN_BIT_ANIMATION}, False, None, []),
        ("GIF", {Feature.PAGES, Feature.SIXTEEN_BIT}, False, "other-format", ["tiff"]),
    ],
)
def test_advice_names_what_helps(
    name: str, features: set[Feature], can_drop: bool, hint: str | None, formats: list[str]
) -> None:
    error = refusal(name, Requirements(10, 10, frozenset(features)), can_drop=can_drop)
    assert (error.code, error.hint) == ("unsupported-by-format", hint)
    assert error.facts["formats"] == formats
    assert error.facts["format"] == name
    assert error.facts["features"] == [f.value for f in Feature if f in features]
    said = advice(error) or ""
    assert ("--flatten" in said) == (hint in ("drop", "either"))
    assert all(f in said for f in formats)


def test_features_have_words_in_messages() -> None:
    error = refusal("JPEG", Requirements(1, 1, frozenset(Feature)))
    for feature in (Feature.SIXTEEN_BIT, Feature.ALPHA, Feature.ANIMATION, Feature.PAGES):
        assert feature.value in error.facts["features"]
    assert "further bands or transparency or animations or several pages" in sentence(error)


def test_a_result_too_large_names_limits_and_formats() -> None:
    error = refusal("AVIF", Requirements(20_000, 20_000))
    assert error.code == "too-large-for-format" and error.hint == "other-format"
    assert error.facts == {
        "width": 20_000, "height": 20_000, "format": "AVIF", "max_side": 65_535,
        "max_pixels": 16_384**2, "formats": ["jpeg", "png", "tiff", "bmp", "gif", "jxl"],
    }  # fmt: skip
    error = refusal("JPEG", Requirements(70_000, 1, frozenset({Feature.ANIMATION})))
    assert error.facts["formats"] == ["png"] and error.facts["max_pixels"] == 65_500**2
    assert refusal("PNG", Requirements(2**31, 1)).hint is None


def test_room_on_disk_counts_samples_and_frames() -> None:
    plain = Requirements(100, 50)
    assert estimated_bytes(FORMATS["BMP"], plain, 1) == 100 * 50 * 3
    alpha = Requirements(100, 50, frozenset({Feature.ALPHA}))
    assert estimated_bytes(FORMATS["BMP"], alpha, 3) == 100 * 50 * 4 * 3
    deep = Requirements(100, 50, frozenset({Feature.SIXTEEN_BIT}))
    assert estimated_bytes(FORMATS["TIFF"], deep, 1) == 100 * 50 * 3


@pytest.mark.parametrize("target", WRITABLE, ids=lambda f: f.name)
def test_estimates_are_of_the_right_order(target: Format) -> None:
    photo = np.asarray(Image.open(REPOSITORY / "examples" / "photo.jpg").convert("RGB"))
    h, w = photo.shape[:2]
    file = io.BytesIO()
    write_picture(Picture([Frame(photo.copy())], "PNG"), file, target, Encoding())
    expected = estimated_bytes(target, Requirements(w, h), 1)
    assert expected / 6 < len(file.getvalue()) < expected * 8


@pytest.mark.parametrize("target", WRITABLE, ids=lambda f: f.name)
def test_which_formats_can_be_lossless(target: Format) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    file = io.BytesIO()
    write_picture(Picture([Frame(pixels.copy())], "PNG"), file, target, Encoding(None, True))
    same = np.array_equal(read_picture(file.getvalue()).frames[0].pixels, pixels)
    assert same == target.can_be_lossless
