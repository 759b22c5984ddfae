"""Small images."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def smooth(height: int, width: int, *, seed: int = 0, top: int = 255) -> NDArray[Any]:
    """A colourful image without hard edges, (h, w, 3)."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    waves = [
        np.sin(y * random.uniform(0.05, 0.3) + x * random.uniform(0.05, 0.3) + random.uniform(0, 6))
        for _ in range(3)
    ]
    pixels = (np.dstack(waves) * 0.45 + 0.5) * top
    return pixels.astype(np.uint8 if top == 255 else np.uint16)


def noise(height: int, width: int, *, seed: int = 0) -> NDArray[np.uint8]:
    """Random pixels, (h, w, 3)."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def save(path: Path, width: int = 16, height: int = 12, *, seed: int = 0) -> Path:
    """A smooth image in a file, with the folders that it needs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(smooth(height, width, seed=seed)).save(path)
    return path


def encoded(suffix: str, width: int = 40, height: int = 40) -> bytes:
    """A smooth image as the bytes of a file."""
    buffer = io.BytesIO()
    kind = {"jpg": "JPEG", "tif": "TIFF"}.get(suffix, suffix.upper())
    Image.fromarray(smooth(height, width)).save(buffer, kind)
    return buffer.getvalue()


def size_of(path: Path) -> tuple[int, int]:
    """(width, height) of a file whose pixels can be read."""
    with Image.open(path) as image:
        image.load()
        return image.size


def pixels_of(path: Path) -> NDArray[Any]:
    """The pixels of a file."""
    with Image.open(path) as image:
        return np.asarray(image)
