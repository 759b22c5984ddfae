"""Pipelines over images that are never whole in memory: bands of rows in, bands of rows out.

A band is a row of the tiles that the whole image would have, so that the result is the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from sr_cli.engine.pipeline import BicubicPipeline, ChainPipeline, NetworkPipeline, Pipeline
from sr_cli.engine.rows import RowSource, SlidingRows
from sr_cli.engine.size import passes_for

if TYPE_CHECKING:
    from sr_cli.engine.upscaler import Upscaler

_BAND_SAMPLES = 1 << 24
"""Samples of a result that are computed at once, as far as tiles can be so small."""

_SMALLEST_TILE, _MOST_ROWS = 64, 256


def can_stream(pipeline: Pipeline) -> bool:
    """Whether a pipeline needs no more than a band at a time.

    Not with whole images as tiles, and not where an image continues at its other end below.
    """
    if isinstance(pipeline, ChainPipeline):
        pipelines = [NetworkPipeline(upscaler) for upscaler in pipeline.first]
        return can_stream(pipeline.last) and all(map(can_stream, pipelines))
    if not isinstance(pipeline, BicubicPipeline | NetworkPipeline):
        return False
    return pipeline.wrap in ("none", "x") and all(u.tile for u in pipeline.upscalers)


def reach_of(pipeline: Pipeline) -> int:
    """How far, in rows and columns of the input, pixels of the result see at most."""
    return sum(upscaler.halo + 4 for upscaler in pipeline.upscalers) or 4


def stream_rows(
    pipeline: Pipeline,
    lr: RowSource,
    size: tuple[int, int],
    *,
    exact: bool = False,
    planes: int = 1,
) -> Iterator[NDArray[Any]]:
    """Resize an image, as `Pipeline.run` does.

    Args:
        pipeline: One that `can_stream`.
        lr: The rows of the image.
        size: (height, width) of the result.
        exact: As in `Pipeline.run`.
        planes: How many such results are computed side by side, in the same memory.

    Returns:
        The rows of the result from top to bottom, in bands.
    """
    if isinstance(pipeline, ChainPipeline):
        for upscaler in pipeline.first:
            h, w = lr.shape[:2]
            bands = _network_bands(upscaler, lr, (h, w), exact, planes)
            lr = replace(lr, read=SlidingRows(bands).reader())
        last: Pipeline = BicubicPipeline() if lr.shape[:2] == size else pipeline.last
        yield from stream_rows(last, lr, size, exact=exact, planes=planes)
    elif isinstance(pipeline, NetworkPipeline):
        h, w = lr.shape[:2]
        upscaler = pipeline.upscaler
        passes = passes_for(max(size[0] / h, size[1] / w), upscaler.scale)
        for number in range(1, passes):
            between = h * upscaler.scale**number, w * upscaler.scale**number
            bands = _network_bands(upscaler, lr, between, exact, planes)
            shape = (*between, *lr.shape[2:])
            lr = RowSource(shape, lr.dtype, SlidingRows(bands).reader())
        yield from _network_bands(upscaler, lr, size, exact, planes)
    elif isinstance(pipeline, BicubicPipeline):
        samples = _samples_of_row(lr, size[1], planes)
        rows = max(8, min(_MOST_ROWS, _BAND_SAMPLES // samples))
        yield from pipeline.bands(lr, size, rows=rows)


def _network_bands(
    upscaler: Upscaler, lr: RowSource, size: tuple[int, int], exact: bool, planes: int
) -> Iterator[NDArray[Any]]:
    """Rows of tiles, of which a wide image has lower ones.

    A tile that does not fit into memory changes those that follow, but not the bands.
    """
    h, w = lr.shape[:2]
    chosen = upscaler.tile
    rows = _BAND_SAMPLES // _samples_of_row(lr, size[1], planes) * h // size[0]
    tile = min(chosen, max(_SMALLEST_TILE, rows))
    upscaler.tile = tile
    try:
        for span in upscaler.tile_rows(h, w, size):
            upscaler.tile = tile
            band = slice(span.start, span.stop)
            yield upscaler(lr, size=size, exact=exact, lr_rows=band)
    finally:
        upscaler.tile = chosen


def _samples_of_row(lr: RowSource, width: int, planes: int) -> int:
    return width * planes * (lr.shape[2] if len(lr.shape) > 2 else 1)
