"""Animated PNG: its frames as images of their own, and what they show together.

Pillow 13 makes what is laid over others too thin and dark, and OpenCV 5 clears the wrong places at
16 bits. Sections are of the PNG specification, third edition.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sr_cli.imaging.codecs.png_chunks import SIGNATURE, chunk, read_chunks
from sr_cli.imaging.conversion import apply_by_rows
from sr_cli.imaging.picture import Frame

_CLEAR, _RESTORE = 1, 2
"""What is done with a frame before the next one, other than leaving it (section 11.3.6.2)."""

_OVER = 1
"""A frame is composited with what is there, rather than replacing it (section 11.3.6.2)."""


class Control(NamedTuple):
    """Where, when and how a frame is shown (`fcTL`, section 11.3.6.2)."""

    number: int
    width: int
    height: int
    left: int
    top: int
    delay: int
    per_second: int
    disposal: int
    blend: int


def split_frames(png: bytes, count: int) -> list[tuple[Control, bytes]]:
    """The first frames of an animation, each as a PNG of its own, with what its pixels need.

    Raises:
        ValueError: A frame is not in the image, or not in order, or missing.
    """
    header = shared = b""
    frames: list[tuple[Control, list[bytes]]] = []
    number = 0
    for kind, content in read_chunks(png, until=b"IEND"):
        if kind == b"fcTL" and len(frames) == count:
            break
        if kind in (b"fcTL", b"fdAT"):
            if int.from_bytes(content[:4], "big") != number:
                raise ValueError("frames are not in order")
            number += 1
        if kind == b"IHDR":
            # The first one counts: the size of the image was checked.
            header = header or content
        elif kind in (b"PLTE", b"tRNS"):
            shared += chunk(kind, content)
        elif kind == b"fcTL":
            frames.append((_control(content, header), []))
        elif kind == b"IDAT" and frames:
            frames[-1][1].append(content)
        elif kind == b"fdAT" and frames:
            frames[-1][1].append(content[4:])
    if len(frames) < count:
        raise ValueError("frames are missing")
    return [
        (control, _still(control, header, shared + chunk(b"IDAT", b"".join(data))))
        for control, data in frames
    ]


def _control(content: bytes, header: bytes) -> Control:
    if len(content) < 26:
        raise ValueError("damaged frame")
    control = Control(*struct.unpack_from(">IIIIIHHBB", content))
    width, height = struct.unpack_from(">II", header)
    is_inside = control.left + control.width <= width and control.top + control.height <= height
    if not (is_inside and control.width and control.height):
        raise ValueError("a frame is not in the image")
    return control


def _still(control: Control, header: bytes, chunks: bytes) -> bytes:
    size = struct.pack(">II", control.width, control.height)
    return SIGNATURE + chunk(b"IHDR", size + header[8:]) + chunks + chunk(b"IEND", b"")


def without_animation(png: bytes) -> bytes:
    """The image for viewers that know no animations, with all that is said about it."""
    kept = (c for c in read_chunks(png, until=b"IEND") if c[0] not in (b"acTL", b"fcTL", b"fdAT"))
    return SIGNATURE + b"".join(chunk(*each) for each in kept) + chunk(b"IEND", b"")


def compose(parts: Iterable[tuple[Control, Frame]], width: int, height: int) -> Iterator[Frame]:
    """What an animation shows with each frame: the frame, and what earlier ones left.

    Args:
        parts: Decoded frames, all of one type.
        width: Of the animation.
        height: Of the animation.
    """
    canvas: NDArray[Any] | None = None
    for control, frame in parts:
        samples = _with_alpha(frame)
        if canvas is None:
            canvas = np.zeros((height, width, samples.shape[2]), samples.dtype)
        left, top = control.left, control.top
        area = canvas[top : top + control.height, left : left + control.width]
        before = area.copy()
        area[:] = samples
        # What is opaque replaces what is there in either case.
        if control.blend == _OVER and frame.alpha is not None:
            area[:] = apply_by_rows(_over, samples, before)
        yield _shown(canvas, control, frame)
        if control.disposal == _CLEAR:
            area[:] = 0
        elif control.disposal == _RESTORE:
            area[:] = before


def _with_alpha(frame: Frame) -> NDArray[Any]:
    """(h, w, 2) or (h, w, 4)."""
    alpha = frame.alpha
    if alpha is None:
        dtype = frame.pixels.dtype
        alpha = np.full(frame.pixels.shape[:2], np.iinfo(dtype).max, dtype)
    return np.dstack([frame.pixels, alpha])


def _over(front: NDArray[Any], back: NDArray[Any]) -> NDArray[Any]:
    """Straight colour and alpha of one over the other (section 13.16)."""
    top = np.iinfo(front.dtype).max
    dtype, front, back = front.dtype, front.astype(np.int64), back.astype(np.int64)
    shares = front[..., -1:] * top, back[..., -1:] * (top - front[..., -1:])
    whole = shares[0] + shares[1]
    mixed = front[..., :-1] * shares[0] + back[..., :-1] * shares[1]
    colour = (mixed + whole // 2) // np.maximum(whole, 1)
    return np.dstack([colour, (whole + top // 2) // top]).astype(dtype)


def _shown(canvas: NDArray[Any], control: Control, frame: Frame) -> Frame:
    """A copy of the canvas; without alpha if the file has none, and all is painted."""
    colour, alpha = canvas[..., :-1], canvas[..., -1]
    is_opaque = frame.alpha is None and bool((alpha == np.iinfo(alpha.dtype).max).all())
    return Frame(
        (colour[..., 0] if frame.pixels.ndim == 2 else colour).copy(),
        None if is_opaque else alpha.copy(),
        # A denominator of 0 means hundredths (section 11.3.6.2).
        1000 * control.delay / (control.per_second or 100),
    )
