"""Reading 16 bits a channel where Pillow would read the upper 8 alone, or nothing."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sr_cli.errors import SrError
from sr_cli.imaging.picture import Frame

_PREMULTIPLIED, _STRAIGHT = 1, 2
"""What a TIFF's ExtraSamples calls alpha; 0 is anything else."""


def tiff_tag(image: Image.Image, tag: int, default: Any) -> Any:
    """A tag of the current page, or `default`."""
    tags: Any = getattr(image, "tag_v2", {})
    return tags.get(tag, default)


def is_deep_colour(image: Image.Image, data: bytes) -> bool:
    """Whether the current frame has 16 bits in several channels."""
    if image.format == "PNG":
        return data[24] == 16 and data[25] in (2, 4, 6)
    if image.format == "TIFF":
        bits = tiff_tag(image, 258, (8,))
        bits = bits if isinstance(bits, tuple) else (bits,)
        return len(bits) > 1 and set(bits) == {16} and tiff_tag(image, 262, 2) in (1, 2)
    return False


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
    image: Image.Image, data: bytes, indices: list[int], name: str
) -> dict[int, Frame]:
    """The frames at `indices`, by index. Raises SrError for layouts that are not supported."""
    with _silent_opencv():
        ok, pages = cv2.imdecodemulti(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if not ok or len(pages) <= max(indices):
        raise SrError(
            f"{name}: damaged, cut off, or a kind of 16-bit picture that is not supported",
            "--allow-truncated reads what is there",
        )
    fourth = tiff_tag(image, 338, 2) if image.format == "TIFF" else _STRAIGHT
    fourth = fourth[0] if isinstance(fourth, tuple) else fourth
    gray_with_alpha = image.format == "PNG" and data[25] == 4
    transparent = image.info.get("transparency")
    return {i: _frame(pages[i], gray_with_alpha, fourth, transparent, name) for i in indices}


def _frame(page: NDArray[Any], gray: bool, fourth: int, transparent: Any, name: str) -> Frame:
    if page.dtype != np.uint16:
        raise SrError(f"{name}: this kind of 16-bit picture is not supported")
    if page.ndim == 2:
        return Frame(page)
    colour = np.ascontiguousarray(page[:, :, 2::-1])
    has_alpha = page.shape[2] == 4 and fourth in (_PREMULTIPLIED, _STRAIGHT)
    alpha = np.ascontiguousarray(page[:, :, 3]) if has_alpha else None
    if alpha is None and isinstance(transparent, tuple):
        alpha = np.where((colour == np.array(transparent)).all(2), 0, 65535).astype(np.uint16)
    if fourth == _PREMULTIPLIED and alpha is not None:
        share = np.maximum(alpha, 1)[..., None].astype(np.float32) / 65535
        colour = np.minimum(colour / share + 0.5, 65535).astype(np.uint16)
    return Frame(np.ascontiguousarray(colour[..., 0]) if gray else colour, alpha)


def read_gray_alpha_tiff(data: bytes, name: str, max_pixels: int) -> list[Frame] | None:
    """A TIFF's pages of 16-bit gray with alpha, as they lie; None for anything else.

    Pillow does not know this kind.

    Raises SrError when it is larger than `max_pixels` or compressed in an unknown way.
    """
    import tifffile

    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    try:
        with tifffile.TiffFile(io.BytesIO(data)) as tiff:
            pages = [p for p in tiff.pages if isinstance(p, tifffile.TiffPage)]
            if not pages or any(p.samplesperpixel != 2 or p.dtype != np.uint16 for p in pages):
                return None
            if sum(p.imagewidth * p.imagelength for p in pages) > max_pixels:
                raise SrError(f"{name}: more than {max_pixels} pixels", "--max-pixels raises it")
            frames = []
            for page in pages:
                values = page.asarray()
                if page.planarconfig == tifffile.PLANARCONFIG.SEPARATE:
                    values = np.moveaxis(values, 0, -1)
                gray, alpha = (np.ascontiguousarray(values[..., i]) for i in (0, 1))
                frames.append(Frame(gray, alpha))
            return frames
    except SrError:
        raise
    except Exception as error:
        raise SrError(f"{name}: damaged or unsupported picture ({error})") from error
