"""OpenCV, where Pillow decodes only the upper 8 of 16 bits, or is not lossless.

It is imported where it is used: most images do not need it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sr_cli.errors import SrError
from sr_cli.imaging.picture import Frame


def decode_deep(data: bytes) -> NDArray[np.uint16]:
    """Decode a file of 16 bits.

    Args:
        data: The file.

    Returns:
        (h, w) or (h, w, C) in BGR order.

    Raises:
        SrError: `unsupported-16-bit-image`.
    """
    import cv2

    with _silent():
        ok, frames = cv2.imdecodemulti(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if not ok or not len(frames) or frames[0].dtype != np.uint16:
        raise SrError("unsupported-16-bit-image")
    return np.asarray(frames[0], np.uint16)


def split_channels(
    pixels: NDArray[np.uint16],
) -> tuple[NDArray[np.uint16], NDArray[np.uint16] | None]:
    """Split (h, w[, C]) in BGR order into gray or RGB, and the fourth channel or None."""
    if pixels.ndim == 2:
        return pixels, None
    fourth = np.ascontiguousarray(pixels[..., 3]) if pixels.shape[2] == 4 else None
    return np.ascontiguousarray(pixels[..., 2::-1]), fourth


def encode_lossless_avif(frame: Frame, blocks: Mapping[str, bytes]) -> tuple[bytes, bool]:
    """Encode an 8-bit frame as lossless AVIF; Pillow always converts to YCbCr, which rounds.

    Args:
        frame: Gray becomes RGB.
        blocks: Metadata by OpenCV's names: EXIF (a TIFF block), XMP, ICCP.

    Returns:
        The file, and whether it has the metadata: OpenCV before 5 writes none.

    Raises:
        SrError: `encoding-failed`.
    """
    import cv2

    colour = frame.pixels if frame.pixels.ndim == 3 else np.dstack([frame.pixels] * 3)
    parts = [colour[..., ::-1]] + ([] if frame.alpha is None else [frame.alpha])
    pixels, options = np.dstack(parts), [cv2.IMWRITE_AVIF_QUALITY, 100]
    with_metadata = getattr(cv2, "imencodeWithMetadata", None)
    has_kinds = all(hasattr(cv2, f"IMAGE_METADATA_{name}") for name in blocks)
    try:
        if blocks and with_metadata is not None and has_kinds:
            kinds = [getattr(cv2, f"IMAGE_METADATA_{name}") for name in blocks]
            contents = [np.frombuffer(block, np.uint8)[None] for block in blocks.values()]
            ok, encoded = with_metadata(".avif", pixels, kinds, contents, options)
        else:
            has_kinds = not blocks
            ok, encoded = cv2.imencode(".avif", pixels, options)
    except cv2.error as error:
        raise SrError("encoding-failed", format="AVIF", reason=str(error)) from error
    if not ok:
        raise SrError("encoding-failed", format="AVIF", reason="OpenCV cannot encode it")
    return encoded.tobytes(), has_kinds


@contextmanager
def _silent() -> Iterator[None]:
    """Silence OpenCV's log: damaged files are reported as errors."""
    import cv2

    # OpenCV 4 has these functions in cv2.utils.logging, OpenCV 5 in cv2.
    log: Any = getattr(cv2.utils, "logging", cv2)
    level = log.getLogLevel()
    log.setLogLevel(0)
    try:
        yield
    finally:
        log.setLogLevel(level)
