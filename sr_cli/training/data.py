"""Training pictures in memory and crops from them, the same for the same seed and step."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from sr_cli.errors import SrError
from sr_cli.imaging.colour import luma
from sr_cli.imaging.resize import crop_to_multiple, downscale_bicubic
from sr_cli.training.recipe import Recipe

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".avif", ".gif"}


@dataclass(frozen=True)
class Pair:
    """One picture: hr (h*scale, w*scale, 3) uint8, and its lr (h, w, 3) for each scale."""

    name: str
    hr: NDArray[np.uint8]
    lr: dict[int, NDArray[np.uint8]]


@dataclass(frozen=True)
class Loaded:
    """Training pairs, held-back pairs, and how many files were passed over."""

    train: list[Pair]
    held_back: list[Pair]
    unreadable: int
    too_small: int


def load_pairs(folders: Sequence[Path], recipe: Recipe, *, hold_back: int) -> Loaded:
    """Decode every picture under `folders` once and make its lr for every scale.

    Every n-th picture, `hold_back` in all, is kept for validation. Raises SrError when nothing
    large enough is left.
    """
    paths = sorted(p for f in folders for p in f.rglob("*") if p.suffix.lower() in SUFFIXES)
    with ThreadPoolExecutor(2) as pool:
        pairs = list(pool.map(lambda path: _load(path, recipe), paths))
    unreadable = sum(p is None for p in pairs)
    good = [p for p in pairs if p is not None]
    need = recipe.lr_patch
    large = [p for p in good if min(min(lr.shape[:2]) for lr in p.lr.values()) >= need]
    if len(large) <= hold_back:
        raise SrError(
            f"no pictures to train on: {len(paths)} files, {unreadable} unreadable, "
            f"{len(good) - len(large)} smaller than a crop of {need} lr pixels"
        )
    every = max(1, len(large) // hold_back) if hold_back else len(large) + 1
    held_back = large[::every][:hold_back] if hold_back else []
    chosen = {id(p) for p in held_back}
    train = [p for p in large if id(p) not in chosen]
    return Loaded(train, held_back, unreadable, len(good) - len(large))


def _load(path: Path, recipe: Recipe) -> Pair | None:
    try:
        with Image.open(path) as image:
            hr = np.asarray(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError):
        return None
    multiple = int(np.lcm.reduce(recipe.scales))
    hr = np.ascontiguousarray(crop_to_multiple(hr, multiple))
    if min(hr.shape[:2]) < multiple:
        return Pair(path.name, hr, {s: np.zeros((0, 0, 3), np.uint8) for s in recipe.scales})
    return Pair(path.name, hr, {s: downscale_bicubic(hr, s) for s in recipe.scales})


@dataclass(frozen=True)
class Batch:
    """lr (N, C, p, p) and hr (N, C, p*scale, p*scale), float32 in [0, 1]."""

    lr: Tensor
    hr: Tensor
    scale: int


class Crops:
    """Random crops, a function of seed and step alone: resuming needs no state.

    `channels` 1 gives luma computed from the RGB crops.
    """

    def __init__(self, pairs: list[Pair], recipe: Recipe, *, channels: int) -> None:
        self.pairs = pairs
        self.recipe = recipe
        self.channels = channels
        area = np.array([p.hr.shape[0] * p.hr.shape[1] for p in pairs], dtype=np.float64)
        self._share = np.cumsum(area / area.sum())

    def batch(self, step: int) -> Batch:
        """The crops of one step."""
        r = self.recipe
        random = np.random.default_rng([r.seed, step])
        scale = int(random.choice(r.scales))
        crops = [self._crop(random, scale) for _ in range(r.batch)]
        return Batch(
            self._tensor([c[0] for c in crops]), self._tensor([c[1] for c in crops]), scale
        )

    def _crop(
        self, random: np.random.Generator, scale: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        p = self.recipe.lr_patch
        if random.random() < self.recipe.flat_share:
            colour = random.integers(0, 256, 3, dtype=np.uint8)
            if random.random() < 0.4:
                colour[:] = random.choice([0, 255, int(colour[0])])
            flat = np.broadcast_to(colour, (p, p, 3))
            return flat, np.broadcast_to(colour, (p * scale, p * scale, 3))
        pair = self.pairs[int(np.searchsorted(self._share, random.random()))]
        lr = pair.lr[scale]
        y = int(random.integers(lr.shape[0] - p + 1))
        x = int(random.integers(lr.shape[1] - p + 1))
        hr = pair.hr[y * scale : (y + p) * scale, x * scale : (x + p) * scale]
        lr = lr[y : y + p, x : x + p]
        turns, flip = int(random.integers(4)), bool(random.integers(2))
        lr, hr = np.rot90(lr, turns), np.rot90(hr, turns)
        return (lr[:, ::-1], hr[:, ::-1]) if flip else (lr, hr)

    def _tensor(self, crops: list[NDArray[np.uint8]]) -> Tensor:
        stacked = np.stack(crops)
        if self.channels == 1:
            y = luma(stacked.reshape(-1, stacked.shape[2], 3)).reshape(stacked.shape[:3])
            return torch.from_numpy((y / 255).astype(np.float32)).unsqueeze(1)
        picture = torch.from_numpy(stacked).permute(0, 3, 1, 2).float() / 255
        return picture.contiguous(memory_format=torch.channels_last)


def ahead(crops: Crops, start: int, stop: int, *, depth: int = 4) -> Iterator[Batch]:
    """Batches of the steps start..stop, made by a thread that stays `depth` ahead."""
    made: queue.Queue[Any] = queue.Queue(depth)
    ended = threading.Event()

    def work() -> None:
        for step in range(start, stop):
            batch = crops.batch(step)
            while not ended.is_set():
                try:
                    made.put(batch, timeout=0.2)
                    break
                except queue.Full:
                    continue
            if ended.is_set():
                return

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        for _ in range(start, stop):
            yield made.get()
    finally:
        ended.set()
        thread.join()
