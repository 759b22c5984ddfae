"""The geometry of tiles, in integers. A tile is read with its halo; its core is written."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class Axis:
    """One side of an image, in lr pixels, with what a network is shown beyond its ends.

    Attributes:
        length: The pixels of the image.
        before, after: Pixels beyond the first and the last one.
        grid: Tiles begin at a multiple of it, counted from -`before`, and read a multiple of it.
            It divides the sum of the three.
        wrap: Whether the image continues with its other end; otherwise it is mirrored.
    """

    length: int
    before: int = 0
    after: int = 0
    grid: int = 1
    wrap: bool = False

    @property
    def first(self) -> int:
        """The first position that may be read."""
        return -self.before

    @property
    def last(self) -> int:
        """The position after the last one that may be read."""
        return self.length + self.after


def continued_axis(
    length: int, *, margin: int, grid: int = 1, smallest: int = 1, wrap: bool = False
) -> Axis:
    """The axis of an image that is continued by at least `margin` pixels beyond both ends.

    A mirrored image lies where it does without a margin: on a multiple of the grid. One that wraps
    lies where it does as the middle one of three.

    Args:
        length: The pixels of the image.
        margin: Pixels beyond each end.
        grid: See `Axis`.
        smallest: The fewest pixels that a network takes.
        wrap: See `Axis`.
    """
    before = margin + (length - margin) % grid if wrap else -(-margin // grid) * grid
    whole = max(before + length + margin, smallest)
    whole = -(-whole // grid) * grid
    return Axis(length, before, whole - before - length, grid, wrap)


@dataclass(frozen=True)
class Span:
    """A part of an axis, in lr pixels: the core start..stop, read with its halo as first..last."""

    start: int
    stop: int
    first: int
    last: int

    def core(self, around: int = 0) -> slice:
        """The core in what is read, with `around` pixels more on both sides."""
        return slice(self.start - self.first - around, self.stop - self.first + around)


@dataclass(frozen=True)
class Tile:
    """A rectangle of lr. Cores are disjoint and cover the image; what is read may overlap."""

    rows: Span
    columns: Span

    @property
    def least_halo(self) -> int:
        """The fewest pixels that are read beyond a side of the core."""
        return min(
            min(span.start - span.first, span.last - span.stop)
            for span in (self.rows, self.columns)
        )


def plan_spans(axis: Axis, *, tile: int, halo: int) -> list[Span]:
    """Divide an axis into the fewest parts that each read at most `tile` + 2 * `halo` pixels.

    Reads end where the axis does, so the first and the last core may be larger. All parts read the
    same number of pixels, so that tensors of one size reuse the same memory. With a grid above 1,
    the ends of reads are moved outwards to it.

    Args:
        axis: Its length and what lies beyond.
        tile: The size of a core, in lr pixels.
        halo: The context on each side, in lr pixels.

    Raises:
        ValueError: For a length or tile below 1, or a negative halo.
    """
    if axis.length < 1 or tile < 1 or halo < 0:
        raise ValueError(f"no tiles of {tile} with halo {halo} on {axis.length} pixels")
    inner = axis.last - axis.first - 2 * halo
    parts = max(1, -(-inner // tile))
    cuts = (axis.first + halo + inner * i // parts for i in range(1, parts))
    return _spans([0, *(c for c in cuts if 0 < c < axis.length), axis.length], axis, halo)


def _spans(edges: list[int], axis: Axis, halo: int) -> list[Span]:
    """The spans between the edges, with halos clipped at the ends of the axis."""

    def aligned(position: int, up: int) -> int:
        return axis.first + (position - axis.first + up) // axis.grid * axis.grid

    reads = [
        (
            aligned(max(axis.first, start - halo), 0),
            aligned(min(axis.last, stop + halo), axis.grid - 1),
        )
        for start, stop in pairwise(edges)
    ]
    most = max(last - first for first, last in reads)
    firsts = [min(first, axis.last - most) for first, _ in reads]
    return [Span(a, b, f, f + most) for (a, b), f in zip(pairwise(edges), firsts, strict=True)]


def plan_tiles(rows: Axis, columns: Axis, *, tile: int, halo: int) -> list[Tile]:
    """The tiles of an image, row by row; see `plan_spans`."""
    across = plan_spans(columns, tile=tile, halo=halo)
    return [Tile(r, c) for r in plan_spans(rows, tile=tile, halo=halo) for c in across]


def split_tile(tile: Tile, rows: Axis, columns: Axis, *, halo: int) -> list[Tile]:
    """Divide a tile that did not fit into memory into quarters.

    Args:
        tile: The tile.
        rows, columns: The image.
        halo: The context on each side, in lr pixels.
    """

    def halves(span: Span, axis: Axis) -> list[Span]:
        middle = -(-(span.start + span.stop) // 2)
        return _spans(sorted({span.start, middle, span.stop}), axis, halo)

    across = halves(tile.columns, columns)
    return [Tile(r, c) for r in halves(tile.rows, rows) for c in across]
