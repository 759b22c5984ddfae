"""Upscaling of pictures: all frames, with alpha, bands, and values of any range."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sr_cli.engine.pipeline import BicubicPipeline, OnShare, Pipeline
from sr_cli.engine.size import MAX_FACTOR, Size
from sr_cli.errors import Note, SrError
from sr_cli.imaging.consistency import Deviation, find_deviation, join_deviations
from sr_cli.imaging.picture import Band, Frame, Picture
from sr_cli.imaging.values import (
    Span,
    find_missing,
    find_span,
    is_wide,
    join_spans,
    restore_missing,
)

_BAND = 256
_PIECE = 1 << 20
_WHITE = 65535


def upscale_picture(
    picture: Picture,
    pipeline: Pipeline,
    size: Size,
    on_share: OnShare | None = None,
    *,
    verify: bool = False,
) -> Picture:
    """Upscale all frames of a picture; metadata is kept unchanged.

    Frames that would not become larger are resized with bicubic alone, unless the pipeline
    restores. A gain map is always resized with bicubic, in the proportion of the first frame.

    Args:
        picture: It is not changed.
        pipeline: What upscales the frames.
        size: The size of the result.
        on_share: Called with the share that is done, 0 to 1.
        verify: Measure how far the result, reduced again, is from the picture: gray or colour
            where it is visible, and bands. Frames that did not become larger are left out.
    """
    frames = []
    deviations: list[Deviation] | None = [] if verify else None
    count = len(picture.frames)
    measured = picture.has_any_range
    for index, frame in enumerate(picture.frames):

        def report(share: float, done: int = index) -> None:
            if on_share is not None:
                on_share((done + share) / count)

        width, height = size.of(frame.width, frame.height)
        shrinks = only_shrinks(frame, pipeline, size)
        chosen = BicubicPipeline(pipeline.wrap) if shrinks else pipeline
        grows = width > frame.width or height > frame.height
        compared = deviations if grows else None
        frames.append(_upscale_frame(frame, chosen, (height, width), report, measured, compared))
    notes = [*picture.notes, *_notes_on_values(picture, measured)]
    is_deep = any(frame.pixels.dtype != np.uint8 for frame in picture.frames)
    if is_deep and any(upscaler.eight_bit for upscaler in pipeline.upscalers):
        notes.append(Note("rounded-to-8-bit"))
    found = join_deviations(deviations) if deviations is not None else None
    result = replace(picture, frames=frames, notes=notes, deviation=found)
    if picture.gain_map is not None:
        # Networks are not made for gains.
        bicubic = BicubicPipeline(pipeline.wrap)
        resized = _resize_gain_map(picture.gain_map.frame, bicubic, picture.frames[0], frames[0])
        result.gain_map = replace(picture.gain_map, frame=resized)
    return result


def _resize_gain_map(gain_map: Frame, bicubic: Pipeline, base: Frame, made: Frame) -> Frame:
    """Resize a gain map as much as the image that it covers."""
    height = max(1, round(gain_map.height * made.height / base.height))
    width = max(1, round(gain_map.width * made.width / base.width))
    return Frame(bicubic.run(gain_map.pixels, (height, width)))


def maps_values(picture: Picture) -> bool:
    """Whether pixels are mapped to another range, or filled, before a pipeline gets them."""
    measured = picture.has_any_range
    if picture.metadata.dicom is not None:
        # They may become those of a display.
        return True
    for frame in picture.frames:
        missing = find_missing(frame.pixels, frame.nodata)
        if missing is not None or _span(frame.pixels, None, measured) is not None:
            return True
    return False


def colour_of(frame: Frame, *, measured: bool) -> NDArray[Any]:
    """The gray or colour of a frame as a pipeline gets it: filled, and mapped to [0, 1] if needed.

    Args:
        frame: It is not changed.
        measured: Whether 16 bits may be measurements.
    """
    colour = frame.pixels if frame.alpha is None else bleed_colour(frame.pixels, frame.alpha)
    missing = find_missing(colour, frame.nodata)
    if missing is not None and missing.all():
        return np.zeros(colour.shape, np.float32)
    filled = colour if missing is None else bleed_colour(colour, ~missing)
    span = _span(filled, None, measured)
    return filled if span is None else span.to_unit(filled)


def only_shrinks(frame: Frame, pipeline: Pipeline, size: Size) -> bool:
    """Whether a frame does not become larger, so that bicubic alone resizes it."""
    width, height = size.of(frame.width, frame.height)
    return width <= frame.width and height <= frame.height and not pipeline.restores


def _upscale_frame(
    frame: Frame,
    pipeline: Pipeline,
    size: tuple[int, int],
    on_share: OnShare,
    measured: bool,
    deviations: list[Deviation] | None,
) -> Frame:
    # Colour has the largest share; alpha and bands are done one by one.
    steps = 3 + (frame.alpha is not None) + len(frame.bands)
    colour = frame.pixels if frame.alpha is None else bleed_colour(frame.pixels, frame.alpha)

    def upscale(pixels: NDArray[Any], on_share: OnShare | None) -> NDArray[Any]:
        missing = find_missing(pixels, frame.nodata)
        hidden = None if pixels is not colour or frame.alpha is None else frame.alpha == 0
        return _upscale_samples(
            pixels, missing, frame.nodata, pipeline, size, on_share, measured, deviations, hidden
        )

    pixels = upscale(colour, lambda share: on_share(share * 3 / steps))
    alpha = None if frame.alpha is None else _upscale_alpha(frame.alpha, pipeline, size)
    bands: list[Band] = []
    for band in frame.bands:
        on_share((steps - len(frame.bands) + len(bands)) / steps)
        bands.append(Band(upscale(band.pixels, None), band.kind))
    if steps > 3:
        on_share(1.0)
    return replace(frame, pixels=pixels, alpha=alpha, bands=bands)


def _upscale_samples(
    pixels: NDArray[Any],
    missing: NDArray[np.bool_] | None,
    nodata: float | None,
    pipeline: Pipeline,
    size: tuple[int, int],
    on_share: OnShare | None,
    measured: bool,
    deviations: list[Deviation] | None,
    hidden: NDArray[np.bool_] | None,
) -> NDArray[Any]:
    """Upscale samples of any type; pixels without a value are filled meanwhile, and stay so.

    The deviation is added to `deviations`, of pixels that are neither missing nor hidden.
    """
    if missing is not None and missing.all():
        nothing: NDArray[Any] = pixels[_nearest(pixels, size)]
        return nothing
    filled = pixels if missing is None else bleed_colour(pixels, ~missing)
    span = _span(filled, None, measured)
    if span is None:
        sr = pipeline.run(filled, size, on_share)
    else:
        unit = pipeline.run(span.to_unit(filled), size, on_share)
        sr = span.from_unit(unit, pixels.dtype)
    if deviations is not None:
        left_out = [mask for mask in (missing, hidden) if mask is not None]
        counted = ~np.logical_or.reduce(left_out) if left_out else None
        size_of_span = (span.high - span.low) or 1.0 if span else None
        deviations.append(
            find_deviation(filled, sr, span=size_of_span, counted=counted, wrap=pipeline.wrap)
        )
    if missing is not None:
        nearest = _nearest(pixels, size)
        restore_missing(sr, pixels[nearest], missing[nearest], nodata)
    elif nodata is not None:
        restore_missing(sr, sr, None, nodata)
    return sr


def _span(pixels: NDArray[Any], missing: NDArray[np.bool_] | None, measured: bool) -> Span | None:
    """The range to map to [0, 1]; None for images that are upscaled as they are."""
    if not needs_span(pixels.dtype, measured=measured):
        return None
    return mapped_span(find_span(pixels, missing), pixels.dtype)


def needs_span(dtype: np.dtype[Any], *, measured: bool) -> bool:
    """Whether samples of a type may have to be mapped to [0, 1]."""
    return is_wide(dtype) or (measured and dtype == np.uint16)


def mapped_span(span: Span, dtype: np.dtype[Any]) -> Span | None:
    """The range to map to [0, 1]; None for all of 16 bits, which are upscaled as they are."""
    is_whole = span.high in (_WHITE, span.low)
    return None if dtype == np.uint16 and is_whole else span


def _nearest(pixels: NDArray[Any], size: tuple[int, int]) -> tuple[NDArray[Any], ...]:
    """The index of the nearest pixel for each pixel of a result."""
    (h, w), (height, width) = pixels.shape[:2], size
    return np.ix_(np.arange(height) * h // height, np.arange(width) * w // width)


def _notes_on_values(picture: Picture, measured: bool) -> list[Note]:
    """What the user should know about mapped ranges and missing values."""
    spans, lost = [], 0
    for frame in picture.frames:
        for pixels in (frame.pixels, *(band.pixels for band in frame.bands)):
            missing = find_missing(pixels, frame.nodata)
            lost += 0 if missing is None else int(missing.sum())
            if missing is None or not missing.all():
                span = _span(pixels, missing, measured)
                spans += [span] if span and span != Span(0, 1) and span.low < span.high else []
    notes = []
    if spans:
        span = join_spans(spans)
        notes.append(Note("values-mapped", {"low": span.low, "high": span.high}))
    return notes + ([Note("missing-values", {"count": lost})] if lost else [])


def bleed_colour(pixels: NDArray[Any], alpha: NDArray[Any]) -> NDArray[Any]:
    """Give invisible pixels the colour of the nearest visible one, to avoid fringes at edges.

    Args:
        pixels: (h, w) or (h, w, 3).
        alpha: (h, w); 0 is invisible.

    Returns:
        A copy, or `pixels` itself if no pixel or every pixel is invisible.
    """
    hidden = alpha == 0
    if not hidden.any() or hidden.all():
        return pixels

    import cv2

    _, labels = cv2.distanceTransformWithLabels(
        hidden.astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    # In pieces and with small integers, because large images leave little free memory.
    kind = np.int32 if hidden.size < 1 << 31 else np.int64
    nearest = np.zeros(int(labels.max()) + 1, dtype=kind)
    bled = np.array(pixels, order="C")
    source, target = pixels.reshape(hidden.size, -1), bled.reshape(hidden.size, -1)
    pieces = [slice(i, i + _PIECE) for i in range(0, hidden.size, _PIECE)]
    for piece in pieces:
        visible = piece.start + np.flatnonzero(~hidden.ravel()[piece])
        nearest[labels.ravel()[visible]] = visible
    for piece in pieces:
        unseen = piece.start + np.flatnonzero(hidden.ravel()[piece])
        target[unseen] = source[nearest[labels.ravel()[unseen]]]
    return bled


def _upscale_alpha(alpha: NDArray[Any], pipeline: Pipeline, size: tuple[int, int]) -> NDArray[Any]:
    """Upscale alpha as a gray image, keeping the exact value where the input is flat."""
    if (alpha == alpha.flat[0]).all():
        return np.full(size, alpha.flat[0], alpha.dtype)
    # A smooth gradient of alpha shows every rounding where it meets a background.
    sr = pipeline.run(alpha, size, exact=True)
    if size[0] < alpha.shape[0] or size[1] < alpha.shape[1]:
        return sr
    flat = is_flat(alpha)
    (h, w), (height, width) = alpha.shape, size
    columns = np.arange(width) * w // width
    for y in range(0, height, _BAND):
        rows = np.arange(y, min(y + _BAND, height)) * h // height
        nearest = np.ix_(rows, columns)
        np.copyto(sr[y : y + _BAND], alpha[nearest], where=flat[nearest])
    return sr


FLAT_REACH = 2
"""How far around a pixel all must be equal to it where alpha is flat."""


def is_flat(alpha: NDArray[Any]) -> NDArray[np.bool_]:
    """Where alpha keeps its exact value."""
    import cv2

    side = 2 * FLAT_REACH + 1
    window = np.ones((side, side), np.uint8)
    flat: NDArray[np.bool_] = cv2.erode(alpha, window) == cv2.dilate(alpha, window)
    return flat


def check_result_size(picture: Picture, size: Size, max_pixels: int) -> tuple[int, int]:
    """Check the size of a result.

    Args:
        picture: The input.
        size: The size of the result.
        max_pixels: The most pixels that all frames together may have.

    Returns:
        The largest width and the largest height of a frame of the result.

    Raises:
        SrError: `factor-too-large` above MAX_FACTOR, `result-too-large`.
    """
    factor = max(size.factor_for(f.width, f.height) for f in picture.frames)
    if factor > MAX_FACTOR:
        raise SrError("factor-too-large", factor=factor, most=MAX_FACTOR)
    results = [size.of(f.width, f.height) for f in picture.frames]
    total = sum(w * h for w, h in results)
    width, height = max(w for w, _ in results), max(h for _, h in results)
    if total > max_pixels:
        raise SrError(
            "result-too-large", width=width, height=height, total=total, max_pixels=max_pixels
        )
    return width, height
