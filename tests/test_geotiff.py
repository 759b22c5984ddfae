"""GeoTIFF: the result lies where the input does, and says of its bands what the input says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.command import BICUBIC, Run
from helpers.geotiffs import (
    ROTATED,
    corners_of,
    facts_of,
    mask_of,
    pixels_of,
    rasterio,
    scene,
    with_hole,
    write_scene,
)

from sr_cli.engine import windows
from sr_cli.engine.frames import upscale_picture
from sr_cli.engine.options import EngineOptions
from sr_cli.engine.pipeline import build_pipeline
from sr_cli.engine.size import Size
from sr_cli.imaging.decode import read_picture
from sr_cli.registry.ref import parse_model

NETWORK = ("upscale", "-m", "espcn", "-t", "32")


@pytest.fixture
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bands of few rows, so that small images have several."""
    monkeypatch.setattr(windows, "_BAND_SAMPLES", 1 << 11)


@pytest.mark.parametrize("command", [BICUBIC, (*NETWORK, "-x4")], ids=["bicubic", "network"])
@pytest.mark.parametrize("place", ["area", "point", "rotated", "rotated point"])
def test_a_result_covers_the_ground_of_its_input(
    sr: Run, tmp_path: Path, place: str, command: tuple[str, ...]
) -> None:
    transform = {"transform": ROTATED} if "rotated" in place else {}
    write_scene(tmp_path / "a.tif", scene(30, 41), point="point" in place, **transform)
    assert sr(*command, "a.tif", "-o", "b.tif").returncode == 0
    before, after = corners_of(tmp_path / "a.tif"), corners_of(tmp_path / "b.tif")
    # Less than a thousandth of a pixel.
    np.testing.assert_allclose(after, before, rtol=0, atol=1e-6)
    facts, made = facts_of(tmp_path / "a.tif"), facts_of(tmp_path / "b.tif")
    assert made["crs"] == facts["crs"] and made["point"] == facts["point"]


def test_a_fractional_factor_covers_the_same_ground(sr: Run, tmp_path: Path) -> None:
    write_scene(tmp_path / "a.tif", scene(31, 43), point=True)
    assert sr("upscale", "-m", "bicubic", "-x2.3", "a.tif", "-o", "b.tif").returncode == 0
    before, after = corners_of(tmp_path / "a.tif"), corners_of(tmp_path / "b.tif")
    np.testing.assert_allclose(after, before, rtol=0, atol=1e-6)


@pytest.mark.parametrize("point", [False, True])
def test_control_points_stay_on_their_ground(sr: Run, tmp_path: Path, point: bool) -> None:
    points = [
        rasterio.control.GroundControlPoint(row, column, 14 + column / 99, 52 - row / 98, 7.5)
        for row, column in ((0, 0), (0, 39), (29, 0), (29, 39), (14.5, 20.25))
    ]
    write_scene(tmp_path / "a.tif", scene(30, 40), gcps=points, crs="EPSG:4326", point=point)
    assert sr(*BICUBIC, "a.tif").returncode == 0
    with rasterio.open(tmp_path / "a.tif") as before, rasterio.open(tmp_path / "a_x2.tif") as after:
        assert after.gcps[1] == before.gcps[1]
        read = [(p.row, p.col, p.x, p.y, p.z) for p in before.gcps[0]]
        made = [(p.row / 2, p.col / 2, p.x, p.y, p.z) for p in after.gcps[0]]
    np.testing.assert_allclose(made, read, rtol=0, atol=1e-9)


def test_rational_polynomials_are_scaled(sr: Run, tmp_path: Path) -> None:
    terms = [0.001 * n for n in range(20)]
    known = rasterio.rpc.RPC(
        height_off=300, height_scale=500, lat_off=52, lat_scale=0.1, long_off=14, long_scale=0.2,
        line_off=14.5, line_scale=15, samp_off=19.5, samp_scale=20, err_bias=1.5, err_rand=0.5,
        line_num_coeff=terms, line_den_coeff=[1, *terms[1:]],
        samp_num_coeff=terms[::-1], samp_den_coeff=[1, *terms[1:]],
    )  # fmt: skip
    write_scene(tmp_path / "a.tif", scene(30, 40), rpcs=known, crs=None)
    assert sr(*BICUBIC, "a.tif").returncode == 0
    with rasterio.open(tmp_path / "a.tif") as before, rasterio.open(tmp_path / "a_x2.tif") as after:
        read, made = before.rpcs.to_dict(), after.rpcs.to_dict()
    # The middle of the image stays its middle: lines count from the middle of the first one.
    assert (made["line_off"], made["samp_off"]) == (29.5, 39.5)
    assert (made["line_scale"], made["samp_scale"]) == (30, 40)
    changed = dict.fromkeys(("line_off", "samp_off", "line_scale", "samp_scale"))
    assert made | changed == read | changed


