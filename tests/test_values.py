"""Measurements: results keep type, range, bands, and pixels without a value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from helpers.command import BICUBIC, Run
from helpers.images import smooth
from helpers.tiffs import MEASURED_TYPES, random_samples, tiff, waves
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sr_cli import upscale_image
from sr_cli.imaging.decode import read_picture
from sr_cli.imaging.values import Span, find_missing, find_span

NETWORK = ("upscale", "-m", "espcn", "-x2")

RANGES = {
    "int8": (-100, 90), "int16": (-300, 4000), "uint32": (0, 200), "int32": (-70_000, 3_000_000),
    "float16": (0, 2000), "float32": (994.5, 1374.25), "float64": (-1e9, 1e-3),
}  # fmt: skip


@pytest.mark.parametrize("command", [BICUBIC, NETWORK])
@pytest.mark.parametrize("dtype", MEASURED_TYPES)
def test_a_result_has_the_type_and_the_range_of_its_input(
    sr: Run, tmp_path: Path, dtype: str, command: tuple[str, ...]
) -> None:
    low, high = RANGES[dtype]
    values = waves(low=low, high=high).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", values)
    done = sr(*command, "a.tif", "--json")
    assert done.returncode == 0
    made = tifffile.imread(tmp_path / "a_x2.tif")
    assert made.dtype == dtype and made.shape == (48, 60)
    assert made.min() >= values.min() and made.max() <= values.max()
    wanted = cv2.resize(values.astype(np.float64), (60, 48), interpolation=cv2.INTER_CUBIC)
    error = np.abs(made - wanted)[8:-8, 8:-8]
    assert error.mean() < (high - low) * 0.02
    (note,) = done.notes
    assert note["kind"] == "values-mapped"
    span = (0, 255) if dtype == "uint32" else (float(values.min()), float(values.max()))
    assert (note["low"], note["high"]) == pytest.approx(span)


def test_rgb_floats_within_0_and_1_are_as_they_are(sr: Run, tmp_path: Path) -> None:
    values = waves(channels=3).astype(np.float32)
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb")
    deep = np.round(values * 65535).astype(np.uint16)
    cv2.imwrite(str(tmp_path / "b.png"), deep[..., ::-1])
    done = sr(*NETWORK, "a.tif", "b.png", "--precision", "fp32", "--json")
    assert done.returncode == 0 and done.notes == []
    made = tifffile.imread(tmp_path / "a_x2.tif")
    other = cv2.imread(str(tmp_path / "b_x2.png"), cv2.IMREAD_UNCHANGED)[..., ::-1]
    assert made.dtype == np.float32 and np.abs(made * 65535 - other).max() < 3


@pytest.mark.parametrize("command", [BICUBIC, NETWORK])
def test_pixels_without_a_value_stay_so_and_are_not_seen(
    sr: Run, tmp_path: Path, command: tuple[str, ...]
) -> None:
    values = waves(low=1000, high=1400).astype(np.float32)
    holes = values.copy()
    holes[:8, :10], holes[20, 20], holes[20, 22] = np.nan, np.inf, -np.inf
    tifffile.imwrite(tmp_path / "holes.tif", holes)
    marked = values.copy()
    marked[:8, :10] = -9999
    tag = (42113, 2, 0, "-9999", True)
    for name, dtype in (("float", "float32"), ("short", "int16"), ("deep", "uint16")):
        stored = np.maximum(marked, 0 if dtype == "uint16" else -9999).astype(dtype)
        tags = [(42113, 2, 0, "0", True)] if dtype == "uint16" else [tag]
        tifffile.imwrite(tmp_path / f"{name}.tif", stored, extratags=tags)
    done = sr(*command, "holes.tif", "float.tif", "short.tif", "deep.tif", "--json")
    assert done.returncode == 0
    counts = [n["count"] for n in done.notes if n["kind"] == "missing-values"]
    assert sorted(counts) == [80, 80, 80, 82]
    made = tifffile.imread(tmp_path / "holes_x2.tif")
    assert np.isnan(made[:16, :20]).all() and np.isnan(made).sum() == 320
    assert np.isposinf(made).sum() == np.isneginf(made).sum() == 4
    assert made[np.isfinite(made)].min() > 950
    for name, nodata in (("float", -9999), ("short", -9999), ("deep", 0)):
        made = tifffile.imread(tmp_path / f"{name}_x2.tif")
        assert (made[:16, :20] == nodata).all()
        assert made[made != nodata].min() > 950
        with tifffile.TiffFile(tmp_path / f"{name}_x2.tif") as file:
            assert float(file.pages[0].tags[42113].value) == nodata


def test_a_page_without_any_value_has_none_in_its_result(sr: Run, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.full((6, 5), np.nan, np.float32))
    assert sr(*BICUBIC, "a.tif").returncode == 0
    assert np.isnan(tifffile.imread(tmp_path / "a_x2.tif")).all()
    assert sr(*BICUBIC, "a.tif", "-f", "png", "--flatten").returncode == 0


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_all_bands_are_kept(sr: Run, tmp_path: Path, dtype: str) -> None:
    top = 1 if dtype == "float32" else np.iinfo(dtype).max
    values = waves(channels=7, high=top).astype(dtype)
    kinds = {"many": [0] * 6, "colour": [0] * 4, "alpha": [2, 0, 0, 0], "late": [0, 0, 0, 2]}
    for name, extra in kinds.items():
        tifffile.imwrite(
            tmp_path / f"{name}.tif", values, extrasamples=extra, planarconfig="contig",
            photometric="minisblack" if name == "many" else "rgb",
        )  # fmt: skip
    assert sr(*NETWORK, *(f"{name}.tif" for name in kinds)).returncode == 0
    for name, extra in kinds.items():
        with tifffile.TiffFile(tmp_path / f"{name}_x2.tif") as file:
            (page,) = file.pages
            assert page.shape == (48, 60, 7) and page.dtype == dtype
            assert list(page.extrasamples) == extra
            assert page.photometric == (1 if name == "many" else 2)
            made = page.asarray()
        wanted = cv2.resize(values.astype(float), (60, 48), interpolation=cv2.INTER_CUBIC)
        error = np.abs(made - wanted)[8:-8, 8:-8]
        assert error.mean((0, 1)).max() < 0.03 * top


def test_colour_is_upscaled_together_and_bands_alone(sr: Run, tmp_path: Path) -> None:
    values = smooth(24, 30)
    band = smooth(24, 30, seed=5)[..., 0]
    tifffile.imwrite(
        tmp_path / "a.tif", np.dstack([values, band]), photometric="rgb", extrasamples=[0]
    )
    for name, pixels in (("colour", values), ("band", band)):
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    assert sr(*NETWORK, "a.tif", "colour.png", "band.png").returncode == 0
    made = tifffile.imread(tmp_path / "a_x2.tif")
    assert np.array_equal(made[..., :3], np.asarray(Image.open(tmp_path / "colour_x2.png")))
    assert np.array_equal(made[..., 3], np.asarray(Image.open(tmp_path / "band_x2.png")))


def test_12_bits_in_16_use_the_range_of_the_network(sr: Run, tmp_path: Path) -> None:
    values = waves(low=0, high=4000).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", values)
    done = sr(*NETWORK, "a.tif", "--json")
    assert done.notes == [{"kind": "values-mapped", "low": 0, "high": 4095}]
    made = tifffile.imread(tmp_path / "a_x2.tif").astype(float)
    wanted = cv2.resize(values.astype(float), (60, 48), interpolation=cv2.INTER_CUBIC)
    assert np.abs(made - wanted)[8:-8, 8:-8].mean() < 40


@pytest.mark.parametrize(("name", "dtype"), [("png", np.uint16), ("jpg", np.uint8)])
def test_other_formats_refuse_values_or_narrow_them(
    sr: Run, tmp_path: Path, name: str, dtype: type
) -> None:
    values = waves(low=-20, high=60).astype(np.float32)
    values[:4, :4] = np.nan
    tifffile.imwrite(tmp_path / "a.tif", values)
    refused = sr(*BICUBIC, "a.tif", "-f", name)
    assert (refused.returncode, refused.error_codes) == (1, ["unsupported-by-format"])
    assert b"--flatten" in refused.stderr and b"tiff" in refused.stderr
    done = sr(*BICUBIC, "a.tif", "-f", name, "--flatten", "--json")
    assert done.returncode == 0
    (note,) = done.notes
    top = np.iinfo(dtype).max
    assert note["kind"] == "values-narrowed" and note["top"] == top
    made = cv2.imread(str(tmp_path / f"a_x2.{name}"), cv2.IMREAD_UNCHANGED)
    assert made.dtype == dtype
    low, high = np.nanmin(values), np.nanmax(values)
    wanted = (values[10:20, 10:20] - low) / (high - low) * top
    assert np.abs(made[20:40:2, 20:40:2] - wanted).max() < 0.12 * top


@pytest.mark.parametrize("name", ["png", "jpg"])
def test_a_page_of_values_is_dropped_with_its_page(sr: Run, tmp_path: Path, name: str) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(smooth(8, 8), photometric="rgb")
        file.write(waves(8, 8).astype(np.float32))
    done = sr(*BICUBIC, "a.tif", "-f", name, "--flatten", "--json")
    assert (done.returncode, done.notes) == (0, [])
    assert cv2.imread(str(tmp_path / f"a_x2.{name}")).shape == (16, 16, 3)


def test_bands_are_dropped_with_a_count(sr: Run, tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(tiff(random_samples(8, 8, 7, dtype="uint8"), extra=(0,) * 6))
    infrared = tiff(random_samples(8, 8, 4, dtype="uint8"), photometric=2, extra=(0,))
    (tmp_path / "b.tif").write_bytes(infrared)
    for source, target, count in (("a.tif", "png", 6), ("b.tif", "jpg", 1)):
        done = sr(*BICUBIC, source, "-f", target, "--flatten", "--json")
        assert done.returncode == 0
        assert done.notes == [{"kind": "bands-dropped", "count": count}]


def test_a_comparison_shows_both_sides_in_the_same_range(sr: Run, tmp_path: Path) -> None:
    values = waves(low=900, high=1400).astype(np.float32)
    tifffile.imwrite(tmp_path / "a.tif", values)
    assert sr(*NETWORK, "a.tif", "--compare").returncode == 0
    sheet = np.asarray(Image.open(tmp_path / "a_x2_compare.tif")).astype(int)[28:]
    left, right = sheet[8:-8, 8:52], sheet[8:-8, 68:112]
    assert np.abs(left - right).mean() < 4 and left.std() > 20


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_no_shape_of_the_input_is_described(sr: Run, tmp_path: Path, dtype: str) -> None:
    tifffile.imwrite(tmp_path / "a.tif", waves(high=200).astype(dtype))
    assert sr(*BICUBIC, "a.tif").returncode == 0
    with tifffile.TiffFile(tmp_path / "a_x2.tif") as file:
        # tifffile writes it into the input.
        assert 270 not in file.pages[0].tags


@pytest.mark.parametrize(
    ("options", "block"),
    [
        (
            {"imagej": True, "resolution": (10, 10), "metadata": {"unit": "um"}},
            "calibration",
        ),
        ({"ome": True, "resolution": (10, 10), "resolutionunit": 3}, "calibration"),
    ],
)
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_a_calibration_is_dropped_with_a_word(
    sr: Run, tmp_path: Path, options: dict[str, Any], block: str, dtype: str
) -> None:
    tifffile.imwrite(tmp_path / "a.tif", waves(high=1).astype(dtype), **options)
    done = sr(*BICUBIC, "a.tif", "--json", "-f", "png", "--flatten")
    assert done.returncode == 0
    assert {"kind": "metadata-dropped", "block": block, "format": "PNG"} in done.notes
    with Image.open(tmp_path / "a_x2.png") as made:
        assert "dpi" not in made.info and 270 not in made.getexif()


def test_each_page_keeps_its_description_and_resolution(sr: Run, tmp_path: Path) -> None:
    labels = [("one", (300, 300), 2), ("zwei Wörter", (72, 36), 2), (None, (100, 100), 3)]
    for first in ("uint8", "uint32"):
        with tifffile.TiffWriter(tmp_path / "a.tif") as file:
            for text, resolution, unit in labels:
                file.write(
                    waves(high=200).astype(first), resolution=resolution, resolutionunit=unit,
                    description=text and text.encode(), metadata=None,
                )  # fmt: skip
            file.write(smooth(8, 8), photometric="rgb", metadata=None)
        assert sr(*BICUBIC, "a.tif", "-y").returncode == 0
        with tifffile.TiffFile(tmp_path / "a_x2.tif") as file:
            found = [(page.description, page.get_resolution("inch")) for page in file.pages]
            assert file.pages[3].tags.valueof(296) == 1  # No unit: no resolution.
        assert found[:2] == [("one", (300, 300)), ("zwei Wörter", (72, 36))]
        assert found[2][0] == "" and np.allclose(found[2][1], 254)
        assert found[3][0] == ""


def test_measurements_are_not_measured_at_8_bits(sr: Run, tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    tifffile.imwrite(tmp_path / "set/a.tif", waves(high=200).astype(np.float32))
    done = sr("benchmark", "set", "-m", "bicubic", "-x2")
    assert done.returncode != 0 and done.error_codes == ["unsupported-samples"]
    assert b"a.tif" in done.stderr


def test_arrays_and_images_of_floats(tmp_path: Path) -> None:
    values = waves(low=50, high=90).astype(np.float32)
    values[0, 0] = np.nan
    made = upscale_image(values, model="espcn", scale=2)
    assert made.dtype == np.float32 and made.shape == (48, 60)
    assert np.isnan(made).sum() == 4 and np.nanmin(made) >= 50 and np.nanmax(made) <= 90
    colour = upscale_image(waves(channels=4).astype(np.float32), model="bicubic", scale=2)
    assert colour.shape == (48, 60, 4) and colour.dtype == np.float32
    for mode, dtype in (("F", np.float32), ("I", np.int32)):
        image = upscale_image(
            Image.fromarray(np.nan_to_num(values, nan=50).astype(dtype)), model="espcn", scale=2
        )
        assert image.mode == mode and image.size == (60, 48)
        assert np.asarray(image).min() >= 50


def test_16_bit_gray_keeps_its_transparent_value_in_memory(tmp_path: Path) -> None:
    gray = np.round(waves(low=100, high=60_000)).astype(np.uint16)
    gray[:12] = 500
    Image.fromarray(gray).save(tmp_path / "a.png", transparency=500)
    with Image.open(tmp_path / "a.png") as image:
        made = upscale_image(image, model="espcn", scale=2)
    assert made.mode == "I;16" and made.info["transparency"] == 500
    made.save(tmp_path / "b.png")
    frame = read_picture(tmp_path / "b.png").frames[0]
    assert frame.alpha is not None
    assert (frame.alpha[:23] == 0).all() and (frame.alpha[25:] == 65535).all()
    opaque = upscale_image(Image.fromarray(gray), model="bicubic", scale=2)
    assert "transparency" not in opaque.info


def test_ranges() -> None:
    def span(low: float, high: float, dtype: str) -> tuple[float, float]:
        found = find_span(np.array([[low, high]], dtype))
        return found.low, found.high

    assert span(0.25, 0.5, "float32") == (0, 1)
    assert span(-0.25, 0.5, "float32") == (-0.25, 0.5)
    assert span(3, 250, "int32") == (0, 255) and span(3, 260, "int32") == (0, 1023)
    assert span(200, 210, "int32") == (200, 210) and span(-1, 250, "int32") == (-1, 250)
    assert span(100, 60_000, "uint16") == (0, 65535) and span(0, 100_000, "uint32")[1] == 100_000


@given(
    st.sampled_from(["int8", "int16", "int32", "uint32", "float32", "float64"]),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=60)
def test_values_come_back_from_the_unit_range(dtype: str, seed: int) -> None:
    random = np.random.default_rng(seed)
    exponent = random.integers(-10, 30)
    values = random.normal(size=(70, 3)) * 2.0**exponent
    if not dtype.startswith("float"):
        values = np.clip(values, np.iinfo(dtype).min, np.iinfo(dtype).max)
    values = values.astype(dtype)
    span = find_span(values)
    unit = span.to_unit(values)
    assert unit.dtype == np.float32 and unit.min() >= 0 and unit.max() <= 1
    back = span.from_unit(unit, values.dtype)
    size = float(span.high) - float(span.low)
    error = np.abs(back.astype(np.float64) - values.astype(np.float64)).max()
    assert error <= size * 1e-6 + 0.5 * (not dtype.startswith("float"))


def test_a_flat_image_stays_exactly_as_it_is() -> None:
    for value in (0.0, 7.3, -1e30, 3e38):
        flat = np.full((6, 7), value, np.float32)
        assert (upscale_image(flat, model="espcn", scale=2) == np.float32(value)).all() or (
            0 <= value <= 1
        )
    assert Span(5, 5).to_unit(np.full((2, 2), 5)).tolist() == [[0, 0], [0, 0]]


def test_nodata_means_the_stored_value() -> None:
    pixels = np.array([[0.1, 5], [np.nan, 5]], np.float32)
    assert find_missing(pixels, 0.1).tolist() == [[True, False], [True, False]]
    assert find_missing(pixels[:1], None) is None
    whole = np.array([[1, 2]], np.uint8)
    assert find_missing(whole, 257) is None and find_missing(whole, 1.5) is None
    assert find_missing(whole, float("nan")) is None
    assert find_missing(np.array([[[1, 1, 1], [1, 1, 2]]]), 1).tolist() == [[True, False]]
