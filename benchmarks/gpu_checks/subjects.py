"""What is upscaled, and the networks that do it."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from gpu_checks.device import Setting
from gpu_checks.rrdb import rrdb
from numpy.typing import NDArray

from sr_cli.networks.base import SRModel
from sr_cli.registry.ref import load_model

SHIPPED = {
    "espcn": "espcn-x4",
    "edsr": "edsr-baseline-x4",
    "photo": "photo-x4",
    "rcan": "rcan-small-x4",
    "srgan": "srgan-x4",
}
SCALE = 4
WHOLE = 1 << 20
"""A tile that no image exceeds."""
Picture = NDArray[Any]


def photograph(height: int, width: int) -> Picture:
    """Colour with detail at every scale and hard edges, (h, w, 3) uint8; the same everywhere."""
    random = np.random.default_rng(7)
    side = 256
    distance = np.hypot(*np.meshgrid(np.fft.fftfreq(side), np.fft.fftfreq(side)))
    spectrum = np.fft.fft2(random.standard_normal((3, side, side))) / (distance + 1 / side)
    waves = np.fft.ifft2(spectrum).real.transpose(1, 2, 0)
    tile = 128 + 45 * waves / waves.std() @ np.array([[1, 0.8, 0.7], [0, 0.5, 0], [0.2, 0, 0.5]])
    tile[60:120, 30:90] = 250
    tile[80:100, 50:70] = (10, 30, 160)
    cv2.circle(tile, (170, 150), 50, (20.0, 90.0, 30.0), 3, cv2.LINE_AA)
    tile = np.ascontiguousarray(tile.clip(0, 255).astype(np.uint8))
    whole: Picture = np.tile(tile, (-(-height // side), -(-width // side), 1))
    return whole[:height, :width].copy()


@lru_cache
def network(name: str, where: Setting) -> SRModel:
    """Loaded once; nothing here changes it."""
    if name == "rrdb":
        return rrdb(23 if where.on_cuda else 1)
    return load_model(SHIPPED[name], scale=SCALE).network
