"""Blur kernels with odd sides, normalised to a sum of 1."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sr_cli.imaging.degradation import Round

Kernel = NDArray[np.float64]

SIDES = range(7, 22, 2)


def gaussian_kernel(
    side: int, sigma: tuple[float, float], angle: float, *, power: float = 1.0
) -> Kernel:
    """exp(-d**power / 2), where d is the squared distance in units of the two sigmas.

    Args:
        side: Rows and columns, odd.
        sigma: Standard deviations in pixels along the two axes.
        angle: Rotation of the axes, in radians.
        power: 1 for a Gaussian; otherwise a generalised Gaussian (Real-ESRGAN, section 3.1;
            Liu et al. 2020).
    """
    return _normalised(np.exp(-0.5 * _distance(side, sigma, angle) ** power))


def plateau_kernel(
    side: int, sigma: tuple[float, float], angle: float, *, power: float = 1.0
) -> Kernel:
    """1 / (1 + d**power), flat in the middle (Real-ESRGAN, section 3.1).

    The arguments are those of `gaussian_kernel`.
    """
    return _normalised(1 / (1 + _distance(side, sigma, angle) ** power))


def sinc_kernel(side: int, cutoff: float) -> Kernel:
    """A circular low-pass filter: ringing and overshoot (Real-ESRGAN, equation 6).

    Args:
        side: Rows and columns, odd.
        cutoff: In radians per pixel, up to pi.
    """
    radius = np.hypot(*_grid(side))
    middle = side // 2
    # As r goes to 0, J1(cr)/r goes to c/2.
    radius[middle, middle] = 1.0
    kernel = cutoff * _bessel_j1(cutoff * radius) / (2 * math.pi * radius)
    kernel[middle, middle] = cutoff**2 / (4 * math.pi)
    return _normalised(kernel)


def random_kernel(random: np.random.Generator, ranges: Round) -> Kernel:
    """Draw a random kernel, with the kinds and parameters of `ranges`."""
    side = int(random.choice(SIDES))
    if random.random() < ranges.sinc:
        return random_sinc(random, side)
    names = list(ranges.kernels)
    share = np.array([ranges.kernels[n] for n in names])
    kind = names[int(random.choice(len(names), p=share / share.sum()))]
    first = random.uniform(*ranges.blur_sigma)
    sigma, angle = (first, first), 0.0
    if kind.endswith("anisotropic"):
        sigma, angle = (first, random.uniform(*ranges.blur_sigma)), random.uniform(0, math.pi)
    if kind.startswith("plateau"):
        return plateau_kernel(side, sigma, angle, power=_power(random, ranges.plateau))
    power = _power(random, ranges.generalised) if kind.startswith("generalised") else 1.0
    return gaussian_kernel(side, sigma, angle, power=power)


def random_sinc(random: np.random.Generator, side: int) -> Kernel:
    """Draw a random sinc filter; small ones have a higher cutoff."""
    lowest = math.pi / 3 if side < 13 else math.pi / 5
    return sinc_kernel(side, random.uniform(lowest, math.pi))


def _power(random: np.random.Generator, ends: tuple[float, float]) -> float:
    """Draw a power, below and above 1 with equal probability."""
    low, high = ends
    below = random.random() < 0.5 and low < 1
    return float(random.uniform(low, 1) if below else random.uniform(max(1, low), high))


def _grid(side: int) -> tuple[Kernel, Kernel]:
    steps = np.arange(side) - side // 2
    y, x = np.meshgrid(steps, steps, indexing="ij")
    return y.astype(np.float64), x.astype(np.float64)


def _distance(side: int, sigma: tuple[float, float], angle: float) -> Kernel:
    y, x = _grid(side)
    along = x * math.cos(angle) + y * math.sin(angle)
    across = y * math.cos(angle) - x * math.sin(angle)
    found: Kernel = (along / sigma[0]) ** 2 + (across / sigma[1]) ** 2
    return found


def _normalised(kernel: Kernel) -> Kernel:
    found: Kernel = kernel / kernel.sum()
    return found


def _bessel_j1(x: Kernel) -> Kernel:
    """J1(x) = 1/pi * integral of cos(t - x sin t) over 0..pi, by the midpoint rule.

    For a periodic integrand it converges faster than any power; 64 points serve x up to 50.
    """
    t = (np.arange(64) + 0.5) * (math.pi / 64)
    found: Kernel = np.cos(t - x[..., None] * np.sin(t)).mean(-1)
    return found


def blur(image: NDArray[Any], kernel: Kernel) -> NDArray[Any]:
    """Filter an image (h, w, C) of any type, with mirrored borders."""
    made: NDArray[Any] = cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REFLECT_101)
    return made
