"""Bicubic resizing exactly like MATLAB's imresize, which defines lr in the papers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sr_cli.imaging.edges import positions_beyond

Edges = Literal["mirror", "wrap", "open"]

_CACHED = 1 << 15
"""Samples that are summed at once, so that they stay in the cache of a processor."""


@dataclass(frozen=True)
class Taps:
    """A resize along one axis: each output position is a weighted sum of k input positions.

    Attributes:
        index: (out, k) input positions.
        weight: (out, k); each row sums to 1.
    """

    index: NDArray[np.int64]
    weight: NDArray[np.float64]

    def rows(self, start: int, stop: int) -> Taps:
        """The taps of the output positions from `start` up to `stop`."""
        return Taps(self.index[start:stop], self.weight[start:stop])

    def apply(self, pixels: NDArray[Any], *, offset: int = 0) -> NDArray[np.float64]:
        """Resize along the first axis.

        Args:
            pixels: (n, ...) of any type.
            offset: The input position of the first row, if `pixels` is a part of the image.

        Returns:
            (out, ...) float64, neither rounded nor clipped.
        """
        shape = (-1,) + (1,) * (pixels.ndim - 1)
        # What is gathered below is then in memory side by side.
        pixels = np.ascontiguousarray(pixels)
        total = np.zeros((len(self.index), *pixels.shape[1:]))
        few = max(1, _CACHED // max(1, pixels[:1].size))
        weighted = np.empty((few, *pixels.shape[1:]))
        for start in range(0, len(total), few):
            part = self.rows(start, start + few)
            added = weighted[: len(part.index)]
            for tap in range(part.index.shape[1]):
                near = pixels[part.index[:, tap] - offset]
                np.multiply(part.weight[:, tap].reshape(shape), near, out=added)
                total[start : start + few] += added
        return total


def keys_cubic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Keys's cubic kernel with a = -0.5 (Keys 1981, equation 15), as used by MATLAB."""
    d = np.abs(x)
    near = 1.5 * d**3 - 2.5 * d**2 + 1
    far = -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2
    return np.where(d <= 1, near, np.where(d <= 2, far, 0.0))


@lru_cache(maxsize=512)
def bicubic_taps(length: int, out: int, scale: float, *, edges: Edges = "mirror") -> Taps:
    """The taps of MATLAB's bicubic.

    Args:
        length: Input pixels.
        out: Output pixels.
        scale: The requested ratio, which `out` may round; below 1 it widens the kernel
            (antialiasing).
        edges: What lies beyond the borders: `mirror`, as in MATLAB, where the edge pixel repeats;
            `wrap`, the other end; `open` leaves positions below 0 or from `length` as they are.
    """
    stretch = min(scale, 1.0)
    width = 4.0 / stretch
    centre = (np.arange(1, out + 1)) / scale + 0.5 * (1 - 1 / scale)
    left = np.floor(centre - width / 2)
    position = left[:, None] + np.arange(math.ceil(width) + 2)[None, :]
    weight = stretch * keys_cubic(stretch * (centre[:, None] - position))
    weight /= weight.sum(1, keepdims=True)
    index = position.astype(np.int64) - 1
    if edges == "mirror":
        index = positions_beyond(0, 2 * length, length)[index % (2 * length)]
    elif edges == "wrap":
        index %= length
    used = np.any(weight != 0, axis=0)
    return Taps(np.ascontiguousarray(index[:, used]), np.ascontiguousarray(weight[:, used]))


def to_samples(pixels: NDArray[np.float64], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Convert to the type of an image, as MATLAB does.

    For uint8 and uint16, round half up and saturate; float32 is neither rounded nor limited.
    """
    if dtype.kind == "f":
        return pixels.astype(dtype)
    rounded = pixels + 0.5
    np.floor(rounded, out=rounded)
    return np.clip(rounded, 0, np.iinfo(dtype).max, out=rounded).astype(dtype)


def vertical_first(h: int, w: int, height: int, width: int) -> bool:
    """Whether to resize vertically first, as MATLAB does unless the width shrinks more.

    Differences from rounding the same factor to whole pixels do not count.

    Args:
        h, w: The size of the input.
        height, width: The size of the result.
    """
    rounding = 1 / min(height, width)
    return width / w >= height / h * (1 - rounding)


def resize_bicubic(
    image: NDArray[Any],
    height: int,
    width: int,
    *,
    rounded_between: bool = True,
    edges: tuple[Edges, Edges] = ("mirror", "mirror"),
) -> NDArray[Any]:
    """Resize an image to any size, as MATLAB's imresize(image, [height width], 'bicubic').

    Args:
        image: (h, w) or (h, w, C), uint8, uint16 or float32.
        height: Of the result.
        width: Of the result.
        rounded_between: Round to integers between the two passes, in MATLAB's order (see
            `vertical_first`).
        edges: Above and below, and at the sides; see `bicubic_taps`.

    Returns:
        (height, width[, C]) of the same type.
    """
    h, w = image.shape[:2]
    vertical = bicubic_taps(h, height, height / h, edges=edges[0])
    horizontal = bicubic_taps(w, width, width / w, edges=edges[1])
    if not rounded_between:
        exact = horizontal.apply(vertical.apply(image).swapaxes(0, 1)).swapaxes(0, 1)
        return np.ascontiguousarray(to_samples(exact, image.dtype))
    if not vertical_first(h, w, height, width):
        wide = to_samples(horizontal.apply(image.swapaxes(0, 1)), image.dtype).swapaxes(0, 1)
        return to_samples(vertical.apply(wide), image.dtype)
    tall = to_samples(vertical.apply(image), image.dtype)
    both = to_samples(horizontal.apply(tall.swapaxes(0, 1)), image.dtype).swapaxes(0, 1)
    return np.ascontiguousarray(both)


def crop_to_multiple(image: NDArray[Any], scale: int) -> NDArray[Any]:
    """The top left part whose height and width are multiples of `scale`."""
    h, w = image.shape[:2]
    return image[: h - h % scale, : w - w % scale]


def downscale_bicubic(hr: NDArray[Any], scale: int) -> NDArray[Any]:
    """Downscale hr to lr, like MATLAB's imresize(hr, 1/scale, 'bicubic').

    MATLAB's files of Set5 are rounded between the passes up to x4, but not above.

    Args:
        hr: (h, w[, C]) uint8 or uint16, cropped to a multiple of `scale` first.
        scale: The factor of the reduction.

    Returns:
        (h // scale, w // scale[, C]) of the same type.
    """
    hr = crop_to_multiple(hr, scale)
    size = hr.shape[0] // scale, hr.shape[1] // scale
    return resize_bicubic(hr, *size, rounded_between=scale <= 4)
