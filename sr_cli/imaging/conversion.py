"""Conversion of frames: orientation, transparency, depth, dropped features."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sr_cli.imaging.formats import Feature
from sr_cli.imaging.picture import Frame, Picture

_ROWS = 64


def drop_features(picture: Picture, features: Collection[Feature]) -> Picture:
    """A copy of a picture without some features.

    Args:
        picture: Its frames are not changed.
        features: What to drop. Animations and pages are reduced to the first frame, transparency
            is composited over white, 16 bits are rounded to 8.
    """
    one = Feature.ANIMATION in features or Feature.PAGES in features
    to_8_bit = Feature.SIXTEEN_BIT in features or (
        Feature.SIXTEEN_BIT_ANIMATION in features and not one
    )
    frames = [
        _drop_from_frame(frame, opaque=Feature.ALPHA in features, to_8_bit=to_8_bit)
        for frame in (picture.frames[:1] if one else picture.frames)
    ]
    return replace(picture, frames=frames, animation=picture.animation and not one)


def opaque_8_bit(frame: Frame) -> NDArray[np.uint8]:
    """The pixels of a frame, (h, w) or (h, w, 3) uint8, composited over white."""
    return _drop_from_frame(frame, opaque=True, to_8_bit=True).pixels


def orient_frame(frame: Frame, orientation: int) -> None:
    """Apply an EXIF orientation (1 to 8) to a frame's pixels and alpha."""
    frame.pixels = orient_pixels(frame.pixels, orientation)
    frame.alpha = None if frame.alpha is None else orient_pixels(frame.alpha, orientation)


def orient_pixels(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Apply an EXIF orientation (1 to 8) to (h, w) or (h, w, C)."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


def unpremultiply(colour: NDArray[Any], alpha: NDArray[Any]) -> NDArray[Any]:
    """Divide premultiplied colour by alpha.

    Args:
        colour: (h, w) or (h, w, 3), uint8 or uint16.
        alpha: (h, w), of the same type.

    Returns:
        Straight colour, of the shape and type of `colour`.
    """
    top = np.iinfo(colour.dtype).max
    share = np.maximum(alpha, 1).astype(np.float32) / top
    share = share[..., None] if colour.ndim == 3 else share
    straight: NDArray[Any] = np.minimum(colour / share + 0.5, top).astype(colour.dtype)
    return straight


def _drop_from_frame(frame: Frame, *, opaque: bool, to_8_bit: bool) -> Frame:
    pixels, alpha = frame.pixels, frame.alpha
    if opaque and alpha is not None:
        pixels, alpha = apply_by_rows(_composite_over_white, pixels, alpha), None
    if to_8_bit and pixels.dtype == np.uint16:
        pixels = apply_by_rows(_to_8_bit, pixels)
        alpha = None if alpha is None else apply_by_rows(_to_8_bit, alpha)
    return Frame(pixels, alpha, frame.duration)


def apply_by_rows(change: Callable[..., NDArray[Any]], *planes: NDArray[Any]) -> NDArray[Any]:
    """Apply `change` to a few rows at a time, so that temporary arrays stay small."""
    first = change(*(plane[:_ROWS] for plane in planes))
    whole = np.empty((len(planes[0]), *first.shape[1:]), first.dtype)
    whole[:_ROWS] = first
    for y in range(_ROWS, len(whole), _ROWS):
        whole[y : y + _ROWS] = change(*(plane[y : y + _ROWS] for plane in planes))
    return whole


def _composite_over_white(pixels: NDArray[Any], alpha: NDArray[Any]) -> NDArray[Any]:
    top = np.iinfo(pixels.dtype).max
    share = alpha.astype(np.float32) / top
    share = share[..., None] if pixels.ndim == 3 else share
    over = pixels * share + top * (1 - share)
    flat: NDArray[Any] = (over + 0.5).astype(pixels.dtype)
    return flat


def _to_8_bit(values: NDArray[Any]) -> NDArray[Any]:
    return ((values.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
