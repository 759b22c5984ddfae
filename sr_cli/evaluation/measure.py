"""A model on a test set: quality by the papers' protocol, speed, size, memory."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from sr_cli.engine.pipeline import Pipeline
from sr_cli.errors import SrError
from sr_cli.evaluation.datasets import TestImage, TestSet
from sr_cli.evaluation.metrics import Luma, psnr_rgb, psnr_y, ssim_y
from sr_cli.imaging.conversion import opaque_8_bit
from sr_cli.imaging.decode import read_picture
from sr_cli.imaging.degrade import degrade
from sr_cli.imaging.resize import crop_to_multiple, downscale_bicubic

Pixels = NDArray[np.uint8]
Distance = Callable[[Pixels, Pixels], float]
OnImage = Callable[[TestImage, "ImageFigures", Pixels], None]


@dataclass(frozen=True)
class Sample:
    """lr (h, w[, 3]) and hr (h*scale, w*scale[, 3]), uint8; gray files stay gray."""

    image: TestImage
    lr: Pixels
    hr: Pixels


@dataclass(frozen=True)
class ImageFigures:
    """What was measured on one image; PSNR in dB, inf where equal."""

    name: str
    psnr_y: float
    ssim: float
    seconds: float
    megapixels: float
    psnr_rgb: float | None = None
    lpips: float | None = None


@dataclass
class SetFigures:
    """A model's images of one set, and the images that could not be measured."""

    images: list[ImageFigures] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def mean(self, what: str) -> float | None:
        """The mean over the images; None where it was not measured."""
        values = [getattr(i, what) for i in self.images]
        if not values or any(v is None for v in values):
            return None
        return float(sum(values) / len(values))

    @property
    def seconds(self) -> float | None:
        """The median time for an image."""
        return statistics.median(i.seconds for i in self.images) if self.images else None

    @property
    def megapixels_per_second(self) -> float | None:
        """Result's megapixels over all images by the time for all."""
        total = sum(i.seconds for i in self.images)
        return sum(i.megapixels for i in self.images) / total if total else None


@dataclass(frozen=True)
class Protocol:
    """`luma`: unrounded, or rounded as in the oldest papers. `rgb`: PSNR on RGB as well.

    degradation: how lr is made; anything but `bicubic` is not what papers measure.
    """

    luma: Luma = "unrounded"
    rgb: bool = False
    distance: Distance | None = None
    degradation: str = "bicubic"


