"""PSNR and SSIM by the papers' protocol: on unrounded luma, border dropped."""

from __future__ import annotations

import math
from typing import Any, Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from sr_cli.errors import SrError
from sr_cli.imaging.colour import luma

Luma = Literal["unrounded", "rounded"]
"""How colour becomes luma before measuring; rounded reads up to 0.03 dB lower."""

LUMAS: tuple[Luma, ...] = get_args(Luma)
_WINDOW = 11


def psnr_y(
    sr: NDArray[Any], hr: NDArray[Any], *, border: int, luma_is: Luma = "unrounded"
) -> float:
    """PSNR on luma, peak 255.

    Args:
        sr: uint8 (h, w, 3), or (h, w) for gray, which is measured as it is.
        hr: The original, of the same shape.
        border: Pixels dropped on each side; the papers drop as many as the scale.
        luma_is: Whether luma is rounded to integers first.

    Returns:
        Decibels; inf where both are equal.

    Raises:
        SrError: `shape-mismatch`, or `image-too-small` for the border.
    """
    _check_shapes(sr, hr, border, 1)
    difference = _inside(sr, border, luma_is) - _inside(hr, border, luma_is)
    return _psnr(float(np.mean(difference**2)))


def psnr_rgb(sr: NDArray[Any], hr: NDArray[Any], *, border: int) -> float:
    """PSNR over all channels, peak 255. Arguments, result and errors as `psnr_y`."""
    _check_shapes(sr, hr, border, 1)
    inside = slice(border, sr.shape[0] - border), slice(border, sr.shape[1] - border)
    difference = sr[inside].astype(np.float64) - hr[inside]
    return _psnr(float(np.mean(difference**2)))


def ssim_y(
    sr: NDArray[Any], hr: NDArray[Any], *, border: int, luma_is: Luma = "unrounded"
) -> float:
    """SSIM on luma: 11x11 Gaussian, sigma 1.5, K = 0.01 and 0.03, valid region.

    Wang et al., Image quality assessment: from error visibility to structural similarity, 2004.
    Arguments as `psnr_y`.

    Returns:
        The mean over the pixels, at most 1.

    Raises:
        SrError: `shape-mismatch`, or `image-too-small` for border and window.
    """
    _check_shapes(sr, hr, border, _WINDOW)
    x, y = _inside(sr, border, luma_is), _inside(hr, border, luma_is)
    window = cv2.getGaussianKernel(_WINDOW, 1.5)
    valid = slice(_WINDOW // 2, -(_WINDOW // 2))

    def mean(image: NDArray[np.float64]) -> NDArray[np.float64]:
        blurred = cv2.sepFilter2D(image, cv2.CV_64F, window, window)
        return blurred[valid, valid].astype(np.float64)

    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    mx, my = mean(x), mean(y)
    vx, vy, cov = mean(x * x) - mx * mx, mean(y * y) - my * my, mean(x * y) - mx * my
    ssim = ((2 * mx * my + c1) * (2 * cov + c2)) / ((mx * mx + my * my + c1) * (vx + vy + c2))
    return float(ssim.mean())


def _inside(image: NDArray[Any], border: int, luma_is: Luma) -> NDArray[np.float64]:
    """The image as luma (gray as it is), float64, `border` pixels dropped on each side."""
    y = image.astype(np.float64) if image.ndim == 2 else luma(image)
    y = np.floor(y + 0.5) if luma_is == "rounded" else y
    return y[border : y.shape[0] - border, border : y.shape[1] - border]


def _check_shapes(sr: NDArray[Any], hr: NDArray[Any], border: int, least: int) -> None:
    if sr.shape != hr.shape:
        raise SrError("shape-mismatch", sr=sr.shape, hr=hr.shape)
    height, width = sr.shape[:2]
    needed = least + 2 * border
    if min(height, width) < needed:
        raise SrError("image-too-small", width=width, height=height, needed=needed)


def _psnr(error: float) -> float:
    return math.inf if error == 0 else 10 * math.log10(255.0**2 / error)
