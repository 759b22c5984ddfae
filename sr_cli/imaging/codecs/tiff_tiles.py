"""A TIFF writer for images that are never whole in memory: tiles, and reduced copies after them."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sr_cli.imaging.codecs.tiff_samples import DEFLATE, FLOATING, HORIZONTAL, NONE
from sr_cli.imaging.codecs.tiff_writer import sample_options

_BIG = 2 << 30
"""Bytes of samples above which the file is a BigTIFF, however small they become."""

_LEVEL = 4
_TILE, _LEAST, _MOST = 512, 64, 2048
_REDUCED, _MASK = 1, 4
"""Bits of NewSubfileType."""

_COMPRESSION, _PREDICTOR = 259, 317
_STAND_IN = 318
"""A tag with a place beside the predictor's in the ascending order, and unused here."""

_BY_PILLOW: Mapping[int, str] = {5: "tiff_lzw", 32773: "packbits", 34925: "lzma", 50000: "zstd"}
"""Compressions that libtiff does, by their number in the standard and its supplements."""

ReadRows = Callable[[int, int], NDArray[Any]]
"""Reads (rows, w, samples), from the first row up to the second."""


@dataclass(frozen=True)
class Layout:
    """How samples are stored.

    Attributes:
        dtype: Of a sample.
        colours: 1 for gray, 3 for RGB.
        extra: Values of ExtraSamples for the others.
        compression: Its number in the standard.
        predictor: 1 for none.
        tile: Its height and width.
    """

    dtype: np.dtype[Any]
    colours: int
    extra: tuple[int, ...]
    compression: int
    predictor: int
    tile: tuple[int, int]


def layout_like(page: Any, dtype: np.dtype[Any], colours: int, extra: Sequence[int]) -> Layout:
    """The layout of a result: tiles and compression of the input, as far as it has them.

    Args:
        page: Of the input, as tifffile describes it.
        dtype, colours, extra: As in `Layout`.
    """
    # The number that Deflate had before it was in the standard.
    compression = DEFLATE if page.compression == 32946 else int(page.compression)
    predictor = int(page.predictor) if compression != NONE else 1
    tile = (int(page.tilelength), int(page.tilewidth)) if page.is_tiled else (_TILE, _TILE)
    if not all(_LEAST <= side <= _MOST and side % 16 == 0 for side in tile):
        tile = _TILE, _TILE
    return Layout(dtype, colours, tuple(extra), compression, predictor, tile)


def write_tiled(
    file: BinaryIO,
    layout: Layout,
    size: tuple[int, int],
    read: ReadRows,
    options: Mapping[str, Any],
    *,
    is_first: bool,
) -> None:
    """Write a page whose rows are read from top to bottom, once.

    Args:
        file: Opened for writing and reading; complete, if the page is not the first.
        layout: Of the samples.
        size: (height, width) in pixels.
        read: Reads the rows.
        options: Of tifffile, for what the page says beside its pixels.
        is_first: Whether it begins the file; others are reduced copies.
    """
    import tifffile

    samples = layout.colours + len(layout.extra)
    needed = size[0] * size[1] * samples * layout.dtype.itemsize
    file.seek(0)
    start: dict[str, Any] = {"bigtiff": needed > _BIG} if is_first else {"append": True}
    predictor = [(_STAND_IN, 3, 1, layout.predictor, True)] if layout.predictor > 1 else []
    options = {**options, "extratags": [*options.get("extratags", ()), *predictor]}
    with tifffile.TiffWriter(file, **start) as writer:
        writer.write(
            _encoded_tiles(read, size, layout),
            **sample_options(size, layout.colours, layout.extra),
            dtype=layout.dtype,
            tile=layout.tile,
            # tifffile knows others, and predictors, only with a package of codecs.
            compression="zlib" if layout.compression != NONE else None,
            subfiletype=0 if is_first else _REDUCED,
            **options,
        )
    _set_codec(file, layout)


