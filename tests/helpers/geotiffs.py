"""GeoTIFF files as rasterio writes them, and what it says of them: the judge of our results."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

rasterio: Any = pytest.importorskip("rasterio")
rasterio_transform: Any = pytest.importorskip("rasterio.transform")
rasterio_shutil: Any = pytest.importorskip("rasterio.shutil")
warnings.filterwarnings("ignore", module="rasterio")

NETWORK = ("upscale", "-m", "espcn", "-t", "32")
"""Without a factor, in several tiles."""
PLACE = rasterio_transform.from_origin(500_000, 5_400_000, 10, 10)
ROTATED = rasterio_transform.Affine(8.7, 3.1, 500_000, 2.9, -9.1, 5_400_000)
MIRRORED = rasterio_transform.Affine(-10, 0, 500_000, 0, -10, 5_400_000)
"""From right to left: the pixel scale of the file is negative."""


def scene(
    h: int, w: int, count: int = 1, dtype: str = "uint16", low: float = 200, high: float = 4000
) -> NDArray[Any]:
    """Bands of smooth waves with some noise, (count, h, w), from `low` to `high`."""
    y, x = np.mgrid[:h, :w]
    waves = [np.sin(x / 7 + n) + np.cos(y / 5 - n) + np.sin((x + y) / 3) for n in range(count)]
    grain = np.random.default_rng(h * w).normal(0, 0.05, (count, h, w))
    unit = np.clip(np.stack(waves) / 6 + 0.5 + grain, 0, 1)
    return (low + unit * (high - low)).astype(dtype)


def with_hole(bands: NDArray[Any], nodata: float) -> NDArray[Any]:
    """The same with a corner, a rectangle and a disc that have no value."""
    _, h, w = bands.shape
    y, x = np.mgrid[:h, :w]
    hole = (y < h // 8) & (x < w // 9)
    hole |= (y > h // 4) & (y < h // 3) & (x > w // 3) & (x < w // 2)
    hole |= (y - h * 0.7) ** 2 + (x - w * 0.7) ** 2 < (h / 9) ** 2
    made = bands.copy()
    made[:, hole] = nodata
    return made


def write_scene(
    path: Path,
    bands: NDArray[Any],
    *,
    point: bool = False,
    overviews: tuple[int, ...] = (),
    described: bool = False,
    gcps: list[Any] | None = None,
    rpcs: Any = None,
    mask: NDArray[np.uint8] | None = None,
    **profile: Any,
) -> None:
    """Write a GeoTIFF with rasterio.

    Args:
        path: The file.
        bands: (count, h, w).
        point: Whether coordinates are those of the middle of pixels.
        overviews: Factors of reduced copies.
        described: Whether bands have names, units, scales, offsets, and statistics.
        gcps: Ground control points instead of a transformation.
        rpcs: Rational polynomial coefficients.
        mask: Of the dataset, in the file: (h, w), 0 where a pixel has no value.
        profile: Further options of rasterio.
    """
    count, h, w = bands.shape
    options = {"driver": "GTiff", "crs": "EPSG:32633", "dtype": bands.dtype, **profile}
    if gcps is None and rpcs is None:
        options = {"transform": PLACE, **options}
    with rasterio.open(path, "w", width=w, height=h, count=count, **options) as file:
        if point:
            file.update_tags(AREA_OR_POINT="Point")
        file.write(bands)
        if gcps is not None:
            file.gcps = gcps, options["crs"]
        if rpcs is not None:
            file.rpcs = rpcs
        if described:
            file.update_tags(ACQUIRED="2026-01-01", NOTE="a < b & ü")
            file.scales = [0.0001 * n for n in range(1, count + 1)]
            file.offsets = [-0.1 * n for n in range(1, count + 1)]
            file.units = ["reflectance"] * count
            for n in range(1, count + 1):
                file.set_band_description(n, f"band {n} ü")
                file.update_tags(n, WAVELENGTH=str(400 + n), STATISTICS_MAXIMUM="17")
    if mask is not None:
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as file:
            file.write_mask(mask)
    if overviews:
        with rasterio.open(path, "r+") as file:
            file.build_overviews(list(overviews), rasterio.enums.Resampling.average)


def facts_of(path: Path) -> dict[str, Any]:
    """What rasterio says of a file, as far as it is true of the result as well."""
    with rasterio.open(path) as file:
        tags = file.tags()
        bands = [file.tags(n) for n in file.indexes]
        return {
            "bounds": tuple(file.bounds),
            "crs": file.crs,
            "point": tags["AREA_OR_POINT"],
            "nodata": file.nodatavals,
            "dtypes": file.dtypes,
            "colours": file.colorinterp,
            "names": file.descriptions,
            "scales": file.scales,
            "offsets": file.offsets,
            "units": file.units,
            "tags": {k: v for k, v in tags.items() if not k.startswith("TIFFTAG_")},
            "band tags": [
                {k: v for k, v in band.items() if not k.startswith("STATISTICS_")} for band in bands
            ],
            "overviews": [file.overviews(n) for n in file.indexes],
        }


def corners_of(path: Path) -> list[tuple[float, float]]:
    """The corners of the area that an image covers, also of a rotated one."""
    with rasterio.open(path) as file:
        ends = [(0, 0), (file.width, 0), (0, file.height), (file.width, file.height)]
        return [tuple(rasterio_transform.xy(file.transform, y, x, offset="ul")) for x, y in ends]


def mask_of(path: Path) -> NDArray[np.bool_]:
    """Which pixels have no value, (count, h, w)."""
    with rasterio.open(path) as file:
        return np.asarray(file.read_masks()) == 0


def pixels_of(path: Path) -> NDArray[Any]:
    """(count, h, w)."""
    with rasterio.open(path) as file:
        return np.asarray(file.read())
