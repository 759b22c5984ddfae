"""GeoTIFF: the result lies where the input does, and says of its bands what the input says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.command import BICUBIC, Run
from helpers.geotiffs import (
    MIRRORED,
    NETWORK,
    ROTATED,
    corners_of,
    facts_of,
    mask_of,
    pixels_of,
    rasterio,
    rasterio_shutil,
    scene,
    with_hole,
    write_scene,
)
from helpers.images import save


@pytest.mark.parametrize("command", [BICUBIC, (*NETWORK, "-x4")], ids=["bicubic", "network"])
@pytest.mark.parametrize("place", ["area", "point", "rotated", "rotated point", "mirrored"])
def test_a_result_covers_the_ground_of_its_input(
    sr: Run, tmp_path: Path, place: str, command: tuple[str, ...]
) -> None:
    transforms = {"rotated": ROTATED, "rotated point": ROTATED, "mirrored": MIRRORED}
    transform = {"transform": transforms[place]} if place in transforms else {}
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


def test_other_formats_say_that_the_place_is_lost(sr: Run, tmp_path: Path) -> None:
    write_scene(tmp_path / "a.tif", scene(20, 30))
    done = sr(*BICUBIC, "a.tif", "-f", "png", "--json")
    assert done.returncode == 0
    assert {"kind": "metadata-dropped", "block": "GeoTIFF tags", "format": "PNG"} in done.notes


@pytest.mark.parametrize("command", [(*BICUBIC, "--compare"), (*BICUBIC, "--wrap", "y")])
def test_images_in_memory_are_placed_as_well(
    sr: Run, tmp_path: Path, command: tuple[str, ...]
) -> None:
    bands = with_hole(scene(40, 50, 2), 0)
    write_scene(tmp_path / "a.tif", bands, nodata=0, point=True, described=True)
    assert sr(*command, "a.tif").returncode == 0
    assert facts_of(tmp_path / "a_x2.tif") == facts_of(tmp_path / "a.tif")
    before = mask_of(tmp_path / "a.tif")
    assert np.array_equal(mask_of(tmp_path / "a_x2.tif"), before.repeat(2, 1).repeat(2, 2))


def test_a_stream_is_placed_as_well(sr_process: Run, tmp_path: Path) -> None:
    write_scene(tmp_path / "a.tif", scene(20, 30), point=True)
    content = (tmp_path / "a.tif").read_bytes()
    done = sr_process(*BICUBIC, "-f", "tif", "-", "-o", "-", input=content)
    assert done.returncode == 0
    (tmp_path / "b.tif").write_bytes(done.stdout)
    assert facts_of(tmp_path / "b.tif") == facts_of(tmp_path / "a.tif")


def test_a_result_says_that_it_is_not_cloud_optimised(sr: Run, tmp_path: Path) -> None:
    write_scene(tmp_path / "plain.tif", scene(600, 520), described=True)
    rasterio_shutil.copy(tmp_path / "plain.tif", tmp_path / "a.tif", driver="COG", blocksize=256)
    done = sr(*BICUBIC, "a.tif", "plain.tif", "--json")
    assert [r["input"] for r in done.records if "cloud-order-dropped" in kinds_of(r)] == ["a.tif"]
    assert facts_of(tmp_path / "a_x2.tif") == facts_of(tmp_path / "a.tif")


def kinds_of(record: dict[str, Any]) -> list[str]:
    return [note["kind"] for note in record.get("notes", [])]


def test_files_beside_the_image_are_named(sr: Run, tmp_path: Path) -> None:
    write_scene(tmp_path / "a.tif", scene(20, 30))
    for name in ("a.tfw", "a.prj", "a.tif.aux.xml", "a.TIF.ovr", "b.tfw", "a.txt"):
        (tmp_path / name).write_text("")
    note = {"kind": "files-beside-unread", "files": ["a.tfw", "a.prj", "a.tif.aux.xml"]}
    assert note in sr(*BICUBIC, "a.tif", "--json").notes
    assert "files-beside-unread" not in sr(*BICUBIC, "-y", "a.tif", "--strip", "--json").note_kinds
    save(tmp_path / "b.png", 20, 24)
    (tmp_path / "b.PGW").write_text("")
    assert {"kind": "files-beside-unread", "files": ["b.PGW"]} in sr(
        *BICUBIC, "b.png", "--json"
    ).notes
