"""Orientation, transparency and depth of frames, and which features a picture has."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.images import smooth
from PIL import Image, ImageOps

from sr_cli.imaging.conversion import (
    drop_features,
    opaque_8_bit,
    orient_frame,
    orient_pixels,
    unpremultiply,
)
from sr_cli.imaging.formats import COLOUR_FEATURES, Feature
from sr_cli.imaging.picture import Frame, Picture


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientations_are_those_of_pillow(orientation: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    image.getexif()[0x0112] = orientation
    wanted = np.asarray(ImageOps.exif_transpose(image))
    assert np.array_equal(orient_pixels(pixels, orientation), wanted)
    assert orient_pixels(pixels, orientation).flags.c_contiguous
    frame = Frame(pixels, pixels[..., 0])
    orient_frame(frame, orientation)
    assert np.array_equal(frame.pixels, wanted) and np.array_equal(frame.alpha, wanted[..., 0])
    assert (frame.height, frame.width) == wanted.shape[:2]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("height", [1, 64, 65, 200])
def test_transparency_is_composited_over_white(channels: int, height: int) -> None:
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (height, 5, 3), dtype=np.uint8)
    pixels = pixels[..., 0] if channels == 1 else pixels
    alpha = random.integers(0, 256, (height, 5), dtype=np.uint8)
    share = alpha / 255 if channels == 1 else alpha[..., None] / 255
    wanted = pixels * share + 255 * (1 - share)
    made = opaque_8_bit(Frame(pixels, alpha))
    assert made.shape == pixels.shape and made.dtype == np.uint8
    assert np.abs(made - wanted).max() <= 0.501
    assert (opaque_8_bit(Frame(pixels, np.full_like(alpha, 255))) == pixels).all()
    assert (opaque_8_bit(Frame(pixels, np.zeros_like(alpha))) == 255).all()


def test_16_bits_are_rounded_to_8() -> None:
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    made = opaque_8_bit(Frame(values))
    assert np.array_equal(made, np.floor(values / 257 + 0.5).astype(np.uint8))
    white = opaque_8_bit(Frame(values, np.zeros_like(values)))
    assert (white == 255).all()


def test_8_bit_frames_without_alpha_are_left_alone() -> None:
    pixels = smooth(4, 4)
    assert opaque_8_bit(Frame(pixels)) is pixels


def picture(dtype: type, frames: int = 3, *, alpha: bool = True, animation: bool = True) -> Picture:
    made = []
    for number in range(frames):
        plane = np.full((4, 4), 50 * (number + 1), dtype)
        made.append(Frame(plane, plane if alpha else None, 10.0 * number))
    return Picture(made, "PNG", animation=animation)


@pytest.mark.parametrize(
    ("made", "features"),
    [
        (picture(np.uint8, 1, alpha=False), set()),
        (picture(np.uint16, 1, alpha=False), {Feature.SIXTEEN_BIT}),
        (picture(np.uint8, 1), {Feature.ALPHA}),
        (picture(np.uint8, 2, alpha=False), {Feature.ANIMATION}),
        (picture(np.uint8, 2, alpha=False, animation=False), {Feature.PAGES}),
        (picture(np.uint16, 2, alpha=False, animation=False), {Feature.PAGES, Feature.SIXTEEN_BIT}),
        (
            picture(np.uint16, 2),
            set(Feature) - {Feature.PAGES, Feature.WIDE, Feature.BANDS} - COLOUR_FEATURES,
        ),
        (picture(np.float32, 1, alpha=False), {Feature.WIDE}),
    ],
)
def test_features_of_pictures(made: Picture, features: set[Feature]) -> None:
    assert made.features == features
    wanted = made.requirements(8, 9)
    assert (wanted.width, wanted.height, wanted.features) == (8, 9, features)


def test_one_frame_with_a_feature_is_enough() -> None:
    plain, clear = Frame(smooth(4, 4)), Frame(smooth(6, 3), np.zeros((6, 3), np.uint8))
    both = Picture([plain, clear], "TIFF")
    assert both.features == {Feature.ALPHA, Feature.PAGES}
    assert (both.width, both.height) == (4, 4)


def test_only_the_features_named_are_dropped() -> None:
    whole = picture(np.uint16)
    nothing = drop_features(whole, [])
    assert nothing.features == whole.features and nothing.animation
    shallow = drop_features(whole, [Feature.SIXTEEN_BIT])
    assert shallow.features == {Feature.ALPHA, Feature.ANIMATION}
    assert shallow.frames[0].alpha is not None and shallow.frames[0].alpha.dtype == np.uint8
    assert [f.duration for f in shallow.frames] == [0.0, 10.0, 20.0]
    assert drop_features(whole, [Feature.SIXTEEN_BIT_ANIMATION]).features == shallow.features
    opaque = drop_features(whole, [Feature.ALPHA])
    assert Feature.ALPHA not in opaque.features and Feature.SIXTEEN_BIT in opaque.features
    for feature in (Feature.ANIMATION, Feature.PAGES):
        still = drop_features(whole, [feature, Feature.SIXTEEN_BIT_ANIMATION])
        assert still.features == {Feature.ALPHA, Feature.SIXTEEN_BIT}
        assert not still.animation and (still.frames[0].pixels == 50).all()
    assert len(whole.frames) == 3 and whole.frames[0].alpha is not None


def test_straight_colour_comes_back_from_premultiplied() -> None:
    random = np.random.default_rng(0)
    colour = random.integers(0, 65536, (20, 20, 3)).astype(np.uint16)
    alpha = random.integers(20_000, 65536, (20, 20)).astype(np.uint16)
    multiplied = np.round(colour * (alpha[..., None] / 65535)).astype(np.uint16)
    made = unpremultiply(multiplied, alpha)
    assert np.abs(made.astype(int) - colour).max() <= 4
    exact = multiplied.astype(float) * 65535 / alpha[..., None]
    assert np.abs((made - exact)[made < 65535]).max() < 0.51
    assert np.array_equal(unpremultiply(multiplied[..., 0], alpha), made[..., 0])
    nearly_clear = np.ones((1, 1), np.uint16)
    assert unpremultiply(nearly_clear, nearly_clear)[0, 0] == 65535
    assert (unpremultiply(multiplied, np.zeros_like(alpha)) == 65535)[multiplied > 0].all()
    zero = np.zeros((2, 2), np.uint16)
    assert (unpremultiply(zero, zero) == 0).all()
