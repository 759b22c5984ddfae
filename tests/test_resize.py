"""Bicubic resizing: MATLAB's own files, the golden table, and what must hold for any image."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sr_cli.engine import pipeline
from sr_cli.engine.pipeline import BicubicPipeline
from sr_cli.evaluation.metrics import psnr_y, ssim_y
from sr_cli.imaging.resize import (
    bicubic_taps,
    crop_to_multiple,
    downscale_bicubic,
    resize_bicubic,
    to_samples,
    vertical_first,
)
from sr_cli.networks.bicubic import upscale_bicubic

GOLDEN = {
    ("Set5", 2): (33.673, 0.9303),
    ("Set5", 3): (30.403, 0.8689),
    ("Set5", 4): (28.429, 0.8111),
    ("Set14", 4): (25.994, 0.7029),
}


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_lr_equals_matlabs_files_bit_for_bit(test_sets: Path, scale: int) -> None:
    for path in sorted((test_sets / "Set5").iterdir()):
        name = path.stem.removesuffix("_GT")
        matlab = test_sets / "Set5_LR_matlab" / f"X{scale}" / f"{name}x{scale}.png"
        lr = downscale_bicubic(np.asarray(Image.open(path).convert("RGB")), scale)
        assert np.array_equal(lr, np.asarray(Image.open(matlab).convert("RGB"))), name


@pytest.mark.parametrize(("name", "scale"), list(GOLDEN))
def test_bicubic_equals_the_golden_table(test_sets: Path, name: str, scale: int) -> None:
    psnr, ssim = [], []
    for path in sorted((test_sets / name).iterdir()):
        image = Image.open(path)
        hr = np.asarray(image if image.mode == "L" else image.convert("RGB"))
        hr = crop_to_multiple(hr, scale)
        lr = downscale_bicubic(hr, scale)
        sr = BicubicPipeline().run(lr, hr.shape[:2])
        psnr.append(psnr_y(sr, hr, border=scale))
        ssim.append(ssim_y(sr, hr, border=scale))
    assert np.mean(psnr) == pytest.approx(GOLDEN[name, scale][0], abs=0.002)
    assert np.mean(ssim) == pytest.approx(GOLDEN[name, scale][1], abs=0.0005)


@given(
    st.integers(1, 20),
    st.integers(1, 20),
    st.integers(1, 60),
    st.integers(1, 60),
    st.integers(0, 255),
)
@settings(max_examples=60, deadline=None)
def test_flat_stays_flat_at_any_size(h: int, w: int, height: int, width: int, value: int) -> None:
    flat = np.full((h, w), value, np.uint8)
    assert (resize_bicubic(flat, height, width) == value).all()


@given(st.integers(1, 40), st.integers(1, 40), st.integers(2, 4))
@settings(max_examples=40, deadline=None)
def test_both_bicubics_agree(h: int, w: int, scale: int) -> None:
    """The network `bicubic` (torch, unrounded) and imresize (numpy, rounded in between)."""
    lr = np.random.default_rng(h * 41 + w).integers(64, 192, (h, w), dtype=np.uint8)
    sr = resize_bicubic(lr, h * scale, w * scale)
    x = torch.from_numpy(lr).float()[None, None] / 255
    other = (upscale_bicubic(x, scale)[0, 0].numpy() * 255).clip(0, 255)
    assert np.abs(other - sr).max() <= 1.5


@given(st.integers(2, 30), st.integers(2, 30), st.floats(0.3, 5.0))
@settings(max_examples=40, deadline=None)
def test_bands_equal_the_whole(h: int, w: int, factor: float) -> None:
    lr = np.random.default_rng(h).integers(0, 256, (h, w, 3), dtype=np.uint8)
    size = max(1, round(h * factor)), max(1, round(w * factor))
    shares: list[float] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "_BAND", 3)
        made = BicubicPipeline().run(lr, size, shares.append)
    assert np.array_equal(made, resize_bicubic(lr, *size))
    if vertical_first(h, w, *size):
        assert len(shares) == math.ceil(size[0] / 3) and shares[-1] == 1.0


def slowly_resized(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """imresize written as its definition reads, pixel by pixel, without rounding."""

    def along(line: np.ndarray, out: int) -> list[float]:
        n, scale = len(line), out / len(line)
        stretch = min(scale, 1.0)
        made = []
        for place in range(out):
            centre = (place + 0.5) / scale - 0.5
            total = weights = 0.0
            first, last = math.floor(centre - 2 / stretch), math.ceil(centre + 2 / stretch)
            for at in range(first, last + 1):
                d = abs(centre - at) * stretch
                weight = 0.0
                if d <= 1:
                    weight = 1.5 * d**3 - 2.5 * d**2 + 1
                elif d < 2:
                    weight = -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2
                mirrored = at % (2 * n)
                total += weight * line[mirrored if mirrored < n else 2 * n - 1 - mirrored]
                weights += weight
            made.append(total / weights)
        return made

    tall = np.array([along(column, height) for column in image.T.astype(float)]).T
    return np.array([along(row, width) for row in tall])


@pytest.mark.parametrize(
    ("h", "w", "height", "width"),
    [(7, 5, 14, 10), (9, 12, 3, 4), (5, 8, 13, 3), (8, 5, 3, 13), (1, 6, 4, 2), (3, 2, 1, 1)],
)
def test_every_pixel_is_what_the_definition_says(h: int, w: int, height: int, width: int) -> None:
    image = np.random.default_rng(h * w).integers(20_000, 40_000, (h, w)).astype(np.uint16)
    wanted = slowly_resized(image, height, width)
    exact = resize_bicubic(image, height, width, rounded_between=False)
    assert exact.dtype == np.uint16 and exact.flags.c_contiguous
    assert np.abs(exact - wanted.clip(0, 65535)).max() <= 0.5 + 1e-6
    assert np.abs(resize_bicubic(image, height, width) - wanted.clip(0, 65535)).max() <= 1.5


@pytest.mark.parametrize("scale", [4, 5])
def test_up_to_x4_lr_is_rounded_between_the_directions(scale: int) -> None:
    hr = np.random.default_rng(0).integers(0, 256, (40, 61, 3), dtype=np.uint8)
    lr = downscale_bicubic(hr, scale)
    assert lr.shape == (40 // scale, 61 // scale, 3)
    cropped = hr[: 40 // scale * scale, : 61 // scale * scale]
    both = [
        resize_bicubic(cropped, *lr.shape[:2], rounded_between=rounded) for rounded in (True, False)
    ]
    assert not np.array_equal(*both)
    assert np.array_equal(lr, both[scale > 4])
    assert np.array_equal(resize_bicubic(cropped, *lr.shape[:2]), both[0])


def test_which_direction_goes_first() -> None:
    assert vertical_first(100, 100, 50, 50) and vertical_first(100, 100, 50, 60)
    assert vertical_first(10, 10, 20, 20) and not vertical_first(100, 100, 60, 50)
    # x0.33 of 101 and 100 pixels, rounded: one factor for both.
    assert vertical_first(100, 101, 33, 33) and vertical_first(101, 100, 33, 33)
    image = np.random.default_rng(1).integers(0, 256, (40, 40), dtype=np.uint8)
    columns, rows = bicubic_taps(40, 10, 0.25), bicubic_taps(40, 30, 0.75)
    wide = to_samples(columns.apply(image.T), image.dtype).T
    by_columns_first = to_samples(rows.apply(wide), image.dtype)
    assert np.array_equal(resize_bicubic(image, 30, 10), by_columns_first)
    turned = resize_bicubic(np.ascontiguousarray(image.T), 10, 30)
    assert np.array_equal(resize_bicubic(image, 30, 10), turned.T)


def test_integers_are_rounded_half_up_and_saturate() -> None:
    values = np.array([-3.0, 0.49, 0.5, 1.5, 2.5, 254.4, 255.6, 70_000.0])
    assert to_samples(values, np.dtype(np.uint8)).tolist() == [0, 0, 1, 2, 3, 254, 255, 255]
    assert to_samples(values, np.dtype(np.uint16)).tolist()[-2:] == [256, 65535]


@given(st.integers(1, 30), st.integers(1, 60), st.data())
@settings(max_examples=40, deadline=None)
def test_a_part_of_the_taps_makes_that_part(n: int, out: int, data: st.DataObject) -> None:
    pixels = np.random.default_rng(n).integers(0, 256, (n, 2))
    taps = bicubic_taps(n, out, out / n)
    start = data.draw(st.integers(0, out - 1))
    stop = data.draw(st.integers(start + 1, out))
    part = taps.rows(start, stop)
    first = int(part.index.min())
    made = part.apply(pixels[first : int(part.index.max()) + 1], offset=first)
    assert np.array_equal(made, taps.apply(pixels)[start:stop])
    assert np.allclose(taps.weight.sum(1), 1)


def test_cropping_keeps_the_top_left() -> None:
    image = np.arange(7 * 9 * 3).reshape(7, 9, 3)
    assert np.array_equal(crop_to_multiple(image, 4), image[:4, :8])
    assert np.array_equal(crop_to_multiple(image[..., 0], 1), image[..., 0])
