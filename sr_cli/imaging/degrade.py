"""hr -> lr: bicubic, noise, and what happens to photographs on their way."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sr_cli.imaging.degradation import Photo, Round
from sr_cli.imaging.kernels import blur, random_kernel, random_sinc
from sr_cli.imaging.resize import downscale_bicubic

Picture = NDArray[Any]
"""(h, w, C) float32 in [0, 1]."""

_FINAL_SIDE = 21
_RESIZES = (cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC)


def degrade(
    hr: NDArray[np.uint8],
    *,
    scale: int,
    degradation: str,
    random: np.random.Generator,
    noise_sigma: tuple[float, float] = (0.0, 25.0),
    photo: Photo | None = None,
) -> NDArray[np.uint8]:
    """hr (h*scale, w*scale, 3) -> lr (h, w, 3), the same for the same state of `random`."""
    if degradation == "photo":
        return degrade_photo(hr, scale, photo or Photo(), random)
    lr = downscale_bicubic(hr, scale)
    return add_noise(lr, noise_sigma, random) if degradation == "noise" else lr


def add_noise(
    lr: NDArray[np.uint8], sigma: tuple[float, float], random: np.random.Generator
) -> NDArray[np.uint8]:
    """Gaussian noise of one sigma from the range, in 8-bit steps, on every channel."""
    noise = random.standard_normal(lr.shape, dtype=np.float32) * random.uniform(*sigma)
    return _rounded((lr + noise) / 255)


def degrade_photo(
    hr: NDArray[np.uint8], scale: int, photo: Photo, random: np.random.Generator
) -> NDArray[np.uint8]:
    """Two rounds of blur, resize, noise and compression (Real-ESRGAN, figure 2)."""
    h, w = hr.shape[0] // scale, hr.shape[1] // scale
    if random.random() < photo.clean:
        return downscale_bicubic(hr, scale)
    picture = hr.astype(np.float32) / 255
    picture = _blur(picture, photo.first, random)
    picture = _resize(picture, photo.first, random, base=(hr.shape[0], hr.shape[1]))
    picture = _compress(_noise(picture, photo.first, random), photo.first, random)
    picture = _blur(picture, photo.second, random)
    picture = _resize(picture, photo.second, random, base=(h, w))
    picture = _noise(picture, photo.second, random)
    sinc = random_sinc(random, _FINAL_SIDE) if random.random() < photo.final_sinc else None
    compress_last = bool(random.random() < 0.5)
    if not compress_last:
        picture = _compress(picture, photo.second, random)
    picture = _to_size(picture, (h, w), random)
    if sinc is not None:
        picture = np.clip(blur(picture, sinc), 0, 1)
    if compress_last:
        picture = _compress(picture, photo.second, random)
    return _rounded(picture)


def _blur(picture: Picture, ranges: Round, random: np.random.Generator) -> Picture:
    if random.random() >= ranges.blur:
        return picture
    return blur(picture, random_kernel(random, ranges))


def _resize(
    picture: Picture, ranges: Round, random: np.random.Generator, *, base: tuple[int, int]
) -> Picture:
    """By a random factor of `base`, up, down or not at all, by one of three kernels."""
    kind, (low, high) = random.random(), ranges.resize
    factor = 1.0
    if kind < ranges.up:
        factor = random.uniform(1, max(1, high))
    elif kind < ranges.up + ranges.down:
        factor = random.uniform(low, 1)
    size = (max(8, round(base[0] * factor)), max(8, round(base[1] * factor)))
    return _to_size(picture, size, random)


def _to_size(picture: Picture, size: tuple[int, int], random: np.random.Generator) -> Picture:
    how = _RESIZES[int(random.integers(len(_RESIZES)))]
    made: Any = cv2.resize(picture, size[::-1], interpolation=how)
    clipped: Picture = np.clip(made, 0, 1)
    return clipped


def _noise(picture: Picture, ranges: Round, random: np.random.Generator) -> Picture:
    gray = random.random() < ranges.gray
    if random.random() < ranges.gaussian:
        shape = (*picture.shape[:2], 1) if gray else picture.shape
        sigma = random.uniform(*ranges.gaussian_sigma) / 255
        noise = random.standard_normal(shape, dtype=np.float32) * np.float32(sigma)
    else:
        noise = _poisson_noise(picture, gray, random) * np.float32(
            random.uniform(*ranges.poisson_scale)
        )
    noisy: Picture = np.clip(picture + noise, 0, 1)
    return noisy


def _poisson_noise(picture: Picture, gray: bool, random: np.random.Generator) -> Picture:
    """Shot noise: each value is a count of as many quanta as the picture has different values."""
    source = picture.mean(2, keepdims=True) if gray else picture
    source = np.round(np.clip(source, 0, 1) * 255) / 255
    levels = 2 ** np.ceil(np.log2(max(2, len(np.unique(source)))))
    noisy: Picture = (random.poisson(source * levels) / levels - source).astype(np.float32)
    return noisy


def _compress(picture: Picture, ranges: Round, random: np.random.Generator) -> Picture:
    """Through JPEG (4:2:0, as cameras and the web have it), or sometimes WebP."""
    quality = round(random.uniform(*ranges.jpeg))
    webp = random.random() < ranges.webp
    options = [cv2.IMWRITE_WEBP_QUALITY if webp else cv2.IMWRITE_JPEG_QUALITY, quality]
    pixels = np.ascontiguousarray(_rounded(picture)[:, :, ::-1])
    _, packed = cv2.imencode(".webp" if webp else ".jpg", pixels, options)
    unpacked: Any = cv2.imdecode(packed, cv2.IMREAD_COLOR)
    picture = unpacked[:, :, ::-1] / np.float32(255)
    return picture


def _rounded(picture: NDArray[Any]) -> NDArray[np.uint8]:
    return np.clip(np.floor(picture * 255 + 0.5), 0, 255).astype(np.uint8)
