"""GeoTIFF in windows: as from the whole image, in every layout, with masks and reduced copies."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from helpers.command import BICUBIC, Run
from helpers.geotiffs import (
    NETWORK,
    corners_of,
    facts_of,
    mask_of,
    pixels_of,
    rasterio,
    scene,
    with_hole,
    write_scene,
)

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


@pytest.fixture
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bands of few rows, so that small images have several."""
    monkeypatch.setattr(windows, "_BAND_SAMPLES", 1 << 11)


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
