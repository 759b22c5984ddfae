"""The geometry of tiles, in integers. A tile is read with its halo; its core is written."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class Span:
    """A part of an axis, in lr pixels: the core start..stop, read with its halo as first..last."""

    start: int
    stop: int
    first: int
    last: int


@dataclass(frozen=True)
class Tile:
    """A rectangle of lr. Cores are disjoint and cover the image; what is read may overlap."""

    rows: Span
    columns: Span


def plan_spans(length: int, *, tile: int, halo: int) -> list[Span]:
    """Divide an axis into the fewest parts that each read at most `tile` + 2 * `halo` pixels.

    The ends of the image need no halo, so the first and the last core are larger by one halo. All
    parts read the same number of pixels (one may read a pixel beyond its halo), so that tensors of
    one size reuse the same memory.

    Args:
        length: Of the axis, in lr pixels.
        tile: The size of a core, in lr pixels.
        halo: The context on each side, in lr pixels.

    Raises:
        ValueError: For a length or tile below 1, or a negative halo.
    """
    if length < 1 or tile < 1 or halo < 0:
        raise ValueError(f"no tiles of {tile} with halo {halo} on {length} pixels")
    inner = length - 2 * halo
    parts = max(1, -(-inner // tile))
    edges = [0, *(halo + inner * i // parts for i in range(1, parts)), length]
    return _spans(edges, length, halo)


def _spans(edges: list[int], length: int, halo: int) -> list[Span]:
    """The spans between the edges, with halos clipped at 0 and `length`."""
    reads = [(max(0, a - halo), min(length, b + halo)) for a, b in pairwise(edges)]
    most = max(last - first for first, last in reads)
    firsts = [min(first, length - most) for first, _ in reads]
    return [Span(a, b, f, f + most) for (a, b), f in zip(pairwise(edges), firsts, strict=True)]


def plan_tiles(height: int, width: int, *, tile: int, halo: int) -> list[Tile]:
    """The tiles of an image (height, width) in lr pixels, row by row; see `plan_spans`."""
    columns = plan_spans(width, tile=tile, halo=halo)
    return [Tile(r, c) for r in plan_spans(height, tile=tile, halo=halo) for c in columns]


def split_tile(tile: Tile, height: int, width: int, *, halo: int) -> list[Tile]:
    """Divide a tile that did not fit into memory into quarters.

    Args:
        tile: The tile.
        height, width: The size of the image, in lr pixels.
        halo: The context on each side, in lr pixels.
    """

    def halves(span: Span, length: int) -> list[Span]:
        middle = -(-(span.start + span.stop) // 2)
        return _spans(sorted({span.start, middle, span.stop}), length, halo)

    columns = halves(tile.columns, width)
    return [Tile(r, c) for r in halves(tile.rows, height) for c in columns]