def load_sample(image: TestImage, scale: int, degradation: str = "bicubic") -> Sample:
    """Decode an original, and its lr or make it; the same lr each time.

    Raises SrError where the two do not fit.
    """
    hr = _eight_bits(image.hr)
    if image.lr is None:
        hr = crop_to_multiple(hr, scale)
        if not hr.size:
            raise SrError(f"{image.hr}: smaller than {scale} pixels")
        return Sample(image, _degraded(hr, scale, degradation, image.name), hr)
    lr = _eight_bits(image.lr)
    h, w = lr.shape[:2]
    if (hr.shape[0] // scale, hr.shape[1] // scale) != (h, w):
        raise SrError(
            f"{image.lr}: {w}x{h} is not a {scale}th of {image.hr.name} "
            f"({hr.shape[1]}x{hr.shape[0]})"
        )
    if lr.ndim != hr.ndim:
        lr, hr = (p if p.ndim == 3 else np.dstack([p] * 3) for p in (lr, hr))
    return Sample(image, lr, np.ascontiguousarray(hr[: h * scale, : w * scale]))


def _degraded(hr: Pixels, scale: int, degradation: str, name: str) -> Pixels:
    if degradation == "bicubic":
        return downscale_bicubic(hr, scale)
    random = np.random.default_rng([crc32(name.encode()), scale])
    colour = hr if hr.ndim == 3 else np.dstack([hr] * 3)
    lr = degrade(colour, scale=scale, degradation=degradation, random=random)
    return lr if hr.ndim == 3 else np.rint(lr.mean(2)).astype(np.uint8)


def _eight_bits(path: Path) -> Pixels:
    return opaque_8_bit(read_picture(path).frames[0])


def measure_set(
    pipeline: Pipeline,
    test_set: TestSet,
    scale: int,
    protocol: Protocol,
    on_image: OnImage | None = None,
) -> SetFigures:
    """Enlarge every image's lr as `sr upscale` does and compare; bad images are listed."""
    found = SetFigures()
    warm = False
    for image in test_set.images:
        try:
            sample = load_sample(image, scale, protocol.degradation)
            size = (sample.hr.shape[0], sample.hr.shape[1])
            if not warm:
                pipeline.run(sample.lr, size, None)
                warm = True
            began = time.perf_counter()
            sr = pipeline.run(sample.lr, size, None)
            seconds = time.perf_counter() - began
            figures = _compare(image, sr, sample.hr, scale, protocol, seconds)
        except SrError as error:
            named = str(image.hr) in error.message or str(image.lr) in error.message
            found.errors.append(error.message if named else f"{image.hr}: {error.message}")
            continue
        found.images.append(figures)
        if on_image is not None:
            on_image(image, figures, sr)
    return found


def _compare(
    image: TestImage, sr: Pixels, hr: Pixels, border: int, protocol: Protocol, seconds: float
) -> ImageFigures:
    lpips = None
    if protocol.distance is not None:
        lpips = protocol.distance(*(p if p.ndim == 3 else np.dstack([p] * 3) for p in (sr, hr)))
    return ImageFigures(
        image.name,
        psnr_y(sr, hr, border=border, luma_is=protocol.luma),
        ssim_y(sr, hr, border=border, luma_is=protocol.luma),
        seconds,
        sr.shape[0] * sr.shape[1] / 1e6,
        psnr_rgb(sr, hr, border=border) if protocol.rgb else None,
        lpips,
    )


def count_parameters(models: Sequence[Any]) -> int:
    """Weights and biases of all networks."""
    return sum(p.numel() for m in models for p in m.parameters())


def multiply_adds(models: Sequence[Any]) -> float:
    """Multiply-adds for each pixel of the result, of the networks as their papers have them."""
    return sum(_multiply_adds(m) for m in models)


def _multiply_adds(model: Any, side: int = 32) -> float:
    import torch
    from torch import nn

    counts: list[int] = []

    def count(layer: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        if isinstance(layer, nn.ConvTranspose2d):
            counts.append(inputs[0].numel() * layer.weight[0].numel())
        elif isinstance(layer, nn.Conv2d):
            counts.append(output.numel() * layer.weight[0].numel())
        elif isinstance(layer, nn.Linear):
            counts.append(output.numel() * layer.in_features)

    hooks = [m.register_forward_hook(count) for m in model.modules() if not list(m.children())]
    with torch.inference_mode():
        model(torch.zeros(1, model.channels, side, side))
    for hook in hooks:
        hook.remove()
    pixels: int = (side * model.scale) ** 2
    return sum(counts) / pixels


class PeakMemory:
    """Resident memory at its highest since the start, in bytes; None where it is not known."""

    def __init__(self, device: str = "cpu") -> None:
        self._on_cuda = device.startswith("cuda")
        if self._on_cuda:
            import torch

            torch.cuda.reset_peak_memory_stats()
        elif sys.platform.startswith("linux"):
            with suppress(OSError):
                Path("/proc/self/clear_refs").write_text("5")

    def bytes(self) -> int | None:
        """The peak so far."""
        if self._on_cuda:
            import torch

            return int(torch.cuda.max_memory_allocated())
        with suppress(OSError, StopIteration, ValueError):
            lines = Path("/proc/self/status").read_text().splitlines()
            line = next(x for x in lines if x.startswith("VmHWM"))
            return int(line.split()[1]) * 1024
        return None
