"""Degradation of hr to lr: bicubic, noise, and the degradation of photographs."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sr_cli.imaging.degradation import Photo, Round
from sr_cli.imaging.kernels import blur, random_kernel, random_sinc
from sr_cli.imaging.resize import downscale_bicubic

FloatImage = NDArray[Any]
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
    """Degrade hr to lr; the result depends only on the arguments and the state of `random`.

    Args:
        hr: (h*scale, w*scale, 3).
        scale: The factor of the reduction.
        degradation: One of DEGRADATIONS.
        random: The source of noise and random parameters.
        noise_sigma: Range of the standard deviation of `noise`, in 8-bit steps.
        photo: Ranges for `photo`; None for those of Real-ESRGAN.

    Returns:
        (h, w, 3).
    """
    if degradation == "photo":
        return degrade_photo(hr, scale, photo or Photo(), random)
    lr = downscale_bicubic(hr, scale)
    return add_noise(lr, noise_sigma, random) if degradation == "noise" else lr


def add_noise(
    lr: NDArray[np.uint8], sigma: tuple[float, float], random: np.random.Generator
) -> NDArray[np.uint8]:
    """Add Gaussian noise to every channel, with one sigma drawn from a range.

    Args:
        lr: (h, w, 3).
        sigma: Range of the standard deviation in 8-bit steps.
        random: The source of the noise.
    """
    noise = random.standard_normal(lr.shape, dtype=np.float32) * random.uniform(*sigma)
    return _to_uint8((lr + noise) / 255)


def degrade_photo(
    hr: NDArray[np.uint8], scale: int, photo: Photo, random: np.random.Generator
) -> NDArray[np.uint8]:
    """Apply two rounds of blur, resize, noise and compression (Real-ESRGAN, figure 2).

    Args:
        hr: (h*scale, w*scale, 3).
        scale: The factor of the reduction.
        photo: The ranges of the parameters.
        random: The source of noise and random parameters.

    Returns:
        (h, w, 3).
    """
    h, w = hr.shape[0] // scale, hr.shape[1] // scale
    if random.random() < photo.clean:
        return downscale_bicubic(hr, scale)
    image = hr.astype(np.float32) / 255
    image = _blur(image, photo.first, random)
    image = _resize(image, photo.first, random, base=(hr.shape[0], hr.shape[1]))
    image = _compress(_noise(image, photo.first, random), photo.first, random)
    image = _blur(image, photo.second, random)
    image = _resize(image, photo.second, random, base=(h, w))
    image = _noise(image, photo.second, random)
    sinc = random_sinc(random, _FINAL_SIDE) if random.random() < photo.final_sinc else None
    compress_last = bool(random.random() < 0.5)
    if not compress_last:
        image = _compress(image, photo.second, random)
    image = _to_size(image, (h, w), random)
    if sinc is not None:
        image = np.clip(blur(image, sinc), 0, 1)
    if compress_last:
        image = _compress(image, photo.second, random)
    return _to_uint8(image)


def _blur(image: FloatImage, ranges: Round, random: np.random.Generator) -> FloatImage:
    if random.random() >= ranges.blur:
        return image
    return blur(image, random_kernel(random, ranges))


def _resize(
    image: FloatImage, ranges: Round, random: np.random.Generator, *, base: tuple[int, int]
) -> FloatImage:
    """Resize to a random factor of `base` (up, down or unchanged), with a random kernel."""
    kind, (low, high) = random.random(), ranges.resize
    factor = 1.0
    if kind < ranges.up:
        factor = random.uniform(1, max(1, high))
    elif kind < ranges.up + ranges.down:
        factor = random.uniform(low, 1)
    size = (max(8, round(base[0] * factor)), max(8, round(base[1] * factor)))
    return _to_size(image, size, random)


def _to_size(image: FloatImage, size: tuple[int, int], random: np.random.Generator) -> FloatImage:
    how = _RESIZES[int(random.integers(len(_RESIZES)))]
    made: Any = cv2.resize(image, size[::-1], interpolation=how)
    clipped: FloatImage = np.clip(made, 0, 1)
    return clipped


def _noise(image: FloatImage, ranges: Round, random: np.random.Generator) -> FloatImage:
    gray = random.random() < ranges.gray
    if random.random() < ranges.gaussian:
        shape = (*image.shape[:2], 1) if gray else image.shape
        sigma = random.uniform(*ranges.gaussian_sigma) / 255
        noise = random.standard_normal(shape, dtype=np.float32) * np.float32(sigma)
    else:
        noise = _poisson_noise(image, gray, random) * np.float32(
            random.uniform(*ranges.poisson_scale)
        )
    noisy: FloatImage = np.clip(image + noise, 0, 1)
    return noisy


def _poisson_noise(image: FloatImage, gray: bool, random: np.random.Generator) -> FloatImage:
    """Shot noise, with as many quanta as the image has distinct values."""
    source = image.mean(2, keepdims=True) if gray else image
    source = np.round(np.clip(source, 0, 1) * 255) / 255
    levels = 2 ** np.ceil(np.log2(max(2, len(np.unique(source)))))
    noisy: FloatImage = (random.poisson(source * levels) / levels - source).astype(np.float32)
    return noisy


def _compress(image: FloatImage, ranges: Round, random: np.random.Generator) -> FloatImage:
    """Compress with JPEG (4:2:0, as cameras and the web use it), or sometimes WebP."""
    quality = round(random.uniform(*ranges.jpeg))
    webp = random.random() < ranges.webp
    options = [cv2.IMWRITE_WEBP_QUALITY if webp else cv2.IMWRITE_JPEG_QUALITY, quality]
    pixels = np.ascontiguousarray(_to_uint8(image)[:, :, ::-1])
    _, packed = cv2.imencode(".webp" if webp else ".jpg", pixels, options)
    unpacked: Any = cv2.imdecode(packed, cv2.IMREAD_COLOR)
    image = unpacked[:, :, ::-1] / np.float32(255)
    return image


def _to_uint8(image: NDArray[Any]) -> NDArray[np.uint8]:
    return np.clip(np.floor(image * 255 + 0.5), 0, 255).astype(np.uint8)
