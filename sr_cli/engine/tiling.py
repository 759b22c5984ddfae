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


def plan_spans(length: int, *, tile: int, halo: int) -> list[Span]:
    """Cut an axis of `length` pixels so that each part reads at most `tile` + 2 x `halo` of it.

    The ends of the picture need no halo, so the first and the last core are larger by one, and
    there are as few parts as can be. All read equally much, to the pixel (one may read a pixel
    beyond its halo): tensors of one size take the same memory again and again.
    Raises ValueError for a length or tile below 1 or a negative halo.
    """
    if length < 1 or tile < 1 or halo < 0:
        raise ValueError(f"no tiles of {tile} with halo {halo} on {length} pixels")
    inner = length - 2 * halo
    parts = max(1, -(-inner // tile))
    edges = [0, *(halo + inner * i // parts for i in range(1, parts)), length]
    return _spans(edges, length, halo)


def _spans(edges: list[int], length: int, halo: int) -> list[Span]:
    """The halo is clipped at 0 and `length`."""
    reads = [(max(0, a - halo), min(length, b + halo)) for a, b in pairwise(edges)]
    most = max(last - first for first, last in reads)
    firsts = [min(first, length - most) for first, _ in reads]
    return [Span(a, b, f, f + most) for (a, b), f in zip(pairwise(edges), firsts, strict=True)]


def plan_tiles(height: int, width: int, *, tile: int, halo: int) -> list[Tile]:
    """Tiles of a picture, row by row, of equal size (to a pixel): see `plan_spans`."""
    columns = plan_spans(width, tile=tile, halo=halo)
    return [Tile(r, c) for r in plan_spans(height, tile=tile, halo=halo) for c in columns]


def split_tile(tile: Tile, height: int, width: int, *, halo: int) -> list[Tile]:
    """The same core in quarters, for when a tile did not fit into memory."""

    def halves(span: Span, length: int) -> list[Span]:
        middle = -(-(span.start + span.stop) // 2)
        return _spans(sorted({span.start, middle, span.stop}), length, halo)

    columns = halves(tile.columns, width)
    return [Tile(r, c) for r in halves(tile.rows, height) for c in columns]
