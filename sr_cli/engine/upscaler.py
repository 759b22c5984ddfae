"""Upscaling of an image with one or several networks, tile by tile, in bounded memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sr_cli.engine.budget import bytes_per_pixel, choose_tile, needed_halo, needed_margin
from sr_cli.engine.device import DTYPE_NAMES, free_memory, pick_host, pick_precision
from sr_cli.engine.findings import Place
from sr_cli.engine.options import OPENVINO
from sr_cli.engine.probe import prepare, probe_model
from sr_cli.engine.rows import RowSource
from sr_cli.engine.subpixels import Colours, store, values_of
from sr_cli.engine.tiling import (
    Axis,
    Span,
    Tile,
    continued_axis,
    plan_spans,
    plan_tiles,
    split_tile,
)
from sr_cli.errors import Note, SrError
from sr_cli.imaging.colour import LUMA_RANGE, LUMA_WEIGHTS
from sr_cli.imaging.edges import positions_beyond
from sr_cli.imaging.resize import Taps, bicubic_taps, to_samples
from sr_cli.networks.base import InferenceNet, SRModel, SubpixelNet
from sr_cli.networks.bicubic import RADIUS, upscale_bicubic
from sr_cli.registry.loaded import LoadedModel, as_loaded
from sr_cli.registry.onnx_model import in_openvino
from sr_cli.system.memory import empty_pixels, resident_memory, trim_freed_memory

_GROWTH = 500 << 20
"""Resident bytes, in addition to the image, above which freed memory is returned."""

_SMALLEST_TILE = 16

OnTile = Callable[[int, int], None]


@dataclass(frozen=True)
class _Resampling:
    """Bicubic downscaling of the network's result to the requested size, tile by tile."""

    rows: Taps
    columns: Taps
    extra_halo: int


