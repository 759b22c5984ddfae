"""TIFF files whose strips or tiles are compressed by libtiff, byte by byte as the standard says."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from helpers.images import smooth

TYPES = {"u": 1, "i": 2, "f": 3, "c": 6}
"""Values of SampleFormat by NumPy's kinds."""
MEASURED_TYPES = ["int8", "int16", "uint32", "int32", "float16", "float32", "float64"]
"""Of samples that only measurements have."""


def tiff(
    samples: NDArray[Any],
    *,
    compression: str | None = None,
    predictor: int = 1,
    planar: bool = False,
    photometric: int = 1,
    extra: tuple[int, ...] = (),
    order: str = "<",
    rows: int = 8,
    bits: int | None = None,
) -> bytes:
    """A TIFF of one page in strips.

    Args:
        samples: (h, w, n).
        compression: Pillow's name of it, for instance `tiff_lzw`.
        predictor: 2 for differences, of integers.
        planar: Whether channels are stored one after the other.
        photometric: A value of PhotometricInterpretation.
        extra: Values of ExtraSamples.
        order: `<` or `>`.
        rows: Of a strip.
        bits: Per sample, if they are packed.
    """
    h, w, count = samples.shape
    if predictor == 2:
        samples = np.diff(samples, axis=1, prepend=samples[:, :1] * 0)
    stored = samples.astype(samples.dtype.newbyteorder(order))
    planes = [stored[..., i : i + 1] for i in range(count)] if planar else [stored]
    strips = [_packed(plane[y : y + rows], bits) for plane in planes for y in range(0, h, rows)]
    pieces = [_compressed(strip, compression) for strip in strips]
    each = bits or samples.dtype.itemsize * 8
    method = {None: 1, "tiff_lzw": 5, "tiff_adobe_deflate": 8, "packbits": 32773}[compression]
    tags: list[tuple[int, list[int]]] = [
        (256, [w]), (257, [h]), (258, [each] * count), (259, [method]), (262, [photometric]),
        (273, []), (277, [count]), (278, [rows]), (279, [len(p) for p in pieces]),
        (284, [2 if planar else 1]), (317, [predictor]), (338, list(extra)),
        (339, [TYPES[samples.dtype.kind]] * count),
    ]  # fmt: skip
    tags = [(tag, values) for tag, values in tags if values or tag == 273]
    values_at = 8 + 2 + 12 * len(tags) + 4
    room = sum(4 * len(v) for _, v in tags if len(v) > 1) + (4 * len(pieces) if pieces[1:] else 0)
    offsets = np.cumsum([values_at + room, *map(len, pieces[:-1])]).tolist()
    directory, long = struct.pack(order + "H", len(tags)), b""
    for tag, values in tags:
        stored_values = offsets if tag == 273 else values
        count = len(stored_values)
        place = stored_values[0] if count == 1 else values_at + len(long)
        directory += struct.pack(order + "HHII", tag, 4, count, place)
        long += struct.pack(f"{order}{count}I", *stored_values) if count > 1 else b""
    head = struct.pack(order + "2sHI", b"II" if order == "<" else b"MM", 42, 8)
    return head + directory + bytes(4) + long + b"".join(pieces)


def _packed(strip: NDArray[Any], bits: int | None) -> NDArray[np.uint8]:
    rows = np.ascontiguousarray(strip).reshape(len(strip), -1)
    if bits is None:
        return rows.view(np.uint8)
    wide = rows.astype(">u2").view(np.uint8).reshape(*rows.shape, 2)
    return np.packbits(np.unpackbits(wide, axis=2)[..., 16 - bits :].reshape(len(rows), -1), axis=1)


def _compressed(strip: NDArray[np.uint8], compression: str | None) -> bytes:
    if compression is None:
        return strip.tobytes()
    file = io.BytesIO()
    Image.fromarray(strip).save(file, "TIFF", compression=compression, strip_size=1 << 20)
    with Image.open(file) as image:
        (offset,), (size,) = image.tag_v2[273], image.tag_v2[279]
    return file.getvalue()[offset : offset + size]


def waves(h: int = 24, w: int = 30, *, low: float = 0, high: float = 1, channels: int = 1) -> Any:
    """Smooth values from `low` to `high`, (h, w) or (h, w, channels), float64."""
    planes = [smooth(h, w, seed=i, top=65535)[..., 0] for i in range(channels)]
    values = np.stack(planes, axis=-1).astype(np.float64)
    values = (values - values.min()) / (values.max() - values.min()) * (high - low) + low
    return values[..., 0] if channels == 1 else values


def random_samples(*shape: int, dtype: str) -> Any:
    """Random values of a type, for integers over its whole range."""
    random = np.random.default_rng(0)
    if dtype.startswith("float"):
        return (random.normal(size=shape) * 1000).astype(dtype)
    kind = np.iinfo(dtype)
    return random.integers(kind.min, kind.max, shape, dtype, endpoint=True)
