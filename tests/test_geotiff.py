"""GeoTIFF: the result lies where the input does, and says of its bands what the input says."""

from __future__ import annotations

import errno
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from helpers.command import BICUBIC, Run
from helpers.geotiffs import (
    MIRRORED,
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

from sr_cli.engine import raster as engine_raster
from sr_cli.engine import windows
from sr_cli.engine.frames import upscale_picture
from sr_cli.engine.options import EngineOptions
from sr_cli.engine.pipeline import build_pipeline
from sr_cli.engine.size import Size
from sr_cli.imaging import raster
from sr_cli.imaging.codecs import tiff_pages, tiff_tiles
from sr_cli.imaging.decode import read_picture
from sr_cli.registry.ref import parse_model

NETWORK = ("upscale", "-m", "espcn", "-t", "32")


@pytest.fixture
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bands of few rows, so that small images have several."""
    monkeypatch.setattr(windows, "_BAND_SAMPLES", 1 << 11)


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


@pytest.mark.parametrize("model", ["bicubic", "espcn"])
def test_alpha_is_read_in_the_same_bands_as_colour(
    sr: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    samples = scene(200, 60, 4, "uint8", 0, 250)
    write_scene(tmp_path / "a.tif", samples, photometric="rgb", alpha="yes")
    monkeypatch.setattr(windows, "_BAND_SAMPLES", 120 * 40)
    filled = []
    bleed = engine_raster.bleed_colour
    monkeypatch.setattr(
        engine_raster, "bleed_colour", lambda *planes: filled.append(1) or bleed(*planes)
    )
    done = sr("upscale", "-m", model, "-x2", "-t", "64", "a.tif", "-o", "b.tif")
    assert done.returncode == 0, done.stderr
    whole = upscaled(tmp_path / "a.tif", model, 2.0, 64)
    np.testing.assert_array_equal(pixels_of(tmp_path / "b.tif"), whole)
    # Tiles beside each other share what is filled: one call for each row of tiles.
    assert len(filled) == (40 if model == "bicubic" else 4)


def upscaled(path: Path, model: str, factor: float, tile: int) -> np.ndarray:
    """The whole image in memory, (count, h, w)."""
    pipeline = build_pipeline([parse_model(model)], factor, EngineOptions(tile=tile))
    frame = upscale_picture(read_picture(path), pipeline, Size(factor)).frames[0]
    alpha = [] if frame.alpha is None else [frame.alpha]
    planes = np.dstack([frame.pixels, *alpha, *(band.pixels for band in frame.bands)])
    return np.moveaxis(planes, 2, 0)


LAYOUTS: list[dict[str, Any]] = [
    {},
    {"compress": "deflate", "predictor": 2},
    {"compress": "lzw", "predictor": 2, "tiled": True, "blockxsize": 64, "blockysize": 64},
    {"compress": "lzw", "BIGTIFF": "YES", "ENDIANNESS": "BIG"},
    {"compress": "zstd", "predictor": 2, "tiled": True, "blockxsize": 16, "blockysize": 48},
    {"compress": "packbits", "interleave": "band"},
    {
        "compress": "deflate",
        "interleave": "band",
        "tiled": True,
        "blockxsize": 32,
        "blockysize": 16,
    },
    {"compress": "lzma", "ENDIANNESS": "BIG"},
    {"blockysize": 90},
]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda f: "-".join(map(str, f.values())) or "plain")
@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
def test_every_layout_is_read_and_written_in_windows(
    sr: Run, tmp_path: Path, small_windows: None, layout: dict[str, Any], dtype: str
) -> None:
    bands = scene(90, 83, 2, "float64", 20, 240).astype(dtype)
    if dtype == "float32" and layout.get("predictor") == 2:
        layout = layout | {"predictor": 3}
    write_scene(tmp_path / "a.tif", bands, **layout)
    assert sr(*BICUBIC, "a.tif").returncode == 0
    np.testing.assert_array_equal(
        pixels_of(tmp_path / "a_x2.tif"), upscaled(tmp_path / "a.tif", "bicubic", 2, 0)
    )
    with rasterio.open(tmp_path / "a.tif") as a, rasterio.open(tmp_path / "a_x2.tif") as b:
        assert b.compression == a.compression
        assert b.profile["tiled"] and b.interleaving == rasterio.enums.Interleaving.pixel
        stored = [file.tags(ns="IMAGE_STRUCTURE").get("PREDICTOR") for file in (a, b)]
        assert stored[0] == stored[1]


def test_what_a_sparse_file_leaves_out_has_no_value(sr: Run, tmp_path: Path) -> None:
    options = {"nodata": 7, "tiled": True, "blockxsize": 32, "blockysize": 32, "SPARSE_OK": True}
    bands = scene(64, 96)
    bands[:, :, 32:64] = 7
    write_scene(tmp_path / "a.tif", bands, **options)
    assert sr(*BICUBIC, "a.tif").returncode == 0
    made = pixels_of(tmp_path / "a_x2.tif")
    assert (made[:, :, 64:128] == 7).all() and (made[:, :, :64] > 7).all()


def test_reduced_copies_show_the_result(sr: Run, tmp_path: Path) -> None:
    bands = with_hole(scene(120, 160), 0)
    write_scene(tmp_path / "a.tif", bands, nodata=0, overviews=(2, 4, 8), compress="deflate")
    assert sr(*BICUBIC, "a.tif").returncode == 0
    whole = pixels_of(tmp_path / "a_x2.tif")[0].astype(np.float64)
    for level, factor in enumerate((2, 4, 8)):
        with rasterio.open(tmp_path / "a_x2.tif", overview_level=level) as file:
            assert file.nodata == 0
            small = file.read(1)
        known = np.where(whole == 0, np.nan, whole)
        h, w = whole.shape
        blocks = known.reshape(h // factor, factor, w // factor, factor).mean((1, 3))
        assert small.shape == blocks.shape
        inside = np.isfinite(blocks)
        assert np.abs(small - blocks)[inside].mean() < 0.05 * np.nanstd(known)
        assert (small[np.isfinite(blocks)] > 0).all()


def test_a_large_result_is_a_bigtiff(
    sr: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_scene(tmp_path / "a.tif", scene(40, 50), overviews=(2,))
    monkeypatch.setattr(tiff_tiles, "_BIG", 80 * 100 * 2 - 1)
    assert sr(*BICUBIC, "a.tif").returncode == 0
    assert (tmp_path / "a_x2.tif").read_bytes()[:4] == b"II+\0"
    assert facts_of(tmp_path / "a_x2.tif") == facts_of(tmp_path / "a.tif")
    monkeypatch.setattr(tiff_tiles, "_BIG", 80 * 100 * 2)
    assert sr(*BICUBIC, "-y", "a.tif").returncode == 0
    assert (tmp_path / "a_x2.tif").read_bytes()[:4] == b"II*\0"


def test_a_large_plain_tiff_is_read_in_windows(
    sr: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_windows: None
) -> None:
    samples = np.moveaxis(scene(90, 70, 3, "uint8", 0, 255), 0, 2)
    tifffile.imwrite(
        tmp_path / "a.tif", samples, photometric="rgb", compression="zlib", tile=(32, 32),
        resolution=(300, 300), resolutionunit="inch", description="a map", metadata=None,
    )  # fmt: skip
    assert sr(*NETWORK, "-x2", "a.tif", "-o", "whole.tif").returncode == 0
    monkeypatch.setattr(raster, "WINDOWED_PIXELS", 6000)
    # The limit is for what is in memory at once.
    limit = ("--max-pixels", "6000")
    assert sr(*NETWORK, "-x2", *limit, "a.tif", "-o", "windows.tif").returncode == 0
    with (
        tifffile.TiffFile(tmp_path / "whole.tif") as a,
        tifffile.TiffFile(tmp_path / "windows.tif") as b,
    ):
        np.testing.assert_array_equal(a.asarray(), b.asarray())
        assert b.pages[0].is_tiled and not a.pages[0].is_tiled
        for tag in (270, 282, 296, 700):
            assert a.pages[0].tags[tag].value == b.pages[0].tags[tag].value


def test_the_limit_is_for_what_is_decoded_at_once(sr: Run, tmp_path: Path) -> None:
    write_scene(tmp_path / "rows.tif", scene(90, 80), blockysize=4, compress="deflate")
    write_scene(tmp_path / "one.tif", scene(90, 80), blockysize=90, compress="deflate")
    assert sr(*BICUBIC, "--max-pixels", "2000", "rows.tif").returncode == 0
    done = sr(*BICUBIC, "--max-pixels", "2000", "one.tif")
    assert done.returncode == 1 and done.error_codes == ["too-many-pixels"]


PLACE_TAGS = {
    "scale": (33550, 12, 3, (10.0, 10.0, 0.0), True),
    "tie": (33922, 12, 6, (0.0, 0.0, 0.0, 5e5, 5.4e6, 0.0), True),
    "matrix": (34264, 12, 16, (10.0, 0, 0, 5e5, 0, -10, 0, 5.4e6, 0, 0, 0, 0, 0, 0, 0, 1), True),
    "elsewhere": (34264, 12, 16, (9.0, 0, 0, 5e5, 0, -9, 0, 5e6, 0, 0, 0, 0, 0, 0, 0, 1), True),
    "flat": (34264, 12, 16, (1.0, 2, 0, 5e5, 2, 4, 0, 5e6, 0, 0, 0, 0, 0, 0, 0, 1), True),
    "no size": (33550, 12, 3, (0.0, 10.0, 0.0), True),
    "nowhere": (33922, 12, 6, (0.0, 0.0, 0.0, float("nan"), 5.4e6, 0.0), True),
    "half a tie": (33922, 12, 5, (0.0, 0.0, 0.0, 5e5, 5.4e6), True),
    "keys": (34735, 3, 8, (1, 1, 0, 9, 1024, 0, 1, 1), True),
}


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        (("scale", "tie", "elsewhere"), "contradiction"),
        (("no size", "tie"), "scale"),
        (("flat",), "scale"),
        (("scale", "nowhere"), "scale"),
        (("scale", "half a tie"), "count"),
        (("scale", "tie", "keys"), "keys"),
        (("scale", "tie", "matrix"), None),
    ],
)
def test_tags_that_do_not_place_an_image_are_refused(
    sr: Run, tmp_path: Path, tags: tuple[str, ...], reason: str | None
) -> None:
    stored = [PLACE_TAGS[tag] for tag in tags]
    tifffile.imwrite(tmp_path / "a.tif", scene(20, 30)[0], extratags=stored, metadata=None)
    done = sr(*BICUBIC, "a.tif", "--json")
    if reason is None:
        assert done.returncode == 0
        assert corners_of(tmp_path / "a_x2.tif") == corners_of(tmp_path / "a.tif")
        return
    assert done.returncode == 1 and done.error_codes == ["bad-georeference"]
    assert done.records[0]["error"]["reason"] == reason
    assert not (tmp_path / "a_x2.tif").exists()
    # Nothing is wrong with the image.
    assert sr(*BICUBIC, "a.tif", "--strip").returncode == 0
    with tifffile.TiffFile(tmp_path / "a_x2.tif") as file:
        assert not {33550, 33922, 34264, 34735} & set(file.pages[0].tags.keys())


def test_classes_and_turned_images_are_refused(sr: Run, tmp_path: Path) -> None:
    write_scene(
        tmp_path / "classes.tif", scene(20, 30, dtype="uint8", high=9), photometric="palette"
    )
    with rasterio.open(tmp_path / "classes.tif", "r+") as file:
        file.write_colormap(1, {n: (n, n, n, 255) for n in range(256)})
    place = [PLACE_TAGS["scale"], PLACE_TAGS["tie"]]
    turned = [*place, (274, 3, 1, 6, True)]
    tifffile.imwrite(tmp_path / "turned.tif", scene(20, 30)[0], extratags=turned, metadata=None)
    done = sr(*BICUBIC, "classes.tif", "turned.tif", "-o", "out/")
    assert done.error_codes == ["unsupported-samples", "bad-georeference"]
    assert not list((tmp_path / "out").glob("*"))


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


@pytest.mark.parametrize("keep", [0.5, 0.97])
def test_a_truncated_file_leaves_nothing(sr: Run, tmp_path: Path, keep: float) -> None:
    write_scene(tmp_path / "whole.tif", scene(90, 80), tiled=True, blockxsize=16, blockysize=16,
                compress="deflate")  # fmt: skip
    content = (tmp_path / "whole.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(content[: int(len(content) * keep)])
    (tmp_path / "a_x2.tif").write_bytes(b"mine")
    done = sr(*BICUBIC, "-y", "a.tif")
    assert done.returncode == 1 and done.error_codes == ["damaged-image"]
    assert (tmp_path / "a_x2.tif").read_bytes() == b"mine"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.tif", "a_x2.tif", "whole.tif"]
    assert sr(*BICUBIC, "-y", "--allow-truncated", "a.tif").returncode == 0
    assert facts_of(tmp_path / "a_x2.tif") == facts_of(tmp_path / "whole.tif")


@pytest.mark.parametrize(
    ("stop", "code", "errors"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), 1, ["unwritable-file"]),
        (KeyboardInterrupt(), 130, []),
    ],
    ids=["full disk", "interrupted"],
)
def test_what_ends_in_the_middle_of_a_file_leaves_nothing(
    sr: Run,
    tmp_path: Path,
    small_windows: None,
    monkeypatch: pytest.MonkeyPatch,
    stop: BaseException,
    code: int,
    errors: list[str],
) -> None:
    tiles = {"tiled": True, "blockxsize": 64, "blockysize": 64, "compress": "deflate"}
    write_scene(tmp_path / "a.tif", scene(300, 70), **tiles)
    (tmp_path / "a_x2.tif").write_bytes(b"mine")
    whole_tile, written = tiff_tiles._whole_tile, []

    def end_later(*arguments: Any) -> np.ndarray:
        written.append(1)
        if len(written) == 8:
            assert len(list(tmp_path.glob(".sr-*"))) == 1
            raise stop
        return whole_tile(*arguments)

    monkeypatch.setattr(tiff_tiles, "_whole_tile", end_later)
    done = sr(*BICUBIC, "-y", "a.tif")
    assert len(written) == 8
    assert done.returncode == code and done.error_codes == errors
    assert (tmp_path / "a_x2.tif").read_bytes() == b"mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tif", "a_x2.tif"]


def test_a_compression_that_is_not_supported_is_named(sr: Run, tmp_path: Path) -> None:
    write_scene(tmp_path / "a.tif", scene(20, 30, 2, dtype="float32"))
    content = (tmp_path / "a.tif").read_bytes()
    entry = struct.pack("<HHIHH", 259, 3, 1, 1, 0)
    assert entry in content
    lerc = struct.pack("<HHIHH", 259, 3, 1, 34887, 0)
    (tmp_path / "a.tif").write_bytes(content.replace(entry, lerc))
    done = sr(*BICUBIC, "a.tif", "--json")
    assert done.error_codes == ["unsupported-compression"]
    assert done.records[0]["error"]["compression"] == "LERC"


def test_a_compression_that_libtiff_was_built_without_is_named(sr: Run, tmp_path: Path) -> None:
    write_scene(tmp_path / "a.tif", scene(20, 30, 3, dtype="uint8", high=200), compress="webp")
    done = sr(*BICUBIC, "a.tif", "--json")
    if done.returncode:
        assert done.error_codes == ["unsupported-compression"]
        assert done.records[0]["error"]["compression"] == "WEBP"
        assert not (tmp_path / "a_x2.tif").exists()
    else:
        assert corners_of(tmp_path / "a_x2.tif") == corners_of(tmp_path / "a.tif")


@pytest.mark.parametrize(
    "profile",
    [
        {"nodata": 7},
        {"nodata": None},
        {"nodata": 1, "NBITS": 1},
    ],
)
def test_values_that_would_be_turned_around_or_stretched_are_refused(
    sr: Run, tmp_path: Path, profile: dict[str, Any]
) -> None:
    pixels = scene(20, 30, dtype="uint8", high=1 if "NBITS" in profile else 200)
    write_scene(tmp_path / "a.tif", pixels, photometric="miniswhite", **profile)
    done = sr(*BICUBIC, "a.tif")
    assert done.returncode == 1 and done.error_codes == ["unsupported-samples"]
    assert not (tmp_path / "a_x2.tif").exists()
    assert sr(*BICUBIC, "a.tif", "--strip").returncode == 0


@pytest.mark.parametrize("command", [BICUBIC, (*NETWORK, "-x2")], ids=["bicubic", "network"])
@pytest.mark.parametrize(
    ("dtype", "count", "options"),
    [
        ("uint8", 3, {"photometric": "rgb", "compress": "deflate", "predictor": 2}),
        ("int16", 2, {"nodata": -9999, "tiled": True, "blockxsize": 64, "blockysize": 64}),
        ("float32", 1, {"compress": "lzw", "predictor": 3}),
    ],
)
def test_a_mask_in_the_file_is_kept_and_never_blended(
    sr: Run,
    tmp_path: Path,
    small_windows: None,
    command: tuple[str, ...],
    dtype: str,
    count: int,
    options: dict[str, Any],
) -> None:
    bands = np.full((count, 91, 83), 200, dtype)
    bands[:, 20:40, 30:61] = 3
    bands[:, 60:70, 5:20] = options.get("nodata", 200)
    valid = np.full((91, 83), 255, np.uint8)
    valid[20:40, 30:61] = 0
    write_scene(tmp_path / "a.tif", bands, mask=valid, overviews=(2, 4), **options)
    done = sr(*command, "a.tif", "--json")
    assert done.returncode == 0 and "mask-pages-skipped" not in done.note_kinds
    assert facts_of(tmp_path / "a_x2.tif") == facts_of(tmp_path / "a.tif")
    assert np.array_equal(mask_of(tmp_path / "a_x2.tif")[0], (valid == 0).repeat(2, 0).repeat(2, 1))
    # What is hidden keeps its values, and nothing of it is in what is not.
    assert np.array_equal(pixels_of(tmp_path / "a_x2.tif"), bands.repeat(2, 1).repeat(2, 2))
    with rasterio.open(tmp_path / "a_x2.tif", overview_level=1) as file:
        small = file.read_masks(1) != 0
        assert not small[12:18, 17:30].any() and small[:9].all() and small[22:].all()
        assert (file.read(1)[small] != 3).all()


WHOLE: list[tuple[str, ...]] = [
    (*BICUBIC, "--compare"),
    (*BICUBIC, "--verify"),
    (*BICUBIC, "--wrap", "y"),
    (*BICUBIC, "--flatten", "-f", "png"),
    ("upscale", "-m", "espcn", "-x2", "--consistent"),
    ("upscale", "-m", "espcn", "-x2", "--tile", "0"),
]


@pytest.mark.parametrize("command", WHOLE, ids=lambda words: words[-1])
def test_a_mask_of_what_is_read_at_once_is_said_to_be_lost(
    sr: Run, tmp_path: Path, command: tuple[str, ...]
) -> None:
    valid = np.full((40, 50), 255, np.uint8)
    valid[5:20, 10:30] = 0
    kinds: dict[str, tuple[int, dict[str, str]]] = {
        "uint8": (3, {"photometric": "rgb", "compress": "deflate"}),
        "uint16": (1, {}),
        "float32": (2, {}),
    }
    folder = tmp_path / "in"
    folder.mkdir()
    for dtype, (count, options) in kinds.items():
        bands = scene(40, 50, count, dtype, 20, 200)
        write_scene(folder / f"{dtype}.tif", bands, mask=valid, overviews=(2,), **options)
    done = sr(*command, "in", "-o", "out", "--json")
    assert done.returncode == 0
    # That of each overview as well.
    skipped = {"kind": "mask-pages-skipped", "count": 2}
    assert done.notes.count(skipped) == len(kinds)
    for path in (tmp_path / "out").glob("*[0-9].tif"):
        with tifffile.TiffFile(path) as file:
            assert not any(tiff_pages.is_mask(page) for page in file.pages)


def test_a_mask_of_another_kind_is_said_to_be_lost(
    sr: Run, sr_process: Run, tmp_path: Path
) -> None:
    bands, valid = scene(40, 50, 3, "uint8", 0, 255), np.full((40, 50), 255, np.uint8)
    write_scene(tmp_path / "a.tif", bands, compress="jpeg", mask=valid)
    done = sr(*BICUBIC, "a.tif", "--json")
    note = {"kind": "mask-pages-skipped", "count": 1}
    assert note in done.notes
    assert corners_of(tmp_path / "a_x2.tif") == corners_of(tmp_path / "a.tif")
    content = (tmp_path / "a.tif").read_bytes()
    assert note in sr_process(*BICUBIC, "-", "-o", "b.tif", "--json", input=content).notes


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


@pytest.mark.parametrize("tag", [256, 257])
def test_an_image_without_size_is_damaged(sr: Run, tmp_path: Path, tag: int) -> None:
    write_scene(tmp_path / "a.tif", scene(20, 30))
    content = (tmp_path / "a.tif").read_bytes()
    entry = struct.pack("<HHIHH", tag, 3, 1, {256: 30, 257: 20}[tag], 0)
    assert entry in content
    content = content.replace(entry, struct.pack("<HHIHH", tag, 3, 1, 0, 0))
    (tmp_path / "a.tif").write_bytes(content)
    assert sr(*BICUBIC, "a.tif", "--json").error_codes == ["damaged-image"]
    assert [path.name for path in tmp_path.iterdir()] == ["a.tif"]
