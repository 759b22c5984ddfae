"""`--steady`: what is still stays still, by reusing the result where the clip did not change."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sr_cli.video.frames import Planes
from sr_cli.video.paths import FramePath

BLOCK = 16
"""Side of a block in lr pixels: it is reused or computed as a whole."""

_MOST_CHANGED = 0.6
"""The share of changed blocks from which a frame is taken as a whole, as after a cut."""

_MOST_NOISE = 4.0
"""The most noise that is taken for noise, as a standard deviation in levels of 8 bits."""

_WINDOW = 8
_SIGMAS = 6.0


class SteadyFrames:
    """Computes frames, and keeps the result of the blocks that did not change beyond noise.

    Each block is compared with the frame from which its result was computed, not with the previous
    frame, so that slow changes are followed.

    Args:
        path: What computes frames.
    """

    def __init__(self, path: FramePath) -> None:
        self._path = path
        self._lr: Planes = ()
        self._sr: Planes = ()

    def reset(self) -> None:
        """Forget the past: the next frame is computed as a whole."""
        self._lr, self._sr = (), ()

    def compute(self, prepared: Planes) -> Planes:
        """As `FramePath.compute`."""
        if not self._lr:
            return self._take_whole(prepared)
        changed = changed_blocks(self._lr[0], prepared[0])
        if not changed.any():
            return self._sr
        if changed.mean() > _MOST_CHANGED:
            return self._take_whole(prepared)
        computed = self._path.compute(prepared)
        self._lr = tuple(
            np.where(_stretched(changed, plane, smooth=False) > 0.5, plane, before)
            for plane, before in zip(prepared, self._lr, strict=True)
        )
        self._sr = tuple(
            _mixed(before, plane, _stretched(changed, plane, smooth=True))
            for plane, before in zip(computed, self._sr, strict=True)
        )
        return self._sr

    def _take_whole(self, prepared: Planes) -> Planes:
        self._lr, self._sr = prepared, self._path.compute(prepared)
        return self._sr


def changed_blocks(before: NDArray[Any], now: NDArray[Any]) -> NDArray[np.bool_]:
    """Which blocks changed beyond noise, with their neighbours, into which networks see.

    Args:
        before: (h, w) or (h, w, 3), integers.
        now: Of the same shape and type.

    Returns:
        (rows, columns), one for each block.
    """
    levels = 255.0 / np.iinfo(now.dtype).max
    change = (now.astype(np.float32) - before.astype(np.float32)) * levels
    local = cv2.blur(change, (_WINDOW, _WINDOW))
    # Around its local mean, which fades move; the noise of a difference is that of two frames.
    noise = float(np.median(np.abs(change - local))) * 1.4826
    noise = min(noise, _MOST_NOISE * float(np.sqrt(2)))
    beyond: NDArray[Any] = np.abs(local) > max(1.0, _SIGMAS * noise / _WINDOW)
    beyond |= np.abs(change) > max(8.0, _SIGMAS * noise)
    if beyond.ndim == 3:
        beyond = np.any(beyond, axis=2)
    h, w = beyond.shape
    padded = np.zeros((-(-h // BLOCK) * BLOCK, -(-w // BLOCK) * BLOCK), np.bool_)
    padded[:h, :w] = beyond
    blocks = padded.reshape(-1, BLOCK, padded.shape[1] // BLOCK, BLOCK).any(axis=(1, 3))
    grown: NDArray[Any] = cv2.dilate(np.asarray(blocks, np.uint8), np.ones((3, 3), np.uint8))
    return grown > 0


def _stretched(changed: NDArray[np.bool_], plane: NDArray[Any], *, smooth: bool) -> NDArray[Any]:
    """Blocks at the size of a plane, 0 to 1; smooth ones have no edges between blocks."""
    h, w = plane.shape[:2]
    mask: NDArray[Any] = cv2.resize(
        changed.astype(np.float32),
        (w, h),
        interpolation=cv2.INTER_LINEAR if smooth else cv2.INTER_NEAREST,
    )
    return mask[..., None] if plane.ndim == 3 else mask


def _mixed(before: NDArray[Any], now: NDArray[Any], share: NDArray[Any]) -> NDArray[Any]:
    mixed = before + share * (now.astype(np.float32) - before)
    rounded = mixed if now.dtype.kind == "f" else np.rint(mixed)
    result: NDArray[Any] = rounded.astype(now.dtype)
    return result
