"""PSNR and SSIM against their formulas."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from sr_cli.errors import SrError
from sr_cli.evaluation.metrics import psnr_rgb, psnr_y, ssim_y

RANDOM = np.random.default_rng(0)
HR = RANDOM.integers(0, 256, (32, 40, 3), dtype=np.uint8)
SR = np.clip(HR + RANDOM.integers(-20, 21, HR.shape), 0, 255).astype(np.uint8)


def luma(rgb: np.ndarray) -> np.ndarray:
    return 16 + rgb.astype(float) @ (np.array([65.481, 128.553, 24.966]) / 255)


def ssim_by_hand(x: np.ndarray, y: np.ndarray) -> float:
    """Window by window, as in the paper."""
    ramp = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    window = np.outer(ramp, ramp) / np.outer(ramp, ramp).sum()
    found = []
    for top in range(x.shape[0] - 10):
        for left in range(x.shape[1] - 10):
            a, b = (p[top : top + 11, left : left + 11] for p in (x, y))
            ma, mb = (window * a).sum(), (window * b).sum()
            va, vb = (window * (a - ma) ** 2).sum(), (window * (b - mb) ** 2).sum()
            cov = (window * (a - ma) * (b - mb)).sum()
            c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
            found.append(
                (2 * ma * mb + c1) * (2 * cov + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2))
            )
    return float(np.mean(found))


def psnr(x: np.ndarray, y: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((x.astype(float) - y) ** 2)))


@pytest.mark.parametrize("border", [0, 3])
def test_psnr_and_ssim_are_those_of_the_formulas(border: int) -> None:
    inner = slice(border, 32 - border), slice(border, 40 - border)
    x, y = luma(SR)[inner], luma(HR)[inner]
    assert psnr_y(SR, HR, border=border) == pytest.approx(psnr(x, y))
    assert ssim_y(SR, HR, border=border) == pytest.approx(ssim_by_hand(x, y), abs=1e-6)
    assert psnr_rgb(SR, HR, border=border) == pytest.approx(psnr(SR[inner], HR[inner]))
    rounded = np.floor(x + 0.5), np.floor(y + 0.5)
    found = psnr_y(SR, HR, border=border, luma_is="rounded")
    assert found == pytest.approx(psnr(*rounded)) != psnr_y(SR, HR, border=border)
    found = ssim_y(SR, HR, border=border, luma_is="rounded")
    assert found == pytest.approx(ssim_by_hand(*rounded), abs=1e-6)


def test_dark_images_count_by_the_constants_of_ssim() -> None:
    # Luma never falls below 16; gray does, and c1 weighs most there.
    sr, hr = SR[..., 0] // 64, HR[..., 0] // 64
    assert ssim_y(sr, hr, border=0) == pytest.approx(ssim_by_hand(sr * 1.0, hr * 1.0), abs=1e-6)
    halves = (sr + 0.4, hr + 0.4)
    found = ssim_y(*halves, border=0, luma_is="rounded")
    assert found == pytest.approx(ssim_by_hand(sr * 1.0, hr * 1.0), abs=1e-6)


def test_gray_is_measured_as_it_is() -> None:
    sr, hr = SR[..., 0], HR[..., 0]
    assert psnr_y(sr, hr, border=0) == pytest.approx(psnr(sr, hr))
    assert ssim_y(sr, hr, border=0) == pytest.approx(ssim_by_hand(sr * 1.0, hr * 1.0), abs=1e-6)


def test_equal_images() -> None:
    for metric in (psnr_y, psnr_rgb):
        assert metric(HR, HR, border=4) == math.inf
    assert ssim_y(HR, HR, border=4) == pytest.approx(1)


@pytest.mark.parametrize(
    ("metric", "needed"), [(psnr_y, 1 + 2 * 4), (psnr_rgb, 1 + 2 * 4), (ssim_y, 11 + 2 * 4)]
)
def test_images_must_be_as_large_as_border_and_window(
    metric: Callable[..., float], needed: int
) -> None:
    for height, width in ((needed, needed), (needed - 1, 30), (30, needed - 1)):
        sr, hr = SR[:height, :width], HR[:height, :width]
        if min(height, width) == needed:
            assert math.isfinite(metric(sr, hr, border=4))
            continue
        error = failure(metric, sr, hr)
        assert error.code == "image-too-small"
        assert error.facts == {"width": width, "height": height, "needed": needed}
    error = failure(metric, SR, HR[1:])
    assert error.code == "shape-mismatch"
    assert error.facts == {"sr": [32, 40, 3], "hr": [31, 40, 3]}


def failure(metric: Callable[..., float], sr: Any, hr: Any) -> SrError:
    with pytest.raises(SrError) as caught:
        metric(sr, hr, border=4)
    return caught.value
