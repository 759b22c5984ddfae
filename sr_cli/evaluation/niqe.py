"""NIQE: Mittal et al., Making a "Completely Blind" Image Quality Analyzer, 2013."""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from sr_cli.errors import SrError
from sr_cli.imaging.colour import luma
from sr_cli.imaging.resize import resize_bicubic

Floats = NDArray[np.float64]

BLOCK = 96
"""The side of the blocks whose statistics are taken, in pixels."""

_MODEL = Path(__file__).parent / "data" / "niqe.safetensors"
"""Mean and covariance of the features of pristine images; see NOTICE.md beside it."""

_NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))


def niqe(image: NDArray[Any], *, border: int) -> float:
    """How far an image is from undamaged photographs; smaller is better. There is no original.

    Args:
        image: uint8 (h, w, 3), or (h, w) for gray.
        border: Pixels dropped on each side.

    Raises:
        SrError: `image-too-small` for two blocks of 96x96, `niqe-undefined` for an image without
            variation in all blocks but one.
    """
    y = np.round(luma(image) if image.ndim == 3 else image.astype(np.float64))
    y = y[border : y.shape[0] - border, border : y.shape[1] - border]
    rows, columns = y.shape[0] // BLOCK, y.shape[1] // BLOCK
    if rows * columns < 2:
        height, width = image.shape[:2]
        needed = 2 * border + BLOCK * (1 if max(rows, columns) > 1 else 2)
        raise SrError("image-too-small", width=width, height=height, needed=needed)
    y = y[: rows * BLOCK, : columns * BLOCK]
    half = resize_bicubic(
        y.astype(np.float32), y.shape[0] // 2, y.shape[1] // 2, rounded_between=False
    )
    features = np.hstack([_features(y, BLOCK), _features(half.astype(np.float64), BLOCK // 2)])
    whole = features[np.isfinite(features).all(1)]
    if len(whole) < 2:
        raise SrError("niqe-undefined")
    mean, covariance = _pristine()
    # Features that one block lacks do not keep its others from the mean, as in the authors' code.
    apart = mean - np.nanmean(np.where(np.isfinite(features), features, np.nan), axis=0)
    inverse = np.linalg.pinv((covariance + np.cov(whole, rowvar=False)) / 2)
    return float(np.sqrt(apart @ inverse @ apart))


@lru_cache
def _pristine() -> tuple[Floats, Floats]:
    model = load_file(_MODEL)
    return model["mean"], model["covariance"]


def _features(y: Floats, block: int) -> Floats:
    """18 features of each block, of luma normalised by its surroundings (equations 1 to 8)."""
    window = cv2.getGaussianKernel(7, 7 / 6)

    def local(image: Floats) -> Floats:
        return np.asarray(
            cv2.sepFilter2D(image, cv2.CV_64F, window, window, borderType=cv2.BORDER_REPLICATE)
        )

    mean = local(y)
    spread = np.sqrt(np.abs(local(y * y) - mean * mean))
    normal = (y - mean) / (spread + 1)
    h, w = (n // block for n in y.shape)
    blocks = normal.reshape(h, block, w, block).swapaxes(1, 2).reshape(-1, block, block)
    return np.array([_block_features(b) for b in blocks])


def _block_features(block: Floats) -> list[float]:
    shape, left, right = _fit(block)
    found = [shape, (left + right) / 2]
    for shift in _NEIGHBOURS:
        shape, left, right = _fit(block * np.roll(block, shift, (0, 1)))
        mean = (right - left) * math.gamma(2 / shape) / math.gamma(1 / shape)
        found += [shape, mean, left, right]
    return found


def _fit(values: Floats) -> tuple[float, float, float]:
    """Shape and both scales of an asymmetric generalised Gaussian, by its moments.

    Lasmar et al., Multiscale skewed heavy tailed model for texture analysis, 2009, section 3.
    Scales are NaN where there are no values on one side.
    """
    below, above = values[values < 0], values[values > 0]
    if not (below.size and above.size):
        return 1.0, math.nan, math.nan
    left, right = math.sqrt(np.mean(below**2)), math.sqrt(np.mean(above**2))
    ratio = left / right
    spread = np.mean(np.abs(values)) ** 2 / np.mean(values**2)
    wanted = spread * (ratio**3 + 1) * (ratio + 1) / (ratio**2 + 1) ** 2
    shapes, moments = _moments()
    shape = float(shapes[np.argmin((moments - wanted) ** 2)])
    scale = math.sqrt(math.gamma(1 / shape) / math.gamma(3 / shape))
    return shape, left * scale, right * scale


@lru_cache
def _moments() -> tuple[Floats, Floats]:
    """Shapes from 0.2 to 10, and the ratio of moments by which they are told apart."""
    shapes = np.arange(0.2, 10.001, 0.001)
    log = np.vectorize(math.lgamma)
    moments = np.exp(2 * log(2 / shapes) - log(1 / shapes) - log(3 / shapes))
    return shapes, moments
