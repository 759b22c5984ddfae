"""Pipelines over images that are never whole in memory: bands of rows in, bands of rows out.

A band is a row of the tiles that the whole image would have, so that the result is the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from sr_cli.engine.pipeline import BicubicPipeline, ChainPipeline, NetworkPipeline, Pipeline
from sr_cli.engine.rows import RowSource, SlidingRows
from sr_cli.engine.tiling import Span

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


@dataclass(frozen=True)
class Share:
    """A part of the rows of tiles of an image.

    Attributes:
        index: From 0 at the top.
        count: Of the parts, which have about as many rows of tiles.
    """

    index: int = 0
    count: int = 1

    def of(self, spans: Sequence[Span]) -> Sequence[Span]:
        """The rows of tiles of this part; none if there are fewer than parts."""
        first, last = (len(spans) * i // self.count for i in (self.index, self.index + 1))
        return spans[first:last]


def stream_rows(
    pipeline: Pipeline,
    lr: RowSource,
    size: tuple[int, int],
    *,
    exact: bool = False,
    samples: int,
    share: Share | None = None,
) -> Iterator[NDArray[Any]]:
    """Resize an image, as `Pipeline.run` does.

    Args:
        pipeline: One that `can_stream`.
        lr: The rows of the image.
        size: (height, width) of the result.
        exact: As in `Pipeline.run`.
        samples: Of a pixel of all results that are computed side by side, in the same memory.
        share: The part to compute, of a network that is applied once; None for all.

    Returns:
        The rows of the result from top to bottom, in bands. They are the same for all results that
        have as many samples side by side.
    """
    if isinstance(pipeline, ChainPipeline):
        for upscaler in pipeline.first:
            h, w = lr.shape[:2]
            bands = _network_bands(upscaler, lr, (h, w), exact, samples)
            lr = replace(lr, read=SlidingRows(bands).reader())
        last: Pipeline = BicubicPipeline() if lr.shape[:2] == size else pipeline.last
        yield from stream_rows(last, lr, size, exact=exact, samples=samples)
    elif isinstance(pipeline, NetworkPipeline):
        h, w = lr.shape[:2]
        upscaler = pipeline.upscaler
        passes, reaches = pipeline.passes((h, w), size)
        for number in range(1, passes + (not reaches)):
            between = h * upscaler.scale**number, w * upscaler.scale**number
            bands = _network_bands(upscaler, lr, between, exact, samples)
            shape = (*between, *lr.shape[2:])
            lr = RowSource(shape, lr.dtype, SlidingRows(bands).reader())
        if reaches:
            yield from _network_bands(upscaler, lr, size, exact, samples, share)
        else:
            rest = BicubicPipeline(pipeline.wrap)
            yield from stream_rows(rest, lr, size, exact=exact, samples=samples)
    elif isinstance(pipeline, BicubicPipeline):
        rows = max(8, min(_MOST_ROWS, _BAND_SAMPLES // (size[1] * samples)))
        yield from pipeline.bands(lr, size, rows=rows)


def window_spans(
    upscaler: Upscaler, shape: tuple[int, int], size: tuple[int, int], samples: int
) -> list[Span]:
    """The rows of tiles in which an image is computed, from top to bottom.

    Args:
        upscaler: What computes it.
        shape: (h, w) of the image.
        size: (height, width) of the result.
        samples: As in `stream_rows`.
    """
    with _window_tile(upscaler, shape[0], size, samples):
        return upscaler.tile_rows(*shape, size)


def _network_bands(
    upscaler: Upscaler,
    lr: RowSource,
    size: tuple[int, int],
    exact: bool,
    samples: int,
    share: Share | None = None,
) -> Iterator[NDArray[Any]]:
    h, w = lr.shape[:2]
    for span in (share or Share()).of(window_spans(upscaler, (h, w), size, samples)):
        with _window_tile(upscaler, h, size, samples):
            band = upscaler(lr, size=size, exact=exact, lr_rows=slice(span.start, span.stop))
        yield band


@contextmanager
def _window_tile(upscaler: Upscaler, h: int, size: tuple[int, int], samples: int) -> Iterator[None]:
    """An upscaler with lower tiles for a wide image, of whose results several take turns.

    A tile that does not fit into memory changes those that follow, but not the bands.
    """
    chosen = upscaler.tile
    rows = _BAND_SAMPLES // (size[1] * samples) * h // size[0]
    upscaler.tile = min(chosen, max(_SMALLEST_TILE, rows))
    try:
        yield
    finally:
        upscaler.tile = chosen
