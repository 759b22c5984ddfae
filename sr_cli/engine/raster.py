"""Upscaling of images that are never whole in memory: colour, alpha and bands, window by window.

What becomes of samples is what `sr_cli.engine.frames` does with a whole frame: values are mapped to
[0, 1], and what has no value is filled from its surroundings meanwhile.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sr_cli.engine.frames import FLAT_REACH, bleed_colour, is_flat, mapped_span, needs_span
from sr_cli.engine.pipeline import NetworkPipeline, OnShare, Pipeline
from sr_cli.engine.rows import ReadRows, RowSource, SlidingRows
from sr_cli.engine.windows import Share, reach_of, stream_rows, window_spans
from sr_cli.errors import Note
from sr_cli.imaging.values import Span, find_missing, join_spans, restore_missing, span_between

_BAND_BYTES = 1 << 24


@dataclass(frozen=True)
class RasterSource:
    """The samples of an image, read from top to bottom.

    Attributes:
        shape: (h, w, samples).
        dtype: Of a sample.
        colours: 1 for gray, 3 for RGB, which come first.
        has_alpha: Whether the next sample is alpha, straight; all others are bands.
        nodata: The value of pixels without a value.
        rows: That are best read together.
        read: Reads (rows, w, samples).
        is_masked: Whether `read` adds one more sample: 0 where a pixel has no value.
    """

    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    colours: int
    has_alpha: bool
    nodata: float | None
    rows: int
    read: ReadRows
    is_masked: bool = False

    @property
    def planes(self) -> list[slice]:
        """What is upscaled together: colour, and each other sample alone."""
        return [slice(0, self.colours)] + [
            slice(n, n + 1) for n in range(self.colours, self.shape[2])
        ]

    def bands(self, first: int = 0) -> Iterator[NDArray[Any]]:
        """All rows from the first one to the bottom, as they are stored."""
        h, w, samples = self.shape
        few = max(1, _BAND_BYTES // (w * samples * self.dtype.itemsize) // self.rows) * self.rows
        while first < h:
            last = min((first // few + 1) * few, h)
            yield self.read(first, last)
            first = last

    def find_missing(self, stored: NDArray[Any], pixels: NDArray[Any]) -> NDArray[np.bool_] | None:
        """As `values.find_missing`, with what the mask of the image hides."""
        missing = find_missing(pixels, self.nodata)
        if not self.is_masked:
            return missing
        hidden: NDArray[np.bool_] = stored[..., -1] == 0
        hidden = hidden if missing is None else hidden | missing
        return hidden if hidden.any() else None


@dataclass(frozen=True)
class Findings:
    """What is known of the samples once all were read.

    Attributes:
        spans: The range of each plane to map to [0, 1]; None to upscale it as it is.
        missing: Samples without a value.
    """

    spans: tuple[Span | None, ...]
    missing: int

    @property
    def notes(self) -> list[Note]:
        """What the user should know, as of a whole image."""
        spans = [s for s in self.spans if s and s != Span(0, 1) and s.low < s.high]
        notes = []
        if spans:
            span = join_spans(spans)
            notes.append(Note("values-mapped", {"low": span.low, "high": span.high}))
        return notes + ([Note("missing-values", {"count": self.missing})] if self.missing else [])


def examine(source: RasterSource) -> Findings:
    """Read all samples once, for the range of each plane and what has no value."""
    planes = source.planes
    ends: list[tuple[float, float] | None] = [None] * len(planes)
    lost = 0
    measures = needs_span(source.dtype, measured=True)
    if not measures and source.nodata is None and not source.is_masked:
        return Findings((None,) * len(planes), 0)
    for band in source.bands():
        for number, plane in enumerate(planes):
            if _is_alpha(source, plane):
                continue
            pixels = _pixels_of(band, plane)
            missing = source.find_missing(band, pixels)
            lost += 0 if missing is None else int(missing.sum())
            if measures:
                known = pixels if missing is None else pixels[~missing]
                if source.has_alpha and plane.start == 0:
                    seen = band[..., source.colours] != 0
                    known = pixels[seen if missing is None else seen & ~missing]
                ends[number] = _joined(ends[number], known)
    spans = [
        None if e is None else mapped_span(span_between(*e, source.dtype), source.dtype)
        for e in ends
    ]
    return Findings(tuple(spans), lost)


def upscale_raster(
    source: RasterSource,
    findings: Findings,
    pipeline: Pipeline,
    size: tuple[int, int],
    on_share: OnShare | None = None,
) -> RowSource:
    """Upscale an image window by window.

    Args:
        source: Of the samples.
        findings: From `examine`.
        pipeline: One that `can_stream`.
        size: (height, width) of the result.
        on_share: Called with the share that is done, 0 to 1.

    Returns:
        The rows of the result, (h, w, samples), to be read from top to bottom, once.
    """
    planes = [_Plane(source, *plane) for plane in zip(source.planes, findings.spans, strict=True)]
    bands = _joined_bands(planes, pipeline, size)

    def reported() -> Iterator[NDArray[Any]]:
        done = 0
        for band in bands:
            done += len(band)
            yield band
            if on_share is not None:
                on_share(done / size[0])

    shape = (*size, source.shape[2])
    return RowSource(shape, source.dtype, SlidingRows(reported()).reader())


def upscale_raster_share(
    source: RasterSource,
    findings: Findings,
    pipeline: NetworkPipeline,
    size: tuple[int, int],
    share: Share,
) -> tuple[int, Iterator[NDArray[Any]]]:
    """Upscale a part of an image window by window; only what it sees is read.

    Args:
        source, findings, size: As in `upscale_raster`.
        pipeline: One that `can_stream`, and applies its network once.
        share: The part, of the rows of tiles.

    Returns:
        The first row of the part in the result, and the rows, in bands (h, w, samples).
    """
    h, w, samples = source.shape
    spans = share.of(window_spans(pipeline.upscaler, (h, w), size, samples))
    if not spans:
        return 0, iter(())
    planes = [_Plane(source, *plane) for plane in zip(source.planes, findings.spans, strict=True)]
    start = round(spans[0].start * size[0] / h)
    return start, _joined_bands(planes, pipeline, size, share, (spans[0].first, start))


@dataclass(frozen=True)
class _Plane:
    """Samples that are upscaled together.

    Attributes:
        source: What they are part of.
        samples: Which part.
        span: Their range to map to [0, 1].
    """

    source: RasterSource
    samples: slice
    span: Span | None

    @property
    def is_alpha(self) -> bool:
        return _is_alpha(self.source, self.samples)

    def fill(self, read: ReadRows, around: int, first: int, last: int) -> NDArray[Any]:
        """Rows as networks take them. What has no value has that of the nearest that has one.

        Args:
            read: Reads the rows as they are stored.
            around: How many more rows may matter on both sides.
            first, last: Of the rows.
        """
        top, bottom = max(0, first - around), min(self.source.shape[0], last + around)
        stored = read(top, bottom)
        pixels = _pixels_of(stored, self.samples)
        if self.source.has_alpha and self.samples.start == 0:
            pixels = bleed_colour(pixels, stored[..., self.source.colours])
        missing = None if self.is_alpha else self.source.find_missing(stored, pixels)
        if missing is not None and missing.all():
            pixels = np.full_like(pixels, self.span.low if self.span else 0)
        elif missing is not None:
            pixels = bleed_colour(pixels, ~missing)
        pixels = pixels[first - top : last - top]
        return pixels if self.span is None else self.span.to_unit(pixels)

    def finish(
        self, sr: NDArray[Any], read: ReadRows, start: int, size: tuple[int, int]
    ) -> NDArray[Any]:
        """Rows of the result, from `start` on, as they are stored."""
        h, w, _ = self.source.shape
        if self.span is not None:
            sr = self.span.from_unit(sr, self.source.dtype)
        elif self.source.dtype.kind == "f":
            # Nothing of it has a value.
            sr = sr.astype(self.source.dtype)
        rows = np.arange(start, start + len(sr)) * h // size[0]
        columns = np.arange(size[1]) * w // size[1]
        around = FLAT_REACH if self.is_alpha else 0
        top, bottom = max(0, rows[0] - around), min(h, rows[-1] + 1 + around)
        stored = read(int(top), int(bottom))
        pixels = _pixels_of(stored, self.samples)
        nearest = np.ix_(rows - top, columns)
        sr = np.ascontiguousarray(sr)
        if not self.is_alpha:
            missing = self.source.find_missing(stored, pixels)
            there = None if missing is None else missing[nearest]
            if there is not None or self.source.nodata is not None:
                restore_missing(sr, pixels[nearest], there, self.source.nodata)
        elif size[0] >= h and size[1] >= w:
            np.copyto(sr, pixels[nearest], where=is_flat(pixels)[nearest])
        return sr


def _joined_bands(
    planes: Sequence[_Plane],
    pipeline: Pipeline,
    size: tuple[int, int],
    share: Share | None = None,
    begin: tuple[int, int] = (0, 0),
) -> Iterator[NDArray[Any]]:
    """The rows of the result, or of a share of it, from top to bottom, with all samples.

    `begin` are the first row that the share sees, and its first row in the result.
    """
    source = planes[0].source
    h, w, _ = source.shape
    # What is reduced is seen from further away. A pixel that is seen from a known one is at most so
    # many rows and columns away: its nearest known one is not further than the diagonal.
    around = 2 * reach_of(pipeline) * math.ceil(max(1, h / size[0], w / size[1]))
    top = max(0, begin[0] - around)
    stored = SlidingRows(source.bands(top), top)
    upscaled = [
        _upscale_plane(plane, stored, around, pipeline, size, share, begin[1]) for plane in planes
    ]
    for parts in zip(*upscaled, strict=True):
        yield np.dstack(parts)


def _upscale_plane(
    plane: _Plane,
    stored: SlidingRows,
    around: int,
    pipeline: Pipeline,
    size: tuple[int, int],
    share: Share | None,
    start: int,
) -> Iterator[NDArray[Any]]:
    """The rows of a plane's result, from row `start` on."""
    h, w, samples = plane.source.shape
    colours = plane.samples.stop - plane.samples.start
    dtype = np.dtype(np.float32) if plane.span else plane.source.dtype
    # Made at once, before anything is read: each has to see all rows.
    filled, nearest = stored.reader(), stored.reader()
    shape = (h, w, 3) if colours == 3 else (h, w)
    # The tiles beside each other see the same rows.
    fill = lru_cache(maxsize=1)(partial(plane.fill, filled, around))
    lr = RowSource(shape, dtype, fill)
    bands = stream_rows(pipeline, lr, size, exact=plane.is_alpha, samples=samples, share=share)

    def finished(first: int) -> Iterator[NDArray[Any]]:
        for band in bands:
            yield plane.finish(band, nearest, first, size)
            first += len(band)

    return finished(start)


def _pixels_of(rows: NDArray[Any], samples: slice) -> NDArray[Any]:
    """(h, w, 3) for RGB, (h, w) for one sample."""
    chosen = rows[..., samples]
    return np.ascontiguousarray(chosen if chosen.shape[2] == 3 else chosen[..., 0])


def _is_alpha(source: RasterSource, samples: slice) -> bool:
    return source.has_alpha and samples.start == source.colours


def _joined(ends: Sequence[float] | None, known: NDArray[Any]) -> tuple[float, float] | None:
    """The least and the largest value of those before and these."""
    if not known.size:
        return None if ends is None else (ends[0], ends[1])
    found = known.min().item(), known.max().item()
    return found if ends is None else (min(ends[0], found[0]), max(ends[1], found[1]))
