"""Conversion of frames: crop, orientation, transparency, depth, dropped features."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sr_cli.errors import Note, SrError
from sr_cli.imaging.formats import Feature
from sr_cli.imaging.picture import Band, Frame, Picture
from sr_cli.imaging.values import (
    Span,
    find_missing,
    find_span,
    flatten_values,
    is_wide,
    join_spans,
)

_ROWS = 64


def drop_features(
    picture: Picture, features: Collection[Feature], *, deep: bool = False
) -> Picture:
    """A copy of a picture without some features.

    Args:
        picture: Its frames are not changed.
        features: What to drop. Animations and pages are reduced to the first frame, transparency
            is composited over white, 16 bits are rounded to 8. The range of wide samples is
            mapped to all of 8 or 16 bits, and bands are left out, each with a note.
        deep: Whether wide samples become 16 bits, not 8.
    """
    one = Feature.ANIMATION in features or Feature.PAGES in features
    to_8_bit = Feature.SIXTEEN_BIT in features or (
        Feature.SIXTEEN_BIT_ANIMATION in features and not one
    )
    frames = picture.frames[:1] if one else picture.frames
    notes = picture.notes
    if Feature.BANDS in features:
        count = sum(len(frame.bands) for frame in picture.frames)
        notes = [*notes, Note("bands-dropped", {"count": count})]
        frames = [replace(frame, bands=[]) for frame in frames]
    # They may all be on pages that are dropped.
    wide = [frame for frame in frames if is_wide(frame.pixels.dtype)]
    if Feature.WIDE in features and wide:
        dtype = np.dtype(np.uint16 if deep else np.uint8)
        span = join_spans([span_of(frame) for frame in wide])
        frames = [narrow(f, span, dtype) if is_wide(f.pixels.dtype) else f for f in frames]
        facts = {"low": span.low, "high": span.high, "top": int(np.iinfo(dtype).max)}
        notes = [*notes, Note("values-narrowed", facts)]
    frames = [
        _drop_from_frame(frame, opaque=Feature.ALPHA in features, to_8_bit=to_8_bit)
        for frame in frames
    ]
    return replace(picture, frames=frames, animation=picture.animation and not one, notes=notes)


def opaque_8_bit(frame: Frame, span: Span | None = None) -> NDArray[np.uint8]:
    """Convert a frame to 8 bits, composited over white.

    Args:
        frame: It is not changed; its bands are ignored.
        span: The range of wide samples that becomes 0 to 255; None to refuse them.

    Returns:
        (h, w) or (h, w, 3).

    Raises:
        SrError: `unsupported-samples`, without a subject.
    """
    if is_wide(frame.pixels.dtype):
        if span is None:
            raise SrError("unsupported-samples", samples=frame.pixels.dtype.name)
        return narrow(frame, span, np.dtype(np.uint8)).pixels
    return _drop_from_frame(frame, opaque=True, to_8_bit=True).pixels


def span_of(frame: Frame) -> Span:
    """The range of a frame of wide samples; 0 to 1 if no pixel has a value."""
    missing = find_missing(frame.pixels, frame.nodata)
    if missing is not None and missing.all():
        return Span(0, 1)
    return find_span(frame.pixels, missing)


def narrow(frame: Frame, span: Span, dtype: np.dtype[Any]) -> Frame:
    """Map the range of a frame and its bands to all of uint8 or uint16."""

    def flat(pixels: NDArray[Any]) -> NDArray[Any]:
        missing = find_missing(pixels, frame.nodata)
        return flatten_values(pixels, span, missing, dtype)

    bands = [Band(flat(band.pixels), band.kind) for band in frame.bands]
    return Frame(flat(frame.pixels), None, frame.duration, bands)


def crop_frame(frame: Frame, left: int, top: int, right: int, bottom: int) -> None:
    """Keep a part of a frame's pixels and alpha."""
    frame.pixels = np.ascontiguousarray(frame.pixels[top:bottom, left:right])
    if frame.alpha is not None:
        frame.alpha = np.ascontiguousarray(frame.alpha[top:bottom, left:right])


def orient_frame(frame: Frame, orientation: int) -> None:
    """Apply an EXIF orientation (1 to 8) to a frame's pixels and alpha."""
    frame.pixels = orient_pixels(frame.pixels, orientation)
    frame.alpha = None if frame.alpha is None else orient_pixels(frame.alpha, orientation)
    for band in frame.bands:
        band.pixels = orient_pixels(band.pixels, orientation)


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
    return replace(frame, pixels=pixels, alpha=alpha)


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
