"""A draft of how the engine could carry pixels while its network computes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from gpu_checks.subjects import Picture
from torch import Tensor

from sr_cli.engine.tiling import Tile, plan_tiles
from sr_cli.engine.upscaler import Upscaler
from sr_cli.system.memory import empty_pixels


class Overlapped(Upscaler):
    """Pinned copies on a stream of their own; a tile is stored while the next is computed."""

    THREADS = 4

    @torch.inference_mode()
    def __call__(
        self, lr: Picture, on_tile: Any = None, *, size: Any = None, **options: Any
    ) -> Picture:
        h, w = lr.shape[:2]
        sr = empty_pixels((h * self.scale, w * self.scale, *lr.shape[2:]), lr.dtype)
        sides = zip((h, w), self.wraps, strict=True)
        axes = (self._axis(side, self.halo, wrap) for side, wrap in sides)
        tiles = plan_tiles(*axes, tile=self.tile, halo=self.halo)
        self._pool = getattr(self, "_pool", None) or ThreadPoolExecutor(self.THREADS)
        self._pin = self.device.type == "cuda"
        if self._pin:
            self._stream = getattr(self, "_stream", None) or torch.cuda.Stream(self.device)
        before: tuple[Any, ...] | None = None
        for tile in tiles:
            now = self._start(sr, lr, tile)
            if before is not None:
                self._finish(*before)
            before = now
        assert before is not None
        self._finish(*before)
        return sr

    def _start(self, sr: Picture, lr: Picture, tile: Tile) -> tuple[Any, ...]:
        target, inner_r, inner_c = _places(sr, tile, self.scale)
        top = float(np.iinfo(lr.dtype).max)
        part = self._read(lr, tile)
        pinned = torch.empty(part.shape, dtype=torch.uint8, pin_memory=self._pin)
        pinned.numpy()[...] = part
        x = pinned.to(self.device, non_blocking=True).permute(2, 0, 1)[None].float().div_(top)
        y = self._upscale_tile(self._nets[0], 0, x)
        total = y.sum()
        pixels = integers(y, inner_r, inner_c, top)
        if not self._pin:
            return None, pixels, total, target, pinned
        back = torch.empty(pixels.shape, dtype=torch.uint8, pin_memory=True)
        checked = torch.empty((), pin_memory=True)
        self._stream.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(self._stream):
            back.copy_(pixels, non_blocking=True)
            checked.copy_(total, non_blocking=True)
        for tensor in (pixels, total):
            tensor.record_stream(self._stream)
        done = torch.cuda.Event()
        done.record(self._stream)
        return done, back, checked, target, pinned

    def _finish(self, done: Any, back: Tensor, checked: Tensor, target: Picture, _: Tensor) -> None:
        if done is not None:
            done.synchronize()
        assert np.isfinite(float(checked))
        source = back.numpy()
        bands = np.array_split(np.arange(len(source)), self.THREADS)
        jobs = [
            self._pool.submit(np.copyto, target[b[0] : b[-1] + 1], source[b[0] : b[-1] + 1])
            for b in bands
            if len(b)
        ]
        for job in jobs:
            job.result()


def _places(sr: Picture, tile: Tile, s: int) -> tuple[Picture, slice, slice]:
    r, c = tile.rows, tile.columns
    target = sr[r.start * s : r.stop * s, c.start * s : c.stop * s]
    inner_r = slice((r.start - r.first) * s, (r.stop - r.first) * s)
    inner_c = slice((c.start - c.first) * s, (c.stop - c.first) * s)
    return target, inner_r, inner_c


def integers(y: Tensor, inner_r: slice, inner_c: slice, top: float) -> Tensor:
    """(1, C, h, w) about [0, 1] -> the core as (h, w, C) uint8, on the device."""
    core = y[0, :, inner_r, inner_c].mul_(top).add_(0.5).clamp_(0, top).to(torch.uint8)
    return core.permute(1, 2, 0).contiguous()
