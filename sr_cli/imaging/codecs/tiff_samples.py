"""Samples of TIFF pages, of any number and type.

libtiff, in Pillow, undoes the compression: strips or tiles are presented to it as rows of bytes.
Byte order, predictors and packed bits are undone here (TIFF 6.0, sections 3, 14 and 15; Adobe's
Photoshop TIFF Technical Note 3 for the predictor of floats).
"""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sr_cli.errors import SrError
from sr_cli.imaging.values import stored_value

NONE, DEFLATE = 1, 8
READABLE = (NONE, 5, DEFLATE, 32773, 32946, 34925, 50000)
"""None, LZW, Deflate, PackBits, Deflate under its old number, LZMA, ZSTD: libtiff decodes them."""

SEPARATE = 2
"""The value of PlanarConfiguration for channels one after the other."""

HORIZONTAL, FLOATING = 2, 3
"""Predictors."""

_KINDS = {1: "u", 2: "i", 3: "f", 4: "u"}
"""NumPy's kinds of type by SampleFormat; 4 is undefined."""

_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_ROWS = 64
_PADDING = 1 << 26
"""Values that tiles may have beyond four times those of the image."""


@dataclass(frozen=True)
class _Grid:
    """How a page is divided into segments: strips or tiles.

    Attributes:
        rows, columns: Of a segment; the last strip may have fewer rows.
        across, down: Segments of a plane.
        planes: 1, or the number of samples if they are stored one after the other.
        together: Samples of a segment.
        bits: Of a sample.
        kind: NumPy's kind of the samples.
    """

    rows: int
    columns: int
    across: int
    down: int
    planes: int
    together: int
    bits: int
    kind: str

    @property
    def row_bytes(self) -> int:
        return (self.columns * self.together * self.bits + 7) // 8


def read_samples(
    data: bytes, page: Any, *, nodata: float | None = None, allow_truncated: bool = False
) -> NDArray[Any]:
    """Decode a page: all rows, as `SampleReader`."""
    reader = SampleReader(io.BytesIO(data), page, nodata=nodata, allow_truncated=allow_truncated)
    return reader.read(0, page.imagelength)


