"""OpenCV where Pillow decodes the upper 8 of 16 bits alone, or rounds what is to be lossless."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sr_cli.errors import SrError
from sr_cli.imaging.picture import Frame


def decode_frames(data: bytes) -> Sequence[NDArray[Any]]:
    """All frames or pages of a file, in OpenCV's order of channels, a TIFF's turned upright.

    Raises:
        SrError: `unsupported-16-bit-image`.
    """
    with _silent():
        ok, frames = cv2.imdecodemulti(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if not ok:
        raise SrError("unsupported-16-bit-image")
    return frames


def frame_at(frames: Sequence[NDArray[Any]], index: int) -> NDArray[np.uint16]:
    """One of the frames decoded.

    Raises:
        SrError: `unsupported-16-bit-image` where it is not there, or has another depth.
    """
    if index >= len(frames) or frames[index].dtype != np.uint16:
        raise SrError("unsupported-16-bit-image")
    return frames[index]


def split_channels(
    pixels: NDArray[np.uint16],
) -> tuple[NDArray[np.uint16], NDArray[np.uint16] | None]:
    """(h, w[, C]) in OpenCV's order as gray or RGB, and the fourth channel where there is one."""
    if pixels.ndim == 2:
        return pixels, None
    fourth = np.ascontiguousarray(pixels[..., 3]) if pixels.shape[2] == 4 else None
    return np.ascontiguousarray(pixels[..., 2::-1]), fourth


def encode_lossless_avif(frame: Frame) -> bytes:
    """An 8-bit frame as AVIF without loss: Pillow's always passes through YCbCr, which rounds.

    Raises:
        SrError: `encoding-failed`.
    """
    colour = frame.pixels if frame.pixels.ndim == 3 else np.dstack([frame.pixels] * 3)
    parts = [colour[..., ::-1]] + ([] if frame.alpha is None else [frame.alpha])
    ok, encoded = cv2.imencode(".avif", np.dstack(parts), [cv2.IMWRITE_AVIF_QUALITY, 100])
    if not ok:
        raise SrError("encoding-failed", format="AVIF", reason="OpenCV cannot encode it")
    return encoded.tobytes()


@contextmanager
def _silent() -> Iterator[None]:
    """What it would print about a damaged file is told as an error of ours."""
    # OpenCV 5 keeps these functions in another place than OpenCV 4.
    log: Any = getattr(cv2.utils, "logging", cv2)
    level = log.getLogLevel()
    log.setLogLevel(0)
    try:
        yield
    finally:
        log.setLogLevel(level)
