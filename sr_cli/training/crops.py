"""Training crops, determined by seed and step, and made while the network computes."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sr_cli.imaging.colour import LUMA_BLACK, LUMA_WEIGHTS
from sr_cli.imaging.degrade import add_noise, degrade_photo
from sr_cli.imaging.resize import bicubic_taps, downscale_bicubic, resize_bicubic, to_samples
from sr_cli.training.images import Pair, Pixels
from sr_cli.training.recipe import Recipe

_BICUBIC_MARGIN = 4
"""The lr pixels around a crop that affect its bicubic lr."""

_PHOTO_MARGIN = 4
"""Lr pixels around a crop that affect it through blur and compression."""


@dataclass(frozen=True)
class Batch:
    """A batch of crops, float32 in [0, 1], channels_last.

    Attributes:
        lr: (N, C, p, p), C being the channels of the network.
        hr: (N, C, p*scale, p*scale).
        rgb: (N, 3, p, p), lr in colour, for a teacher.
        scale: The scale of the crops.
    """

    lr: Tensor
    hr: Tensor
    rgb: Tensor
    scale: int


@dataclass(frozen=True)
class CropPixels:
    """The pixels of a batch: lr (N, p, p, 3) and hr (N, p*scale, p*scale, 3), uint8."""

    lr: Pixels
    hr: Pixels
    scale: int


def downscale_region(hr: Pixels, y: int, x: int, height: int, width: int, scale: int) -> Pixels:
    """Downscale a region of hr; bit for bit the same part of the whole image's bicubic lr.

    Args:
        hr: (h*scale, w*scale, C) uint8.
        y, x, height, width: The region, in lr pixels.
        scale: The factor of the reduction.

    Returns:
        (height, width, C) uint8.
    """
    rows = bicubic_taps(hr.shape[0], hr.shape[0] // scale, 1 / scale).rows(y, y + height)
    columns = bicubic_taps(hr.shape[1], hr.shape[1] // scale, 1 / scale).rows(x, x + width)
    left, right = int(columns.index.min()), int(columns.index.max()) + 1
    tall = to_samples(rows.apply(hr[:, left:right]), hr.dtype)
    both = to_samples(columns.apply(tall.swapaxes(0, 1), offset=left), hr.dtype)
    return np.ascontiguousarray(both.swapaxes(0, 1))


class Crops:
    """Random crops of images.

    Crop `i` of step `s` depends only on (seed, s, i), so that resuming needs no state and processes
    share a batch by taking different crops of it.

    Args:
        pairs: The images.
        recipe: Crops, degradation and augmentation.
        channels: Of the network, 1 or 3.
    """

    def __init__(self, pairs: Sequence[Pair], recipe: Recipe, *, channels: int) -> None:
        self.pairs = pairs
        self.recipe = recipe
        self.channels = channels
        area = np.array([p.hr.shape[0] * p.hr.shape[1] for p in pairs], dtype=np.float64)
        self._share = np.cumsum(area / area.sum())
        self._lr: dict[tuple[int, int], Pixels] = {}

    def batch(self, step: int, *, rank: int = 0, world: int = 1) -> Batch:
        """This process's part of the batch of a step."""
        return as_batch(self.pixels(step, rank=rank, world=world), self.channels)

    def pixels(self, step: int, *, rank: int = 0, world: int = 1) -> CropPixels:
        """The pixels of this process's part of the batch of a step."""
        r = self.recipe
        own = r.batch // world
        scale = int(np.random.default_rng([r.seed, step]).choice(r.scales))
        crops = [self.crop(step, rank * own + i, scale) for i in range(own)]
        lr, hr = (np.stack([c[side] for c in crops]) for side in (0, 1))
        return CropPixels(lr, hr, scale)

    @property
    def degrades_each(self) -> bool:
        """Whether lr is computed for each crop, which is much slower than cutting it out."""
        r = self.recipe
        return r.degradation == "photo" or r.rescale != (1.0, 1.0) or r.colour_jitter > 0

    def crop(self, step: int, index: int, scale: int) -> tuple[Pixels, Pixels]:
        """Crop `index` of a step: lr (p, p, 3) and hr (p*scale, p*scale, 3)."""
        r, p = self.recipe, self.recipe.lr_side(scale)
        random = np.random.default_rng([r.seed, step, index])
        if random.random() < r.flat_share:
            return _flat_crop(random, p, scale)
        number = min(int(np.searchsorted(self._share, random.random())), len(self.pairs) - 1)
        lr, hr = self._crop_pair(number, scale, random)
        if r.turns:
            turns = int(random.integers(4))
            lr, hr = np.rot90(lr, turns), np.rot90(hr, turns)
        if r.flips and random.random() < 0.5:
            lr, hr = lr[:, ::-1], hr[:, ::-1]
        return lr, hr

    def _crop_pair(
        self, number: int, scale: int, random: np.random.Generator
    ) -> tuple[Pixels, Pixels]:
        r, p = self.recipe, self.recipe.lr_side(scale)
        pair = self.pairs[number]
        if pair.lr is None and (r.degradation == "photo" or r.rescale != (1.0, 1.0)):
            return self._crop_and_degrade(pair.hr, scale, random)
        h, w = pair.hr.shape[0] // scale, pair.hr.shape[1] // scale
        y, x = int(random.integers(h - p + 1)), int(random.integers(w - p + 1))
        hr = pair.hr[y * scale : (y + p) * scale, x * scale : (x + p) * scale]
        if pair.lr is not None:
            return pair.lr[y : y + p, x : x + p], hr
        if r.colour_jitter:
            margin = _with_margin(y, x, h, w, p, _BICUBIC_MARGIN)
            region = pair.hr[margin[0] * scale : margin[1] * scale,
                             margin[2] * scale : margin[3] * scale]  # fmt: skip
            region = jitter_colours(region, r.colour_jitter, random)
            y, x = y - margin[0], x - margin[2]
            lr = downscale_region(region, y, x, p, p, scale)
            hr = region[y * scale : (y + p) * scale, x * scale : (x + p) * scale]
        else:
            lr = self._bicubic(number, y, x, scale)
        return (add_noise(lr, r.noise_sigma, random) if r.degradation == "noise" else lr), hr

    def precompute_lr(self) -> None:
        """Downscale all images in memory once, so that crops of lr are slices."""
        r = self.recipe
        if self.degrades_each:
            return
        wanted = [
            (number, scale)
            for number, pair in enumerate(self.pairs)
            for scale in r.scales
            if pair.lr is None and not isinstance(pair.hr, np.memmap)
        ]
        with ThreadPoolExecutor(2) as pool:
            made = pool.map(lambda key: downscale_bicubic(self.pairs[key[0]].hr, key[1]), wanted)
            self._lr = dict(zip(wanted, made, strict=True))

    def _bicubic(self, number: int, y: int, x: int, scale: int) -> Pixels:
        """A crop of the bicubic lr of an image."""
        p = self.recipe.lr_side(scale)
        whole = self._lr.get((number, scale))
        if whole is None:
            return downscale_region(self.pairs[number].hr, y, x, p, p, scale)
        return whole[y : y + p, x : x + p]

    def _crop_and_degrade(
        self, whole: Pixels, scale: int, random: np.random.Generator
    ) -> tuple[Pixels, Pixels]:
        """Cut a region with a margin, rescale and jitter it, and degrade it as a whole."""
        r, p = self.recipe, self.recipe.lr_side(scale)
        side = (p + 2 * _PHOTO_MARGIN) * scale
        factor = random.uniform(*r.rescale)
        need = [min(n, max(side, round(side / factor))) for n in whole.shape[:2]]
        y, x = (int(random.integers(n - m + 1)) for n, m in zip(whole.shape, need, strict=False))
        piece = whole[y : y + need[0], x : x + need[1]]
        if factor != 1:
            size = [max(side, round(n * factor)) for n in need]
            piece = resize_bicubic(piece, *size)
        piece = np.ascontiguousarray(_cut_or_pad(piece, side))
        if r.colour_jitter:
            piece = jitter_colours(piece, r.colour_jitter, random)
        if r.degradation == "photo":
            lr = degrade_photo(piece, scale, r.photo, random)
        else:
            lr = downscale_region(piece, 0, 0, side // scale, side // scale, scale)
            if r.degradation == "noise":
                lr = add_noise(lr, r.noise_sigma, random)
        inner = slice(_PHOTO_MARGIN, _PHOTO_MARGIN + p)
        at_hr = slice(inner.start * scale, inner.stop * scale)
        return lr[inner, inner], piece[at_hr, at_hr]


def _with_margin(y: int, x: int, h: int, w: int, p: int, reach: int) -> tuple[int, int, int, int]:
    """The first and last row and column of a crop with a margin, clipped to the image."""
    return max(0, y - reach), min(h, y + p + reach), max(0, x - reach), min(w, x + p + reach)


def _cut_or_pad(piece: Pixels, side: int) -> Pixels:
    """Cut or pad (by mirroring) to exactly side x side."""
    piece = piece[:side, :side]
    short = [(0, side - n) for n in piece.shape[:2]]
    return np.pad(piece, [*short, (0, 0)], mode="symmetric") if any(b for _, b in short) else piece


def _flat_crop(random: np.random.Generator, p: int, scale: int) -> tuple[Pixels, Pixels]:
    colour = random.integers(0, 256, 3, dtype=np.uint8)
    if random.random() < 0.4:
        colour[:] = random.choice([0, 255, int(colour[0])])
    shapes = (p, p, 3), (p * scale, p * scale, 3)
    return np.broadcast_to(colour, shapes[0]), np.broadcast_to(colour, shapes[1])


def jitter_colours(hr: Pixels, most: float, random: np.random.Generator) -> Pixels:
    """Change brightness, contrast and saturation of (h, w, 3) uint8, each by up to `most`."""
    brightness, contrast, saturation = random.uniform(1 - most, 1 + most, 3)
    image = hr.astype(np.float32) * np.float32(brightness)
    mean = image.mean(dtype=np.float64)
    image = (image - mean) * np.float32(contrast) + mean
    gray = image.mean(2, keepdims=True)
    image = gray + (image - gray) * np.float32(saturation)
    changed: Pixels = np.clip(np.floor(image + 0.5), 0, 255).astype(np.uint8)
    return changed


def as_batch(pixels: CropPixels, channels: int, device: torch.device | None = None) -> Batch:
    """Convert crops to a batch for a network with 1 or 3 channels.

    Pixels are copied to a GPU as bytes from pinned memory while it computes.

    Args:
        pixels: The crops.
        channels: Of the network.
        device: Where to put the batch; None for host memory.
    """
    lr, hr = (_as_floats(p, device) for p in (pixels.lr, pixels.hr))
    if channels == 1:
        return Batch(luma_of(lr), luma_of(hr), lr, pixels.scale)
    return Batch(lr, hr, lr, pixels.scale)


def _as_floats(crops: Pixels, device: torch.device | None) -> Tensor:
    stacked = torch.from_numpy(crops)
    if device is not None and device.type == "cuda":
        stacked = stacked.pin_memory().to(device, non_blocking=True)
    elif device is not None:
        stacked = stacked.to(device)
    return (stacked.permute(0, 3, 1, 2).float() / 255).contiguous(memory_format=torch.channels_last)


def luma_of(rgb: Tensor) -> Tensor:
    """Convert RGB (N, 3, h, w) in [0, 1] to BT.601 luma (N, 1, h, w) in [16/255, 235/255]."""
    weights = torch.tensor(LUMA_WEIGHTS, dtype=rgb.dtype, device=rgb.device).view(1, 3, 1, 1)
    return (rgb * weights).sum(1, keepdim=True) + LUMA_BLACK


def prefetch(
    crops: Crops, start: int, stop: int, *, rank: int = 0, world: int = 1, depth: int = 4
) -> Generator[Batch, None, None]:
    """Batches of the steps start..stop, in order, made by threads that stay `depth` ahead."""
    with ThreadPoolExecutor(2, "crops") as pool:
        pending = deque(
            pool.submit(crops.batch, step, rank=rank, world=world)
            for step in range(start, min(stop, start + depth))
        )
        for step in range(start, stop):
            batch = pending.popleft().result()
            if step + depth < stop:
                pending.append(pool.submit(crops.batch, step + depth, rank=rank, world=world))
            yield batch
