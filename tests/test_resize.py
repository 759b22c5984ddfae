"""Bicubic resizing: MATLAB's own files, the golden table, and what must hold for any picture."""

from __future__ import annotations

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
    crop_to_multiple,
    downscale_bicubic,
    resize_bicubic,
    vertical_first,
)
from sr_cli.networks.bicubic import enlarge_bicubic

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
    other = (enlarge_bicubic(x, scale)[0, 0].numpy() * 255).clip(0, 255)
    assert np.abs(other - sr).max() <= 1.5


@given(st.integers(2, 30), st.integers(2, 30), st.floats(0.3, 5.0))
@settings(max_examples=40, deadline=None)
def test_bands_equal_the_whole(h: int, w: int, factor: float) -> None:
    lr = np.random.default_rng(h).integers(0, 256, (h, w, 3), dtype=np.uint8)
    size = max(1, round(h * factor)), max(1, round(w * factor))
    shares: list[float] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "_BAND", 3)
        banded = BicubicPipeline().run(lr, size, shares.append)
    assert np.array_equal(banded, resize_bicubic(lr, *size))
    # Where bands are made at all, they are told of.
    if vertical_first(h, w, *size):
        assert shares == sorted(shares) and len(shares) == -(-size[0] // 3) and shares[-1] == 1
