"""What rasterio says of GeoTIFF files and of their results, feature by feature, as a table."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import rasterio
from rasterio.control import GroundControlPoint
from rasterio.enums import Resampling
from rasterio.rpc import RPC
from rasterio.transform import Affine, from_origin

_FACTOR = 2
_H, _W = 90, 122
_NODATA = 7
_PLACE = {"crs": "EPSG:32633", "transform": from_origin(500_000, 5_400_000, 10, 10)}
_TERMS = [0.001 * n for n in range(20)]
_POINTS = [
    GroundControlPoint(row, column, 14 + column / 99, 52 - row / 98, 7.5)
    for row, column in ((0, 0), (0, 121), (89, 0), (89, 121), (44.5, 60.25))
]
_RPC = RPC(
    height_off=300, height_scale=500, lat_off=52, lat_scale=0.1, long_off=14, long_scale=0.2,
    line_off=44.5, line_scale=45, samp_off=60.5, samp_scale=61, err_bias=1.5, err_rand=0.5,
    line_num_coeff=_TERMS, line_den_coeff=[1, *_TERMS[1:]],
    samp_num_coeff=_TERMS[::-1], samp_den_coeff=[1, *_TERMS[1:]],
)  # fmt: skip

Fact = Callable[[Any, int], Any]
"""What rasterio says of an open file, in pixels of the input: those are `factor` times as large."""


@dataclass(frozen=True)
class Case:
    """A file, and what is compared.

    Attributes:
        name: Of the feature.
        facts: Names in `FACTS`.
        profile: Options of rasterio, beside or instead of the usual place.
        change: What is done to the file once it has pixels.
        bands: Their number.
        dtype: Their type.
    """

    name: str
    facts: tuple[str, ...]
    profile: dict[str, Any] = field(default_factory=dict)
    change: Callable[[Any], None] | None = None
    bands: int = 1
    dtype: str = "uint16"


def is_bigtiff(path: Path) -> bool:
    """Whether the header of a TIFF is that of a BigTIFF."""
    with path.open("rb") as file:
        return file.read(4) in (b"II+\0", b"MM\0+")


def _corners(file: Any, factor: int) -> Any:
    ends = [(0, 0), (file.width, 0), (0, file.height), (file.width, file.height)]
    return [tuple(round(n, 6) for n in file.transform * end) for end in ends]


def _points(file: Any, factor: int) -> Any:
    points, crs = file.gcps
    return crs, [(p.row / factor, p.col / factor, p.x, p.y, p.z) for p in points]


def _polynomials(file: Any, factor: int) -> Any:
    found = file.rpcs.to_dict()
    for name in ("line", "samp"):
        # They count from the middle of the first pixel.
        found[f"{name}_off"] = (found[f"{name}_off"] + 0.5) / factor - 0.5
        found[f"{name}_scale"] /= factor
    return found


def _missing(file: Any, factor: int) -> Any:
    found = file.read_masks() == 0
    small = found[:, ::factor, ::factor]
    is_nearest = np.array_equal(found, small.repeat(factor, 1).repeat(factor, 2))
    return is_nearest, int(small.sum()), crc32(small.tobytes())


FACTS: dict[str, Fact] = {
    "corners": _corners,
    "coordinate system": lambda file, _: file.crs,
    "area or point": lambda file, _: file.tags()["AREA_OR_POINT"],
    "control points": _points,
    "polynomials": _polynomials,
    "nodata": lambda file, _: repr(file.nodatavals),
    "pixels without a value": _missing,
    "kind of mask": lambda file, _: file.mask_flag_enums,
    "colours": lambda file, _: file.colorinterp,
    "names": lambda file, _: file.descriptions,
    "units": lambda file, _: file.units,
    "scales": lambda file, _: file.scales,
    "offsets": lambda file, _: file.offsets,
    "tags of the file": lambda file, _: {
        k: v for k, v in file.tags().items() if not k.startswith("TIFFTAG_")
    },
    "tags of bands": lambda file, _: [file.tags(n) for n in file.indexes],
    "type": lambda file, _: file.dtypes,
    "overviews": lambda file, _: [file.overviews(n) for n in file.indexes],
    "compression": lambda file, _: file.compression,
    "predictor": lambda file, _: file.tags(ns="IMAGE_STRUCTURE").get("PREDICTOR"),
    "interleaving": lambda file, _: file.interleaving.value,
    "tiles": lambda file, _: file.block_shapes[0],
    "BigTIFF": lambda file, _: is_bigtiff(Path(file.name)),
}


def _as_point(file: Any) -> None:
    file.update_tags(AREA_OR_POINT="Point")


def _with_points(file: Any) -> None:
    file.gcps = _POINTS, rasterio.CRS.from_epsg(4326)


def _with_polynomials(file: Any) -> None:
    file.rpcs = _RPC


def _with_mask(file: Any) -> None:
    valid = np.full((_H, _W), 255, np.uint8)
    valid[:9, :20] = valid[40:60, 30:71] = 0
    file.write_mask(valid)


def _described(file: Any) -> None:
    file.update_tags(ACQUIRED="2026-01-01", NOTE="a < b & ü")
    file.scales = [0.0001 * n for n in file.indexes]
    file.offsets = [-0.1 * n for n in file.indexes]
    file.units = ["reflectance"] * file.count
    for n in file.indexes:
        file.set_band_description(n, f"band {n} ü")
        file.update_tags(n, WAVELENGTH=str(400 + n))


def _cases() -> list[Case]:
    place, hole = (
        ("corners", "coordinate system", "area or point"),
        ("nodata", "pixels without a value"),
    )
    storage = ("compression", "predictor", "type", *place)
    turned = {"transform": Affine(8.7, 3.1, 500_000, 2.9, -9.1, 5_400_000)}
    said = ("names", "units", "scales", "offsets", "tags of the file", "tags of bands")
    floating = {"compress": "deflate", "predictor": 3}
    return [
        Case("pixel scale and tie point", place),
        Case("raster of points", place, change=_as_point),
        Case("rotated", place, turned),
        Case("rotated raster of points", place, turned, _as_point),
        Case("control points", ("control points",), {"transform": None}, _with_points),
        Case("control points, raster of points", ("control points",), {"transform": None},
             lambda file: (_as_point(file), _with_points(file))[0]),
        Case("rational polynomials", ("polynomials",), {"transform": None, "crs": None},
             _with_polynomials),
        Case("nodata, uint16", hole, {"nodata": _NODATA}),
        Case("nodata, int16", hole, {"nodata": _NODATA}, bands=2, dtype="int16"),
        Case("nodata, float32", hole, {"nodata": _NODATA}, dtype="float32"),
        Case("mask in the file", ("kind of mask", "pixels without a value"), change=_with_mask),
        Case("mask in the file, RGB", ("kind of mask", "pixels without a value", "colours"),
             {"photometric": "rgb"}, _with_mask, 3, "uint8"),
        Case("alpha", ("colours", "kind of mask"), {"photometric": "rgb", "alpha": "yes"},
             bands=4, dtype="uint8"),
        Case("bands that are described", said, {}, _described, 5),
        Case("overviews", ("overviews", *hole), {"nodata": _NODATA}),
        *(Case(f"{dtype}", ("type", *place), {}, None, 1, dtype)
          for dtype in ("uint8", "uint16", "int16", "uint32", "int32", "float32", "float64")),
        *(Case(f"{name}, no predictor", storage, {"compress": name})
          for name in ("none", "lzw", "deflate", "packbits", "lzma", "zstd")),
        *(Case(f"{name}, predictor 2", storage, {"compress": name, "predictor": 2}, None, 3)
          for name in ("lzw", "deflate", "zstd")),
        Case("deflate, predictor 3", storage, floating, None, 2, "float32"),
        Case("tiles of 64", ("tiles", *place), {"tiled": True, "blockxsize": 64, "blockysize": 64}),
        Case("bands apart (planar)", ("interleaving", *place), {"interleave": "band"}, None, 3),
        Case("big-endian", place, {"ENDIANNESS": "BIG"}),
        Case("small BigTIFF", ("BigTIFF", *place), {"BIGTIFF": "YES"}),
    ]  # fmt: skip


def _write(path: Path, case: Case) -> None:
    y, x = np.mgrid[:_H, :_W]
    bands = np.stack([120 + 90 * np.sin(x / 7 + n) * np.cos(y / 5) for n in range(case.bands)])
    bands[:, 50:70, 20:41] = _NODATA
    options = {k: v for k, v in {**_PLACE, **case.profile}.items() if v is not None}
    size = {"width": _W, "height": _H, "count": case.bands, "dtype": case.dtype}
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        with rasterio.open(path, "w", driver="GTiff", **size, **options) as file:
            file.write(bands.astype(case.dtype))
            if case.change is not None:
                case.change(file)
        if "overviews" in case.facts:
            with rasterio.open(path, "r+") as file:
                file.build_overviews([2, 4], Resampling.average)


def _verdict(source: Path, result: Path, case: Case) -> tuple[str, str]:
    """What is the same, and what differs."""
    same, other = [], []
    with rasterio.open(source) as a, rasterio.open(result) as b:
        assert (b.width, b.height) == (a.width * _FACTOR, a.height * _FACTOR)
        for name in case.facts:
            before, after = FACTS[name](a, 1), FACTS[name](b, _FACTOR)
            if before == after:
                same.append(name)
            else:
                other.append(f"{name}: {before} -> {after}")
    return ", ".join(same), "; ".join(other)


def print_verdicts() -> None:
    """Upscale a file for each feature, and print what rasterio says."""
    warnings.filterwarnings("ignore", module="rasterio")
    cases = _cases()
    with tempfile.TemporaryDirectory() as folder:
        sources = [Path(folder) / f"{n}.tif" for n in range(len(cases))]
        for source, case in zip(sources, cases, strict=True):
            _write(source, case)
        command = [sys.executable, "-m", "sr_cli", "upscale", *map(str, sources)]
        command += ["-o", f"{folder}/made/", "-m", "bicubic", f"-x{_FACTOR}", "--quiet"]
        if subprocess.run(command, check=False).returncode:
            raise SystemExit("sr upscale failed")
        print("| Input | The same | Other |\n|---|---|---|")
        for source, case in zip(sources, cases, strict=True):
            same, other = _verdict(source, source.parent / "made" / source.name, case)
            print(f"| {case.name} | {same} | {other} |")