class Upscaler:
    """Upscales lr (h, w) or (h, w, 3), uint8, uint16 or float32 in [0, 1], to sr of the same type.

    The image stays in host memory; only tiles go to the device. For networks on luma (1 channel),
    chroma is upscaled with bicubic; RGB networks get gray as three equal channels. The results of
    several networks, and with `tta` of eight flips and rotations each (EDSR, section 3.4), are
    averaged before rounding.

    Networks see the image continued beyond its edges by `margin` lr pixels, mirrored: they pad with
    zeros, which would show as a frame.

    Args:
        models: One network or several of the same scale, with or without traits.
        device: As in `EngineOptions`.
        precision: As in `EngineOptions`.
        tile: As in `EngineOptions`.
        halo: Context around a tile in lr pixels; None for what the networks require.
        tta: Average eight flips and rotations.
        wrap: As in `EngineOptions`.

    Raises:
        RefusedError: `device-not-available`, `extra-missing`, `precision-not-supported`,
            `unsupported-by-openvino`.
        SrError: `network-failed` if the network does not run on this device; when called, also
            `out-of-memory` for the smallest tile, `whole-image-too-large` for `tile` 0,
            `not-finite` even in float32.
    """

    def __init__(
        self,
        models: LoadedModel | SRModel | Sequence[LoadedModel | SRModel],
        *,
        device: str = "auto",
        precision: str = "auto",
        tile: int | None = None,
        halo: int | None = None,
        tta: bool = False,
        wrap: str = "none",
    ) -> None:
        self._resident = resident_memory()
        several = models if isinstance(models, Sequence) else [models]
        loaded = [as_loaded(m) if isinstance(m, SRModel) else m for m in several]
        self.device = pick_host(device)
        self.dtype = pick_precision(self.device, precision)
        self.device_name = str(self.device)
        # In OpenVINO as in ONNX Runtime, only a precision that is named is below the file's.
        measures_half = precision == "auto" and device != OPENVINO
        place = Place(self.device, self.dtype if measures_half else torch.float32)
        loaded = [probe_model(m, place) for m in loaded]
        if device == OPENVINO:
            self.device_name = OPENVINO
            # Once it has run a graph, OpenVINO does not refuse sizes that do not fit, and returns
            # what lay in memory: so what it needs was measured before.
            loaded = [in_openvino(m) for m in loaded]
        self.loaded = loaded
        self._traits = [m.traits for m in loaded]
        self._file_notes = [note for m in loaded for note in m.notes]
        self.models = [m.network for m in loaded]
        (self.scale,) = {m.scale for m in self.models}
        if precision == "auto" and not all(t.half_is_safe for t in self._traits):
            self.dtype = torch.float32
        self.precision = precision
        self._is_asked_for = precision != "auto"
        self.tta = tta
        self.halo = max(needed_halo(m) for m in loaded) if halo is None else halo
        self.margin = max(needed_margin(m) for m in loaded)
        self.once = any(t.once for t in self._traits)
        self.grid = math.lcm(*(t.grid for t in self._traits))
        self.wrap = wrap
        self.wraps = wrap in ("y", "both"), wrap in ("x", "both")
        self._nets = [prepare(m, self.dtype, self.device) for m in self.models]
        self._fp32_nets: dict[int, InferenceNet] = {}
        one = len(self._nets) == 1 and not tta
        on_cpu = self.device.type == "cpu"
        self._is_plain = one and on_cpu and isinstance(self._nets[0], SubpixelNet)
        try:
            self.tile = self._choose_tile() if tile is None else tile
        except RuntimeError as error:
            raise self._network_error(error) from error
        weights = torch.tensor(LUMA_WEIGHTS, dtype=torch.float32, device=self.device)
        ranges = [white - black for black, white in (t.value_range for t in self._traits)]
        self._luma_weights = [weights * (r / LUMA_RANGE) for r in ranges]
        self._colours: dict[float, Colours] = {}

    def with_models(self, models: Sequence[LoadedModel]) -> Upscaler:
        """An upscaler with the same settings for other models, or for these with other traits."""
        return Upscaler(
            models,
            device=self.device_name,
            precision=self.precision,
            tile=self.tile,
            halo=self.halo,
            tta=self.tta,
            wrap=self.wrap,
        )

    @property
    def eight_bit(self) -> bool:
        """Whether a network rounds images to 8 bits."""
        return any(traits.eight_bit for traits in self._traits)

    @property
    def notes(self) -> list[Note]:
        """What is to be known about the weights, and tiles that differ from the whole image."""
        return self._file_notes + [
            Note("tiles-differ", {"network": t.architecture, "difference": t.tile_difference})
            for t in self._traits
            if t.tile_difference and self.tile
        ]

    def __call__(
        self,
        lr: NDArray[Any] | RowSource,
        on_tile: OnTile | None = None,
        *,
        size: tuple[int, int] | None = None,
        exact: bool = False,
        lr_rows: slice | None = None,
    ) -> NDArray[Any]:
        """Upscale an image, or a band of its tiles.

        Args:
            lr: (h, w) or (h, w, 3), uint8, uint16, or float32 in [0, 1]; or its rows, which are
                read as tiles need them.
            on_tile: Called after each tile with the tiles done and the total.
            size: (height, width) of the result, at most `scale` times the input, reached by
                exact bicubic downscaling; None for `scale` times the input.
            exact: Compute in float32 whatever the precision is.
            lr_rows: Compute only the tiles whose core begins in these rows of the input, which
                are whole rows of tiles (`tile_rows`); None computes all.

        Returns:
            (height, width[, 3]) of the same type; of a band, its rows.
        """
        exact = exact or self.dtype_for(lr) != self.dtype
        h, w = lr.shape[:2]
        height, width = size or (h * self.scale, w * self.scale)
        resampling = self._resampling(h, w, height, width)
        halo = self.halo + (resampling.extra_halo if resampling else 0)
        rows, columns = self._axis(h, halo, self.wraps[0]), self._axis(w, halo, self.wraps[1])
        waiting = plan_tiles(rows, columns, tile=self._side(rows, columns), halo=halo)[::-1]
        band = lr_rows or slice(0, h)
        waiting = [t for t in waiting if band.start <= t.rows.start < band.stop]
        top, bottom = (round(row * height / h) for row in (band.start, band.stop))
        sr = empty_pixels((bottom - top, width, *lr.shape[2:]), lr.dtype)
        done = 0
        while waiting:
            tile = waiting.pop()
            fits = True
            try:
                read = self._read(lr, tile)
                self._compute_tile(sr, top, read, tile, (rows, columns), resampling, exact)
            except SrError:
                raise
            except Exception as error:
                # Networks of other tools raise errors of any type.
                if not _is_out_of_memory(error):
                    raise self._network_error(error) from error
                fits = False
            if not fits:
                # Not in the except block: the traceback still held the tensors that did not fit.
                waiting += self._split(tile, rows, columns, halo)[::-1]
                continue
            done += 1
            if self.device.type == "cpu":
                # Small allocations between large ones fragment the heap.
                trim_freed_memory(beyond=self._resident + _GROWTH + lr.nbytes + sr.nbytes)
            if on_tile is not None:
                on_tile(done, done + len(waiting))
        return sr

    def dtype_for(self, lr: NDArray[Any] | RowSource) -> torch.dtype:
        """The dtype in which an image is computed.

        Half precision has 8 (bf16) or 11 significant bits: an image of more than 8 bits is computed
        in float32 unless half precision was asked for.
        """
        return self.dtype if lr.dtype == np.uint8 or self._is_asked_for else torch.float32

    def tile_rows(self, h: int, w: int, size: tuple[int, int]) -> list[Span]:
        """The rows of tiles of an image (h, w) for a result (height, width), top to bottom."""
        resampling = self._resampling(h, w, *size)
        halo = self.halo + (resampling.extra_halo if resampling else 0)
        rows, columns = self._axis(h, halo, self.wraps[0]), self._axis(w, halo, self.wraps[1])
        return plan_spans(rows, tile=self._side(rows, columns), halo=halo)

    def _network_error(self, error: Exception) -> SrError:
        """The error for a network that failed, in this precision or at all."""
        said = (str(error) or type(error).__name__).splitlines()[0]
        return SrError(
            "network-failed",
            hint=None if self.dtype == torch.float32 else "other-precision",
            network=", ".join(t.architecture for t in self._traits),
            precision=DTYPE_NAMES[self.dtype],
            device=self.device_name,
            reason=said[:160],
        )

    def _axis(self, length: int, halo: int, wrap: bool) -> Axis:
        smallest = max(t.smallest_side for t in self._traits)
        margin = halo if wrap else self.margin
        return continued_axis(length, margin=margin, grid=self.grid, smallest=smallest, wrap=wrap)

    def _side(self, rows: Axis, columns: Axis) -> int:
        """The side of tiles; an image of no more pixels than a square of it is one tile."""
        height, width = rows.last - rows.first, columns.last - columns.first
        if not self.tile:
            return self._whole_side(rows, columns)
        return max(height, width) if height * width <= self.tile**2 else self.tile

    def _whole_side(self, rows: Axis, columns: Axis) -> int:
        """The tile size with which an image is one tile, if it fits into the free memory."""
        height, width = rows.last - rows.first, columns.last - columns.first
        needed, free = self._bytes_per_pixel() * height * width, free_memory(self.device)
        if needed > free:
            raise SrError(
                "whole-image-too-large",
                device=self.device_name,
                needed_mib=needed >> 20,
                free_mib=free >> 20,
            )
        return max(height, width)

    def _read(self, lr: NDArray[Any] | RowSource, tile: Tile) -> NDArray[Any]:
        """The pixels of a tile with its halo, continued beyond the edges of the image."""
        places = [
            positions_beyond(span.first, span.last, length, wrap=wrap)
            if span.first < 0 or span.last > length
            else slice(span.first, span.last)
            for span, length, wrap in zip(
                (tile.rows, tile.columns), lr.shape, self.wraps, strict=False
            )
        ]
        rows = lr[places[0]]
        return rows[:, places[1]]

    def _split(self, tile: Tile, rows: Axis, columns: Axis, halo: int) -> list[Tile]:
        """Divide a tile that did not fit into quarters; later images start with smaller tiles."""
        side = max(tile.rows.stop - tile.rows.start, tile.columns.stop - tile.columns.start)
        if side <= _SMALLEST_TILE or not self.tile:
            raise SrError("out-of-memory", device=self.device_name, tile=side)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        self.tile = min(self.tile, -(-side // 2))
        return split_tile(tile, rows, columns, halo=halo)

    def _resampling(self, h: int, w: int, height: int, width: int) -> _Resampling | None:
        full_h, full_w = h * self.scale, w * self.scale
        if (height, width) == (full_h, full_w):
            return None
        factors = height / full_h, width / full_w
        reach = math.ceil((3 / min(factors) + 2) / self.scale)
        return _Resampling(
            bicubic_taps(full_h, height, factors[0], edges="open" if self.wraps[0] else "mirror"),
            bicubic_taps(full_w, width, factors[1], edges="open" if self.wraps[1] else "mirror"),
            reach,
        )

    @torch.inference_mode()
    def _compute_tile(
        self,
        sr: NDArray[Any],
        above: int,
        read: NDArray[Any],
        tile: Tile,
        axes: tuple[Axis, Axis],
        resampling: _Resampling | None,
        exact: bool,
    ) -> None:
        """Compute one tile from the pixels read for it, and store its core in `sr`.

        There are `above` rows of the result before those in `sr`.
        """
        r, c, s = tile.rows, tile.columns, self.scale
        top = _white(read.dtype)
        x = self._to_tensor(read, top)
        if resampling is None:
            target = sr[r.start * s - above : r.stop * s - above, c.start * s : c.stop * s]
            if self._store_subpixels(target, x, tile, exact):
                return
            y = self._average(x, exact)
            _store_core(y[0, :, _times(r.core(), s), _times(c.core(), s)], target, top)
            return
        y = self._average(x, exact)
        h, w = (axis.length for axis in axes)
        height, width = len(resampling.rows.index), len(resampling.columns.index)
        rows = slice(round(r.start * height / h), round(r.stop * height / h))
        columns = slice(round(c.start * width / w), round(c.stop * width / w))
        whole = y[0].permute(1, 2, 0).clamp(0, 1).cpu().numpy()
        tall = resampling.rows.rows(rows.start, rows.stop).apply(whole, offset=r.first * s)
        both = resampling.columns.rows(columns.start, columns.stop).apply(
            tall.swapaxes(0, 1), offset=c.first * s
        )
        target = sr[rows.start - above : rows.stop - above, columns]
        limited = both.swapaxes(0, 1).clip(0, 1) * top
        target[...] = to_samples(limited, sr.dtype).reshape(target.shape)

    def _store_subpixels(self, target: NDArray[Any], x: Tensor, tile: Tile, exact: bool) -> bool:
        """Compute and store a tile without an image of floats, where that can be done.

        Returns:
            False if it is to be computed otherwise, also because a value is not finite.
        """
        model, top = self.models[0], _white(target.dtype)
        in_colour = x.shape[1] == 3
        adds_colours = in_colour and model.channels == 1
        if not self._is_plain or target.dtype.kind == "f" or model.channels > x.shape[1]:
            return False
        if adds_colours and tile.least_halo < RADIUS:
            return False
        net = self._nets[0] if not exact else self._fp32_net(0)
        assert isinstance(net, SubpixelNet)
        black, white = self._traits[0].value_range if model.channels == 1 else (0.0, 1.0)
        sr = net.subpixels(self._luma(0, x) if model.channels == 1 else x)
        k = self.scale // net.factor
        rows, columns = tile.rows.core(), tile.columns.core()
        sr = sr[:, :, _times(rows, k), _times(columns, k)]
        if not adds_colours:
            values = values_of(sr, black, white, top)
        else:
            if top not in self._colours:
                self._colours[top] = Colours(
                    self._luma_weights[0], black=black, white=white, factor=net.factor, top=top
                )
            seen = x[:, :, tile.rows.core(RADIUS), tile.columns.core(RADIUS)]
            values = self._colours[top].values(sr, seen)
        return store(values, sr.shape[2], sr.shape[3], target, net.factor)

    def _luma(self, index: int, x: Tensor) -> Tensor:
        """(1, 1 or 3, h, w) in [0, 1] -> (1, 1, h, w) in the range of a network on luma."""
        black, white = self._traits[index].value_range
        if x.shape[1] == 1:
            # The luma of three equal channels, the range in which such networks are trained.
            return x * (white - black) + black
        return (x.permute(0, 2, 3, 1) @ self._luma_weights[index])[:, None] + black

    def _to_tensor(self, pixels: NDArray[Any], top: float) -> Tensor:
        """Convert (h, w) or (h, w, 3) samples to (1, 1 or 3, h, w) in [0, 1] on the device."""
        host = torch.from_numpy(pixels.astype(np.float32) / top)
        host = host[None, None] if host.ndim == 2 else host.permute(2, 0, 1)[None]
        return host.to(self.device)

    def _average(self, x: Tensor, exact: bool) -> Tensor:
        """(1, C, h, w) -> (1, C, h*scale, w*scale), the mean over networks and orientations."""
        total: Tensor | None = None
        orientations = (
            [(k, f) for f in (False, True) for k in range(4)] if self.tta else [(0, False)]
        )
        for index in range(len(self._nets)):
            for turns, flip in orientations:
                seen = _rotate(x, turns)
                y = self._run_network(index, seen.flip(3) if flip else seen, exact)
                y = _rotate(y.flip(3) if flip else y, -turns)
                total = y if total is None else total + y
        assert total is not None
        count = len(self._nets) * len(orientations)
        return total if count == 1 else total / count

    def _run_network(self, index: int, x: Tensor, exact: bool) -> Tensor:
        """Run one network on one tile, in float32 if `exact` or if the result is not finite."""
        if not exact or self.dtype == torch.float32:
            y = self._upscale_tile(self._nets[index], index, x)
            if _is_finite(y):
                return y
        y = self._upscale_tile(self._fp32_net(index), index, x)
        if not _is_finite(y):
            raise SrError("not-finite", network=self._traits[index].architecture)
        return y

    def _fp32_net(self, index: int) -> InferenceNet:
        """The network in float32, prepared when it is first needed."""
        if index not in self._fp32_nets:
            self._fp32_nets[index] = prepare(self.models[index], torch.float32, self.device)
        return self._fp32_nets[index]

    def _upscale_tile(self, net: nn.Module, index: int, x: Tensor) -> Tensor:
        gray = x.shape[1] == 1
        if self.models[index].channels == 3:
            y: Tensor = net(x.expand(-1, 3, -1, -1) if gray else x)
            return y.mean(1, keepdim=True) if gray else y
        # In BT.601, changing only luma changes R, G and B equally: the colours without their luma
        # are upscaled with bicubic, and the luma of the network is added.
        black, white = self._traits[index].value_range
        gain = 1 / (white - black)
        lr_luma = self._luma(index, x)
        sr_luma: Tensor = net(lr_luma)
        if gray:
            return sr_luma.sub(black).mul_(gain)
        rest = torch.add(x, lr_luma, alpha=-gain)
        return upscale_bicubic(rest, self.scale).add_(sr_luma, alpha=gain)

    def _choose_tile(self) -> int:
        differs = any(t.tile_difference for t in self._traits)
        return choose_tile(self._bytes_per_pixel(), self.halo, self.device, differs=differs)

    def _bytes_per_pixel(self) -> int:
        channels = [model.channels for model in self.models]
        return bytes_per_pixel(self._nets, channels, self.scale, self.device)


def _rotate(image: Tensor, quarters: int) -> Tensor:
    """Rotate by quarter turns; for 0, rot90 would copy."""
    return torch.rot90(image, quarters, (2, 3)) if quarters else image


def _times(part: slice, factor: int) -> slice:
    return slice(part.start * factor, part.stop * factor)


def _white(dtype: np.dtype[Any]) -> float:
    """The sample that is 1."""
    return 1.0 if dtype.kind == "f" else float(np.iinfo(dtype).max)


def _store_core(core: Tensor, target: NDArray[Any], top: float) -> None:
    """Store (C, h, w), about [0, 1], as (h, w[, C]) samples; `core` may be overwritten."""
    # Conversion to integers truncates; floats are not rounded.
    half = 0.0 if target.dtype.kind == "f" else 0.5
    if core.stride(0) == 1 or len(core) == 1:
        pixels = core.permute(1, 2, 0).contiguous().mul_(top).add_(half).clamp_(0, top)
        target[...] = pixels.cpu().numpy().reshape(target.shape)
        return
    core = core.mul_(top).add_(half).clamp_(0, top)
    core = core.to(torch.uint8) if target.dtype == np.uint8 else core
    target[...] = cv2.merge([p.cpu().numpy().astype(target.dtype, copy=False) for p in core])


def _is_finite(image: Tensor) -> bool:
    """Whether all values are finite, tested by their sum in one fast pass."""
    return math.isfinite(float(image.sum()))


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError):
        return True
    text = str(error).lower()
    return any(
        said in text
        for said in (
            "out of memory",
            "not enough memory",
            "can't allocate memory",
            # cuDNN and cuBLAS, which allocate outside PyTorch.
            "alloc_failed",
            "allocation_failed",
        )
    )
