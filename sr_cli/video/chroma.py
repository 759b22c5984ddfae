"""Chroma by bicubic at its own resolution, each sample at its place between those of luma."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sr_cli.imaging.edges import positions_beyond
from sr_cli.imaging.resize import Taps, keys_cubic
from sr_cli.video.encoding import SITED_LEFT, Encoding
from sr_cli.video.probe import Clip


def resize_chroma(plane: NDArray[Any], clip: Clip, encoding: Encoding) -> NDArray[Any]:
    """Resize a plane of chroma.

    Args:
        plane: (h, w), integers.
        clip: What it is from.
        encoding: Of the result.

    Returns:
        Integers, or float32, not rounded.
    """
    steps = {"420": (2, 2), "422": (2, 1)}.get(clip.layout.kind, (1, 1))
    offsets = [(step - 1) / 2 for step in steps]
    across = [0.0 if clip.codec in SITED_LEFT else offsets[0]]
    across.append(0.0 if encoding.sited_left else offsets[0])
    scales = encoding.width / clip.width, encoding.height / clip.height
    places = (
        _place(steps[0], scales[0], *across),
        _place(steps[1], scales[1], offsets[1], offsets[1]),
    )
    width, height = -(-encoding.width // steps[0]), -(-encoding.height // steps[1])
    if all(scale.is_integer() for scale in scales):
        plane = plane if plane.dtype == np.uint8 else plane.astype(np.float32)
        whole = int(scales[0]), int(scales[1])
        enlarged: NDArray[Any] = _by_phases(plane, whole, places)[:height, :width]
        return enlarged
    tall = _taps(len(plane), height, scales[1], places[1]).apply(plane)
    both = _taps(plane.shape[1], width, scales[0], places[0]).apply(tall.swapaxes(0, 1))
    resized: NDArray[Any] = both.swapaxes(0, 1).astype(np.float32)
    return resized


def _place(step: int, scale: float, source: float, target: float) -> float:
    """Where the first sample of the target lies in the source, in samples of the source.

    Args:
        step: Luma pixels from one sample to the next.
        scale: Of luma.
        source: Where the first sample of the source lies, in luma pixels.
        target: Where that of the target lies.
    """
    return ((target + 0.5) / scale - 0.5 - source) / step


def _taps(length: int, out: int, scale: float, place: float) -> Taps:
    """The taps along an axis.

    Args:
        length, out: Samples before and after.
        scale: At least 1.
        place: Where the first sample of the result lies.
    """
    places = place + np.arange(out) / scale
    index = np.floor(places).astype(np.int64)[:, None] + np.arange(-1, 3)
    mirrored = positions_beyond(0, 2 * length, length)[index % (2 * length)]
    return Taps(mirrored, keys_cubic(places[:, None] - index))


def _by_phases(
    plane: NDArray[Any], scales: tuple[int, int], places: tuple[float, float]
) -> NDArray[Any]:
    """Enlarge by whole numbers: every `scale`-th sample has the same kernel, which is fast.

    Args:
        plane: (h, w), uint8 or float32.
        scales, places: Across and down.
    """
    h, w = plane.shape
    result = np.empty((h * scales[1], w * scales[0]), plane.dtype)
    across, down = (
        [_kernel(phase / scale + place) for phase in range(scale)]
        for scale, place in zip(scales, places, strict=True)
    )
    for y, (kernel_y, anchor_y) in enumerate(down):
        for x, (kernel_x, anchor_x) in enumerate(across):
            result[y :: scales[1], x :: scales[0]] = cv2.sepFilter2D(
                plane,
                -1,
                kernel_x,
                kernel_y,
                anchor=(anchor_x, anchor_y),
                borderType=cv2.BORDER_REFLECT,
            )
    return result


def _kernel(place: float) -> tuple[NDArray[np.float32], int]:
    """The four taps around a place, in samples, and which of them is sample 0."""
    before = math.floor(place)
    distances = np.arange(-1, 3) - np.float64(place - before)
    return keys_cubic(distances).astype(np.float32), 1 - before
