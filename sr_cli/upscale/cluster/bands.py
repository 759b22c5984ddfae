"""Large images: bands of tiles, computed by several workers into files, which one of them joins."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sr_cli.engine.frames import maps_values
from sr_cli.engine.pipeline import NetworkPipeline, OnShare, Pipeline
from sr_cli.engine.size import Size, passes_for
from sr_cli.imaging.picture import Picture

if TYPE_CHECKING:
    from sr_cli.engine.upscaler import Upscaler


@dataclass(frozen=True)
class Band:
    """A part of an image.

    Attributes:
        index: From 0 at the top.
        count: Of the image's bands.
        folder: Where it is written.
    """

    index: int
    count: int
    folder: Path


@dataclass(frozen=True)
class Rows:
    """A band that is done.

    Attributes:
        file: Its pixels, row by row.
        start, stop: Its rows in the result; equal if there are more bands than rows of tiles.
        height: Of the result.
    """

    file: Path
    start: int
    stop: int
    height: int


def reason_against(picture: Picture, pipeline: Pipeline, size: Size) -> str | None:
    """Why an image is not computed in bands, as a word for a note; None if it can be."""
    frame = picture.frames[0]
    width, height = size.of(frame.width, frame.height)
    factor = max(width / frame.width, height / frame.height)
    if not isinstance(pipeline, NetworkPipeline):
        return "model"
    if len(picture.frames) > 1:
        return "frames"
    if frame.alpha is not None:
        return "alpha"
    if frame.bands:
        return "bands"
    if maps_values(picture):
        return "values"
    if factor <= 1 or passes_for(factor, pipeline.upscaler.scale) > 1:
        return "factor"
    return None


def compute_band(
    picture: Picture, upscaler: Upscaler, size: Size, band: Band, file: Path, on_share: OnShare
) -> Rows:
    """Compute the rows of tiles of a band, and write their pixels.

    Args:
        picture: The whole image.
        upscaler: What computes it.
        size: Of the whole result.
        band: Which part.
        file: What to write.
        on_share: Called with the share of the band that is done.
    """
    lr = picture.frames[0].pixels
    h, w = lr.shape[:2]
    width, height = size.of(w, h)
    spans = upscaler.tile_rows(h, w, (height, width))
    first, last = (len(spans) * i // band.count for i in (band.index, band.index + 1))
    own = spans[first:last]
    if not own:
        edge = round(spans[first].start * height / h) if first < len(spans) else height
        file.touch()
        return Rows(file, edge, edge, height)
    rows = slice(own[0].start, own[-1].stop)
    sr = upscaler(
        lr, lambda done, total: on_share(done / total), size=(height, width), lr_rows=rows
    )
    start, stop = round(rows.start * height / h), round(rows.stop * height / h)
    sr.tofile(file)
    return Rows(file, start, stop, height)


class JoinedPipeline:
    """In place of a network's pipeline: the pixels that it would compute are in files.

    Args:
        pipeline: That computed the bands.
        bands: From top to bottom.
        file: Where to join them.
    """

    def __init__(self, pipeline: Pipeline, bands: Sequence[Rows], file: Path) -> None:
        self._pipeline = pipeline
        self._bands = bands
        self._file = file

    @property
    def restores(self) -> bool:
        return self._pipeline.restores

    @property
    def wrap(self) -> str:
        return self._pipeline.wrap

    @property
    def upscalers(self) -> list[Upscaler]:
        return self._pipeline.upscalers

    def run(
        self,
        lr: NDArray[Any],
        size: tuple[int, int],
        on_share: OnShare | None = None,
        *,
        exact: bool = False,
    ) -> NDArray[Any]:
        """As `Pipeline.run`; the pixels stay on the disk until they are needed."""
        with self._file.open("wb") as whole:
            for rows in self._bands:
                with rows.file.open("rb") as part:
                    shutil.copyfileobj(part, whole, 1 << 20)
        return np.memmap(self._file, lr.dtype, "c", shape=(*size, *lr.shape[2:]))