def write_mask(
    file: BinaryIO, layout: Layout, size: tuple[int, int], read: ReadRows, *, is_reduced: bool
) -> None:
    """Append a transparency mask of the page before it (TIFF 6.0, section 8).

    Args:
        file: Opened for writing and reading, complete.
        layout: Of that page.
        size: (height, width) in pixels.
        read: Reads (rows, w): whether pixels have a value.
        is_reduced: Whether that page is a reduced copy.
    """
    import tifffile

    down, across = layout.tile

    def tiles() -> Iterator[bytes]:
        for y in range(0, size[0], down):
            rows = read(y, min(y + down, size[0]))
            for x in range(0, size[1], across):
                part = _whole_tile(rows[:, x : x + across, None], layout)[..., 0]
                yield zlib.compress(np.packbits(part, axis=1).tobytes(), _LEVEL)

    file.seek(0)
    with tifffile.TiffWriter(file, append=True) as writer:
        writer.write(
            tiles(),
            shape=size,
            dtype=np.bool_,
            photometric="mask",
            tile=layout.tile,
            compression="zlib",
            subfiletype=_MASK | (_REDUCED if is_reduced else 0),
            software=False,
            metadata=None,
        )


def _set_codec(file: BinaryIO, layout: Layout) -> None:
    """Write compression and predictor as they are into the last page of a file."""
    import tifffile

    file.seek(0)
    with tifffile.TiffFile(file) as tiff:
        order, tags = tiff.byteorder, tiff.pages[-1].tags
        stored = {tags[_COMPRESSION].valueoffset: layout.compression}
        if _STAND_IN in tags:
            stored[tags[_STAND_IN].offset] = _PREDICTOR
    for place, number in stored.items():
        file.seek(place)
        file.write(struct.pack(order + "H", number))


def _encoded_tiles(read: ReadRows, size: tuple[int, int], layout: Layout) -> Iterator[bytes]:
    height, width = size
    down, across = layout.tile
    with ThreadPoolExecutor() as pool:
        for y in range(0, height, down):
            rows = read(y, min(y + down, height))
            parts = [_whole_tile(rows[:, x : x + across], layout) for x in range(0, width, across)]
            yield from pool.map(partial(_encode, layout=layout), parts)


def _whole_tile(part: NDArray[Any], layout: Layout) -> NDArray[Any]:
    """A tile, of which what lies beyond the edges repeats them, and compresses well."""
    down, across = (side - have for side, have in zip(layout.tile, part.shape[:2], strict=True))
    return np.pad(part, ((0, down), (0, across), (0, 0)), "edge") if down or across else part


def _encode(tile: NDArray[Any], layout: Layout) -> bytes:
    """A tile as it is stored."""
    rows = _differences(tile, layout.predictor)
    if layout.compression == NONE:
        return rows.tobytes()
    if layout.compression == DEFLATE:
        return zlib.compress(rows.tobytes(), _LEVEL)
    file = io.BytesIO()
    method = _BY_PILLOW[layout.compression]
    # One strip of 8-bit gray, which libtiff stores as it does any tile of so many bytes.
    Image.fromarray(rows).save(file, "TIFF", compression=method, strip_size=rows.nbytes)
    with Image.open(file) as image:
        tags: Any = image.tag_v2
        (offset,), (length,) = tags[273], tags[279]
    return file.getvalue()[offset : offset + length]


def _differences(tile: NDArray[Any], predictor: int) -> NDArray[np.uint8]:
    """Rows of bytes: what a predictor leaves (TIFF 6.0, section 14, and Technical Note 3)."""
    rows, columns, samples = tile.shape
    tile = np.ascontiguousarray(tile)
    if predictor == HORIZONTAL:
        numbers = tile.view(f"u{tile.dtype.itemsize}")
        numbers = np.diff(numbers, axis=1, prepend=np.zeros_like(numbers[:, :1]))
        return numbers.reshape(rows, -1).view(np.uint8)
    if predictor == FLOATING:
        size = tile.dtype.itemsize
        # All first bytes of a row's values, then all second ones, the most significant first.
        by_value = tile.astype(tile.dtype.newbyteorder(">")).view(np.uint8)
        split = by_value.reshape(rows, columns * samples, size).swapaxes(1, 2)
        split = np.ascontiguousarray(split).reshape(rows, -1, samples)
        split = np.diff(split, axis=1, prepend=np.zeros_like(split[:, :1]))
        return split.reshape(rows, -1)
    return tile.reshape(rows, -1).view(np.uint8)
