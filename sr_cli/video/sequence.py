"""Images that become a clip."""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sr_cli.errors import SrError
from sr_cli.imaging.conversion import drop_features
from sr_cli.imaging.decode import read_picture
from sr_cli.imaging.formats import Feature
from sr_cli.video.colour import BT709, FULL, RGB, SRGB, Colour
from sr_cli.video.frames import ClipFrame
from sr_cli.video.probe import Clip, Layout
from sr_cli.video.timestamps import FrameTimes


def in_order(frames: Sequence[Path]) -> list[Path]:
    """Files by their names, with numbers as numbers: 2.png before 10.png."""

    def key(path: Path) -> list[tuple[int, str]]:
        parts = re.split(r"(\d+)", str(path))
        return [(int(p), "") if p.isdecimal() else (-1, p) for p in parts]

    return sorted(frames, key=key)


def sequence_as_clip(
    source: Path, frames: Sequence[Path], times: FrameTimes, *, flatten: bool
) -> Clip:
    """What a sequence of images contains, by its first image.

    Args:
        source: What names the sequence in messages.
        frames: Images, in order.
        times: When they are shown.
        flatten: Whether transparency becomes white.

    Raises:
        SrError: What reading the first image raises.
    """
    pixels = _read(frames[0], flatten)
    return Clip(
        source,
        index=-1,
        codec="images",
        width=pixels.shape[1],
        height=pixels.shape[0],
        layout=Layout("rgb", 8 if pixels.dtype == np.uint8 else 16),
        colour=Colour(RGB, FULL, BT709, SRGB),
        is_untagged=False,
        gray=False,
        aspect=None,
        time_base=times.time_base,
        rate=times.rate,
        frames=len(frames),
        display_matrix=None,
        mastering=None,
        dynamic=(),
        is_mov=False,
    )


@dataclass
class SequenceReader:
    """Reads images as the frames of a clip, as `ClipReader` does.

    Attributes:
        clip: From `sequence_as_clip`.
        images: In order.
        times: When they are shown.
        flatten: Whether transparency becomes white.
        after: Frames up to this time are skipped; None for all frames.
        damaged, repaired: As of `ClipReader`: always 0.
        missing: As of `ClipReader`: always None.
    """

    clip: Clip
    images: Sequence[Path]
    times: FrameTimes
    flatten: bool
    after: int | None = None
    damaged: int = 0
    repaired: int = 0
    missing: None = None

    def read(self) -> Generator[ClipFrame]:
        """Decode the images.

        Raises:
            SrError: What reading an image raises; `frame-differs` if it is not like the first.
        """
        for path, (pts, end) in zip(self.images, pairwise(self.times.shown), strict=True):
            if self.after is not None and pts <= self.after:
                continue
            pixels = _read(path, self.flatten)
            height, width = pixels.shape[:2]
            bits = 8 if pixels.dtype == np.uint8 else 16
            if (width, height, bits) != (
                self.clip.width,
                self.clip.height,
                self.clip.layout.depth,
            ):
                raise SrError("frame-differs", path, width=width, height=height, bits=bits)
            red, green, blue = cv2.split(pixels)
            yield ClipFrame((green, blue, red), pts, end - pts)


def _read(path: Path, flatten: bool) -> NDArray[Any]:
    """An image as RGB (h, w, 3)."""
    picture = read_picture(path, as_shown=True)
    if len(picture.frames) > 1:
        raise SrError("several-frames", path, count=len(picture.frames))
    others = picture.features - {Feature.SIXTEEN_BIT, Feature.ALPHA}
    if others:
        names = [feature.value for feature in Feature if feature in others]
        raise SrError("unsupported-by-format", path, format="a clip", features=names)
    if picture.frames[0].alpha is not None:
        if not flatten:
            raise SrError("transparent-clip", path, hint="flatten", format=picture.format)
        picture = drop_features(picture, [Feature.ALPHA])
    pixels = picture.frames[0].pixels
    return pixels if pixels.ndim == 3 else np.dstack([pixels] * 3)