@pytest.mark.parametrize(
    ("dtype", "nodata", "low", "high"),
    [
        ("uint8", 0, 20, 250),
        ("uint8", 255, 20, 254),
        ("uint16", 0, 1, 4000),
        ("uint16", 65535, 100, 65534),
        ("int16", -9999, -400, 3000),
        ("int16", 7, -400, 3000),
        ("float32", -9999, -12.5, 3000),
        ("float32", float("nan"), 0, 1),
        ("float32", -3.4028234663852886e38, 0, 3000),
        ("float64", -1e20, 0, 3000),
        ("int32", -(2**31), -70000, 70000),
    ],
)
@pytest.mark.parametrize("command", [BICUBIC, (*NETWORK, "-x2")], ids=["bicubic", "network"])
def test_what_has_no_value_is_never_blended(
    sr: Run,
    tmp_path: Path,
    command: tuple[str, ...],
    dtype: str,
    nodata: float,
    low: float,
    high: float,
) -> None:
    bands = scene(54, 63, 2, "float64", low, high).astype(dtype)
    if dtype == "int16":
        bands[bands == nodata] += 1
    holed = with_hole(bands, nodata)
    write_scene(tmp_path / "a.tif", holed, nodata=nodata)
    assert sr(*command, "a.tif").returncode == 0
    before, after = mask_of(tmp_path / "a.tif"), mask_of(tmp_path / "a_x2.tif")
    assert before.any()
    assert np.array_equal(after, before.repeat(2, 1).repeat(2, 2))
    made = pixels_of(tmp_path / "a_x2.tif")[~after].astype(np.float64)
    known = holed[~before].astype(np.float64)
    # Sharp edges overshoot a little in types that keep all of their range.
    beyond = 0.2 * (known.max() - known.min()) if dtype.startswith("uint") else 1e-3
    assert known.min() - beyond <= made.min() and made.max() <= known.max() + beyond


def test_a_constant_around_a_hole_stays_constant(sr: Run, tmp_path: Path) -> None:
    write_scene(tmp_path / "a.tif", with_hole(np.full((1, 50, 60), 2000, np.uint16), 0), nodata=0)
    assert sr(*BICUBIC, "a.tif").returncode == 0
    assert set(np.unique(pixels_of(tmp_path / "a_x2.tif"))) == {0, 2000}


def test_all_that_is_said_of_bands_is_kept(sr: Run, tmp_path: Path) -> None:
    bands = with_hole(scene(60, 80, 5), 0)
    write_scene(
        tmp_path / "a.tif", bands, nodata=0, described=True, overviews=(2, 4), compress="lzw"
    )
    done = sr(*BICUBIC, "a.tif", "--json")
    assert done.returncode == 0
    assert facts_of(tmp_path / "a_x2.tif") == facts_of(tmp_path / "a.tif")
    assert {"kind": "statistics-dropped", "count": 5} in done.notes
    assert {"kind": "bands-alone", "count": 5} in done.notes
    with rasterio.open(tmp_path / "a_x2.tif") as file:
        assert "STATISTICS_MAXIMUM" not in file.tags(1)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("count", [3, 4, 6])
def test_colours_are_upscaled_together(sr: Run, tmp_path: Path, dtype: str, count: int) -> None:
    high = np.iinfo(dtype).max
    bands = scene(40, 50, count, dtype, 0, high)
    alpha = {"alpha": "yes"} if count == 4 else {}
    write_scene(tmp_path / "a.tif", bands, photometric="rgb", **alpha)
    done = sr(*NETWORK, "-x2", "a.tif", "--json")
    assert done.returncode == 0
    assert facts_of(tmp_path / "a_x2.tif") == facts_of(tmp_path / "a.tif")
    found = [note for note in done.notes if note["kind"].startswith("bands-")]
    assert found == ([{"kind": "bands-beside-colour", "count": 3}] if count == 6 else [])
    whole = upscaled(tmp_path / "a.tif", "espcn", 2, 32)
    assert np.array_equal(pixels_of(tmp_path / "a_x2.tif"), whole)


CASES: list[dict[str, Any]] = [
    {"model": "bicubic", "factor": 2.0, "dtype": "uint16", "count": 3, "nodata": 0},
    {"model": "bicubic", "factor": 3.7, "dtype": "int16", "count": 1, "nodata": -9999},
    {"model": "bicubic", "factor": 2.0, "dtype": "float32", "count": 2, "nodata": float("nan")},
    {"model": "espcn", "factor": 2.0, "dtype": "uint8", "count": 1, "nodata": 0},
    {"model": "espcn", "factor": 2.5, "dtype": "uint16", "count": 2, "nodata": 0},
    {"model": "espcn", "factor": 8.0, "dtype": "uint8", "count": 1, "nodata": None},
    {"model": "espcn", "factor": 3.0, "dtype": "float32", "count": 1, "nodata": -9999},
    {"model": "fsrcnn", "factor": 4.0, "dtype": "int32", "count": 1, "nodata": -1},
]


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c['model']}-{c['factor']}-{c['dtype']}")
def test_windows_equal_the_whole_image(
    sr: Run, tmp_path: Path, small_windows: None, case: dict[str, Any]
) -> None:
    bands = scene(90, 71, case["count"], "float64", 20, 240).astype(case["dtype"])
    nodata = case["nodata"]
    bands = bands if nodata is None else with_hole(bands, nodata)
    tiled = {"tiled": True, "blockxsize": 32, "blockysize": 16}
    write_scene(tmp_path / "a.tif", bands, nodata=nodata, **tiled)
    factor = f"-x{case['factor']:g}"
    done = sr("upscale", "-m", case["model"], factor, "-t", "32", "a.tif", "-o", "b.tif")
    assert done.returncode == 0
    whole = upscaled(tmp_path / "a.tif", case["model"], case["factor"], 32)
    np.testing.assert_array_equal(pixels_of(tmp_path / "b.tif"), whole)


def upscaled(path: Path, model: str, factor: float, tile: int) -> np.ndarray:
    """The whole image in memory, (count, h, w)."""
    pipeline = build_pipeline([parse_model(model)], factor, EngineOptions(tile=tile))
    frame = upscale_picture(read_picture(path), pipeline, Size(factor)).frames[0]
    alpha = [] if frame.alpha is None else [frame.alpha]
    planes = np.dstack([frame.pixels, *alpha, *(band.pixels for band in frame.bands)])
    return np.moveaxis(planes, 2, 0)