class SampleReader:
    """Decodes rows of a page, and no more strips or tiles than they need.

    Args:
        file: Opened for reading.
        page: The page as tifffile describes it.
        nodata: The value of segments that a sparse file leaves out, if it is not 0.
        allow_truncated: Whether what is missing from the file is 0; otherwise it is an error.

    Attributes:
        shape: (h, w, samples) of the page.
        rows: Of a segment, which are best read together.
        dtype: Of the samples. Integers of less than 8 or 16 bits are widened to them.

    Raises:
        SrError: `unsupported-samples`, `unsupported-compression`, `damaged-image`.
    """

    def __init__(
        self,
        file: BinaryIO,
        page: Any,
        *,
        nodata: float | None = None,
        allow_truncated: bool = False,
    ) -> None:
        if page.compression not in READABLE:
            name = getattr(page.compression, "name", str(page.compression))
            raise SrError("unsupported-compression", compression=name)
        self._file = file
        self._page = page
        self._grid = grid = _grid(page)
        self._nodata = nodata
        self._pad = allow_truncated
        self._places = page.dataoffsets, page.databytecounts
        if min(map(len, self._places)) < grid.planes * grid.across * grid.down:
            raise SrError("damaged-image", reason="pixels are missing")
        if page.compression == NONE and grid.down == 1 and not page.is_tiled:
            self._divide_strips(page.imagelength)
        self.rows = self._grid.rows
        self.dtype = _dtype_of(grid)
        self.shape = page.imagelength, page.imagewidth, page.samplesperpixel

    def read(self, first: int, last: int) -> NDArray[Any]:
        """Decode the rows from `first` up to `last`.

        Returns:
            (rows, w, samples), not rotated.

        Raises:
            SrError: `unsupported-samples`, `damaged-image`.
        """
        try:
            return self._read(first, last)
        except (SrError, MemoryError):
            raise
        except Exception as error:
            # libtiff and NumPy raise errors of any type for damaged segments.
            raise SrError("damaged-image", hint="allow-truncated", reason=str(error)) from error

    def _read(self, first: int, last: int) -> NDArray[Any]:
        grid = self._grid
        bands = range(first // grid.rows, -(-last // grid.rows))
        each = grid.across * grid.down
        planes = []
        for plane in range(grid.planes):
            pieces = {}
            for index in range(bands.start * grid.across, bands.stop * grid.across):
                if piece := self._piece(plane * each + index):
                    pieces[index] = piece
            planes.append(_read_plane(pieces, bands, self._page, grid, self._nodata, pad=self._pad))
        whole = planes[0] if grid.planes == 1 else np.concatenate(planes, axis=2)
        above = first - bands.start * grid.rows
        return whole[above : above + last - first]

    def _divide_strips(self, height: int) -> None:
        """Read a strip of the whole image, as many files have it, as if it were several."""
        grid, (offsets, sizes) = self._grid, self._places
        if min(sizes[: grid.planes]) < height * grid.row_bytes:
            return
        tops = range(0, height, _ROWS)
        self._grid = replace(grid, rows=_ROWS, down=len(tops))
        self._places = (
            [offset + y * grid.row_bytes for offset in offsets[: grid.planes] for y in tops],
            [min(_ROWS, height - y) * grid.row_bytes for y in tops] * grid.planes,
        )

    def _piece(self, number: int) -> bytes:
        """What is stored of a segment; nothing if it is left out, or cut off where that may be."""
        offset, size = (values[number] for values in self._places)
        if not size:
            return b""
        self._file.seek(offset)
        piece = self._file.read(size)
        if len(piece) < size and not self._pad:
            raise SrError("damaged-image", hint="allow-truncated", reason="pixels are missing")
        # A part of a compressed segment cannot be decoded.
        if len(piece) < size and self._page.compression != NONE:
            return b""
        return piece.translate(_REVERSED) if self._page.fillorder == 2 else piece


def _grid(page: Any) -> _Grid:
    bits, kind = _type_of(page)
    h, w, count = page.imagelength, page.imagewidth, page.samplesperpixel
    if page.is_tiled:
        rows, columns = page.tilelength, page.tilewidth
    else:
        rows, columns = min(page.rowsperstrip or h, h), w
    if min(h, w, rows, columns) < 1:
        raise SrError("damaged-image", reason="image, strips or tiles have no size")
    separate = page.planarconfig == SEPARATE
    planes, together = (count, 1) if separate else (1, count)
    across, down = math.ceil(w / columns), math.ceil(h / rows)
    if across * columns * down * rows * together > 4 * h * w * together + _PADDING:
        raise SrError("damaged-image", reason="tiles are larger than the image")
    return _Grid(rows, columns, across, down, planes, together, bits, kind)


def _read_plane(
    pieces: Mapping[int, bytes],
    bands: range,
    page: Any,
    grid: _Grid,
    nodata: float | None,
    *,
    pad: bool,
) -> NDArray[Any]:
    """Decode the segments of a plane, by number, to (rows of the bands, w, samples together)."""
    h, w = page.imagelength, page.imagewidth
    start, stop = bands.start * grid.rows, min(h, bands.stop * grid.rows)
    # Strips end with the image, tiles are always whole.
    height = {
        index: grid.rows if page.is_tiled else min(grid.rows, h - index * grid.rows)
        for index in pieces
    }
    raw = _decompress(pieces, height, grid, page.compression, pad=pad)
    values = _undo_layout(raw, page, grid)
    shape = stop - start, w, grid.together
    plane = np.full(shape, stored_value(nodata, values.dtype) or 0, values.dtype)
    y = 0
    for index, length in height.items():
        top, left = index // grid.across * grid.rows - start, index % grid.across * grid.columns
        place = plane[top : top + length, left : left + grid.columns]
        place[...] = values[y : y + place.shape[0], : place.shape[1]]
        y += length
    return plane


def _type_of(page: Any) -> tuple[int, str]:
    """Bits and NumPy's kind of all samples."""
    every_bits = _each(page.tags.valueof(258, page.bitspersample))
    formats = _each(page.tags.valueof(339, 1))
    bits, kind = every_bits[0], _KINDS.get(int(formats[0]))
    if set(every_bits) != {bits} or len({int(f) for f in formats}) > 1:
        raise SrError("unsupported-samples", samples=" + ".join(f"{b}-bit" for b in every_bits))
    allowed = {"u": (*range(1, 17), 32), "i": (8, 16, 32), "f": (16, 32, 64)}
    if kind is None or bits not in allowed[kind]:
        name = {2: "int", 3: "float", 5: "complex int", 6: "complex"}.get(int(formats[0]), "uint")
        raise SrError("unsupported-samples", samples=f"{bits}-bit {name}")
    if page.imagedepth != 1:
        raise SrError("unsupported-samples", samples="3-D")
    return bits, kind


def _dtype_of(grid: _Grid) -> np.dtype[Any]:
    """The type that samples have once they are decoded."""
    bits = grid.bits if grid.kind != "u" or grid.bits == 32 else 8 if grid.bits <= 8 else 16
    return np.dtype(f"{grid.kind}{bits // 8}")


def _each(value: Any) -> Sequence[Any]:
    return value if isinstance(value, tuple) else (value,)


def _decompress(
    pieces: Mapping[int, bytes],
    height: Mapping[int, int],
    grid: _Grid,
    compression: int,
    *,
    pad: bool,
) -> NDArray[np.uint8]:
    """Undo the compression of segments.

    Args:
        pieces: What is stored, by number of segment.
        height: The rows of each.
        grid: How the page is divided.
        compression: As in the file.
        pad: Whether segments without compression that are too short are filled with 0.

    Returns:
        (all rows, row_bytes).
    """
    row_bytes = grid.row_bytes
    rows = sum(height.values())
    if not pieces:
        return np.zeros((0, row_bytes), np.uint8)
    if compression == NONE:
        sizes = [height[index] * row_bytes for index in pieces]
        cut = [piece[:size] for piece, size in zip(pieces.values(), sizes, strict=True)]
        if pad:
            cut = [piece.ljust(size, b"\0") for piece, size in zip(cut, sizes, strict=True)]
        raw = b"".join(cut)
        if len(raw) < sum(sizes):
            raise SrError("damaged-image", hint="allow-truncated", reason="pixels are missing")
        return np.frombuffer(raw, np.uint8).reshape(rows, row_bytes)
    file = _as_gray_file(list(pieces.values()), rows, grid.rows, row_bytes, compression)
    with Image.open(io.BytesIO(file), formats=["TIFF"]) as image:
        return np.asarray(image)


def _as_gray_file(
    pieces: Sequence[bytes], height: int, rows: int, row_bytes: int, compression: int
) -> bytes:
    """A BigTIFF of 8-bit gray with these strips."""
    count = len(pieces)
    sizes = [len(piece) for piece in pieces]
    entries = 9
    values_at = 16 + 8 + entries * 20 + 8
    pixels_at = values_at + 16 * count
    offsets = np.cumsum([pixels_at, *sizes[:-1]]).tolist()
    tags = [
        (256, 1, row_bytes),
        (257, 1, height),
        (258, 1, 8),
        (259, 1, int(compression)),
        (262, 1, 1),
        # A single value stands in the entry itself.
        (273, count, values_at if count > 1 else offsets[0]),
        (277, 1, 1),
        (278, 1, rows),
        (279, count, values_at + 8 * count if count > 1 else sizes[0]),
    ]
    head = struct.pack("<2sHHHQQ", b"II", 43, 8, 0, 16, entries)
    # LONG8 (16) for offsets and sizes, LONG (4) for the rest.
    head += b"".join(
        struct.pack("<HHQQ", tag, 16 if tag in (273, 279) else 4, number, value)
        for tag, number, value in tags
    )
    head += struct.pack(f"<Q{2 * count}Q", 0, *offsets, *sizes)
    return b"".join([head, *pieces])


def _undo_layout(raw: NDArray[np.uint8], page: Any, grid: _Grid) -> NDArray[Any]:
    """Convert rows of bytes to (rows, columns, samples) in the machine's byte order."""
    bits, kind, order = grid.bits, grid.kind, page.parent.byteorder
    shape = grid.columns, grid.together
    whole = (len(raw), *shape)
    if kind == "u" and bits not in (8, 16, 32):
        if page.predictor != 1:
            raise SrError("unsupported-samples", samples=f"{bits}-bit uint with a predictor")
        return _unpack(raw, bits, math.prod(shape)).reshape(whole)
    dtype = np.dtype(f"{order}{kind}{bits // 8}")
    if page.predictor == FLOATING:
        split = np.cumsum(raw.reshape(len(raw), -1, shape[1]), axis=1, dtype=np.uint8)
        # All first bytes of a row's values, then all second ones, the most significant first.
        by_value = split.reshape(len(raw), bits // 8, -1).swapaxes(1, 2)
        joined = np.ascontiguousarray(by_value).view(f">{kind}{bits // 8}")
        return joined.reshape(whole).astype(dtype.newbyteorder("="))
    values = np.ascontiguousarray(raw).view(dtype).reshape(whole).astype(dtype.newbyteorder("="))
    if page.predictor == HORIZONTAL:
        whole_numbers = values.view(f"u{bits // 8}")
        np.cumsum(whole_numbers, axis=1, dtype=whole_numbers.dtype, out=whole_numbers)
    elif page.predictor != 1:
        raise SrError("unsupported-samples", samples=f"predictor {int(page.predictor)}")
    return values


def _unpack(raw: NDArray[np.uint8], bits: int, count: int) -> NDArray[Any]:
    """Split rows into `count` integers, and widen them to all of 8 or 16 bits."""
    dtype: Any = np.uint8 if bits < 8 else np.uint16
    values = np.empty((len(raw), count), dtype)
    weights = 1 << np.arange(bits - 1, -1, -1)
    widened = np.round(np.linspace(0, np.iinfo(dtype).max, 2**bits)).astype(dtype)
    for y in range(0, len(raw), _ROWS):
        part = np.unpackbits(raw[y : y + _ROWS], axis=1)[:, : count * bits]
        values[y : y + _ROWS] = widened[part.reshape(len(part), count, bits) @ weights]
    return values
