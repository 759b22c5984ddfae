"""The steps of an image that is computed in bands, and what they make, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sr_cli.engine.raster import Findings
from sr_cli.engine.windows import Share
from sr_cli.imaging.picture import Picture


@dataclass(frozen=True)
class Pixels:
    """The pixels of a decoded image on the disk, row by row.

    Attributes:
        file: That holds nothing else.
        shape: (h, w) or (h, w, 3).
        dtype: Of the samples, as NumPy writes it.
    """

    file: Path
    shape: tuple[int, ...]
    dtype: str

    def mapped(self) -> NDArray[Any]:
        """The pixels, of which the system holds those in memory that are used."""
        return np.memmap(self.file, np.dtype(self.dtype), "r", shape=self.shape)


@dataclass(frozen=True)
class Prepared:
    """What is known of an image before its bands are computed.

    Attributes:
        tile: The tile size for all bands, so that they fit together.
        findings: Of the samples of a TIFF that is read in windows; None for other images.
        pixels: Of another image.
        picture: All else of that image; None where a band is computed.
    """

    tile: int
    findings: Findings | None = None
    pixels: Pixels | None = None
    picture: Picture | None = None


@dataclass(frozen=True)
class Preparation:
    """The first step of an image that is computed in bands: a worker makes it `Prepared`.

    Attributes:
        folder: For all files.
    """

    folder: Path


@dataclass(frozen=True)
class Band:
    """The second step, of each part of the image: its `Rows` are computed.

    Attributes:
        prepared: What is known of the image.
        share: Which part.
        folder: For all files.
    """

    prepared: Prepared
    share: Share
    folder: Path


@dataclass(frozen=True)
class Rows:
    """A band that is done.

    Attributes:
        file: Its samples, row by row.
        start, stop: Its rows in the result; equal if there are more bands than rows of tiles.
        height: Of the result.
    """

    file: Path
    start: int
    stop: int
    height: int


@dataclass(frozen=True)
class Join:
    """The last step: the bands become the result.

    Attributes:
        prepared: What is known of the image.
        bands: From top to bottom.
        folder: For all files.
    """

    prepared: Prepared
    bands: tuple[Rows, ...]
    folder: Path


Step = Preparation | Band | Join
