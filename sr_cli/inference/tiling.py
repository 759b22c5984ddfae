"""Where tiles lie: pure integers. Each tile reads a halo of true context and writes its core."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class Span:
    """Along one axis, in lr pixels: the core start..stop, read with its halo from first to last."""

    start: int
    stop: int
    first: int
    last: int


@dataclass(frozen=True)
class Tile:
    """A rectangle of lr: disjoint cores cover the picture, what is read may overlap."""

    rows: Span
    columns: Span


def plan_spans(
    length: int, *, tile: int, halo: int, start: int = 0, stop: int | None = None
) -> list[Span]:
    """Cut start..stop of an axis of `length` pixels into equal parts of at most `tile`.

    The halo is clipped at 0 and `length`, the ends of the picture.
    Raises ValueError for a length or tile below 1 or a negative halo.
    """
    if length < 1 or tile < 1 or halo < 0:
        raise ValueError(f"no tiles of {tile} with halo {halo} on {length} pixels")
    stop = length if stop is None else stop
    parts = -(-(stop - start) // tile)
    edges = [start + (stop - start) * i // parts for i in range(parts + 1)]
    return [Span(a, b, max(0, a - halo), min(length, b + halo)) for a, b in pairwise(edges)]


def plan_tiles(height: int, width: int, *, tile: int, halo: int) -> list[Tile]:
    """Tiles of a picture, row by row: cores of equal size (to a pixel), at most `tile` a side."""
    columns = plan_spans(width, tile=tile, halo=halo)
    return [Tile(r, c) for r in plan_spans(height, tile=tile, halo=halo) for c in columns]


def split_tile(tile: Tile, height: int, width: int, *, halo: int) -> list[Tile]:
    """The same core in quarters, for when a tile did not fit into memory."""

    def halves(span: Span, length: int) -> list[Span]:
        half = -(-(span.stop - span.start) // 2)
        return plan_spans(length, tile=half, halo=halo, start=span.start, stop=span.stop)

    columns = halves(tile.columns, width)
    return [Tile(r, c) for r in halves(tile.rows, height) for c in columns]
