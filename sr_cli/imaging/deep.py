"""Reading 16 bits a channel where Pillow would read the upper 8 alone, or nothing."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sr_cli.errors import SrError
from sr_cli.imaging.picture import Frame, upright

_PREMULTIPLIED, _STRAIGHT = 1, 2
"""What a TIFF's ExtraSamples calls alpha; 0 is anything else."""


def tiff_tag(image: Image.Image, tag: int, default: Any) -> Any:
    """A tag of the current page, or `default`."""
    tags: Any = getattr(image, "tag_v2", {})
    return tags.get(tag, default)


@dataclass(frozen=True)
class DeepPage:
    """What the tags of one frame of 16-bit colour say: its fourth channel, channels one after the
    other instead of pixels, its EXIF orientation.
    """

    fourth: int = _STRAIGHT
    in_planes: bool = False
    orientation: int = 1


def deep_page(image: Image.Image, data: bytes) -> DeepPage | None:
    """The current frame, if it has 16 bits in several channels."""
    if image.format == "PNG":
        return DeepPage() if data[24] == 16 and data[25] in (2, 4, 6) else None
    bits = tiff_tag(image, 258, (8,)) if image.format == "TIFF" else ()
    bits = bits if isinstance(bits, tuple) else (bits,)
    if len(bits) < 2 or set(bits) != {16} or tiff_tag(image, 262, 2) not in (1, 2):
        return None
    fourth = tiff_tag(image, 338, _STRAIGHT)
    fourth = fourth[0] if isinstance(fourth, tuple) else fourth
    return DeepPage(fourth, tiff_tag(image, 284, 1) == 2, tiff_tag(image, 274, 1))


@contextmanager
def _silent_opencv() -> Iterator[None]:
    """What it would print about a damaged file is told as an error of ours."""
    # OpenCV 5 keeps these functions in another place than OpenCV 4.
    log: Any = getattr(cv2.utils, "logging", cv2)
    level = log.getLogLevel()
    log.setLogLevel(0)
    try:
        yield
    finally:
        log.setLogLevel(level)


def read_deep_frames(
    image: Image.Image, data: bytes, wanted: dict[int, DeepPage]
) -> dict[int, Frame]:
    """The frames `wanted`, by index, upright where the file is a TIFF.

    Raises:
        SrError: `unsupported-16-bit-image`, `damaged-image`.
    """
    pages: Sequence[NDArray[Any]] = ()
    if not all(page.in_planes for page in wanted.values()):
        with _silent_opencv():
            ok, pages = cv2.imdecodemulti(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        if not ok or len(pages) <= max(wanted):
            raise SrError("unsupported-16-bit-image")
    gray_with_alpha = image.format == "PNG" and data[25] == 4
    transparent = image.info.get("transparency")
    frames = {}
    for index, page in wanted.items():
        # OpenCV takes channels one after the other for pixels; what it reads, it turns upright.
        pixels = _read_planes(data, index, page) if page.in_planes else pages[index]
        frames[index] = _frame(pixels, gray_with_alpha, page.fourth, transparent)
    return frames


def _read_planes(data: bytes, index: int, page: DeepPage) -> NDArray[Any]:
    """A TIFF's page whose channels lie one after the other, upright, in OpenCV's order."""
    import tifffile

    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    try:
        with tifffile.TiffFile(io.BytesIO(data)) as tiff:
            values = np.moveaxis(tiff.pages[index].asarray(), 0, -1)
    except Exception as error:
        raise SrError("damaged-image", reason=str(error)) from error
    return upright(np.dstack([values[..., 2::-1], values[..., 3:]]), page.orientation)


def _frame(page: NDArray[Any], gray: bool, fourth: int, transparent: Any) -> Frame:
    if page.dtype != np.uint16:
        raise SrError("unsupported-16-bit-image")
    if page.ndim == 2:
        return Frame(page)
    colour = np.ascontiguousarray(page[:, :, 2::-1])
    has_alpha = page.shape[2] == 4 and fourth in (_PREMULTIPLIED, _STRAIGHT)
    alpha = np.ascontiguousarray(page[:, :, 3]) if has_alpha else None
    if alpha is None and isinstance(transparent, tuple):
        alpha = np.where((colour == np.array(transparent)).all(2), 0, 65535).astype(np.uint16)
    if fourth == _PREMULTIPLIED and alpha is not None:
        colour = _divided(colour, alpha[..., None])
    return Frame(np.ascontiguousarray(colour[..., 0]) if gray else colour, alpha)


def _divided(values: NDArray[Any], alpha: NDArray[Any]) -> NDArray[Any]:
    """Straight colour from colour times alpha, both of 16 bits."""
    share = np.maximum(alpha, 1).astype(np.float32) / 65535
    straight: NDArray[np.uint16] = np.minimum(values / share + 0.5, 65535).astype(np.uint16)
    return straight


def read_gray_alpha_tiff(data: bytes, max_pixels: int) -> list[Frame] | None:
    """A TIFF's pages of 16-bit gray with alpha, as they lie; None for anything else.

    Pillow does not know this kind.

    Raises:
        SrError: `too-many-pixels`; `damaged-image`, also for an unknown compression.
    """
    import tifffile

    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    try:
        with tifffile.TiffFile(io.BytesIO(data)) as tiff:
            pages = [p for p in tiff.pages if isinstance(p, tifffile.TiffPage)]
            if not pages or any(p.samplesperpixel != 2 or p.dtype != np.uint16 for p in pages):
                return None
            pixels = sum(p.imagewidth * p.imagelength for p in pages)
            if pixels > max_pixels:
                raise SrError("too-many-pixels", pixels=pixels, max_pixels=max_pixels)
            frames = []
            for page in pages:
                values = page.asarray()
                if page.planarconfig == tifffile.PLANARCONFIG.SEPARATE:
                    values = np.moveaxis(values, 0, -1)
                gray, second = (np.ascontiguousarray(values[..., i]) for i in (0, 1))
                if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE:
                    gray = 65535 - gray
                kind = int((page.extrasamples or (_STRAIGHT,))[0])
                alpha = second if kind in (_PREMULTIPLIED, _STRAIGHT) else None
                if kind == _PREMULTIPLIED:
                    gray = _divided(gray, second)
                frames.append(Frame(gray, alpha))
            return frames
    except SrError:
        raise
    except Exception as error:
        raise SrError("damaged-image", reason=str(error)) from error
