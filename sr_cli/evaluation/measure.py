"""One model on one test set, by the papers' protocol."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from sr_cli.engine.pipeline import Pipeline
from sr_cli.errors import SrError
from sr_cli.evaluation.datasets import TestImage, TestSet
from sr_cli.evaluation.metrics import Luma, psnr_rgb, psnr_y, ssim_y
from sr_cli.evaluation.niqe import niqe
from sr_cli.imaging.conversion import opaque_8_bit
from sr_cli.imaging.decode import read_picture
from sr_cli.imaging.degrade import degrade
from sr_cli.imaging.resize import crop_to_multiple, downscale_bicubic

Pixels = NDArray[np.uint8]
Distance = Callable[[Pixels, Pixels], float]
"""Of two RGB images (h, w, 3)."""


@dataclass(frozen=True)
class Protocol:
    """How quality is measured.

    Args:
        luma: Unrounded, or rounded as in the oldest papers.
        rgb: Also PSNR on RGB.
        distances: Perceptual distances, measured on whole RGB images: `lpips`, `dists`.
        niqe: Also NIQE of the results.
        degradation: How lr is made; anything but `bicubic` is not what papers measure.
    """

    luma: Luma = "unrounded"
    rgb: bool = False
    distances: Mapping[str, Distance] = field(default_factory=dict)
    niqe: bool = False
    degradation: str = "bicubic"


@dataclass(frozen=True)
class Sample:
    """lr (h, w[, 3]) and hr (h*scale, w*scale[, 3]), uint8; gray files stay gray."""

    lr: Pixels
    hr: Pixels


@dataclass(frozen=True)
class ImageFigures:
    """The figures of one image; PSNR in dB, inf for identical images."""

    name: str
    psnr_y: float
    ssim: float
    seconds: float
    megapixels: float
    psnr_rgb: float | None = None
    lpips: float | None = None
    dists: float | None = None
    niqe: float | None = None


@dataclass
class SetFigures:
    """The figures of a model on a set, and an error for each image that failed."""

    images: list[ImageFigures] = field(default_factory=list)
    errors: list[SrError] = field(default_factory=list)

    def mean(self, metric: str) -> float | None:
        """The mean over the images; None if it was not measured."""
        values = [getattr(i, metric) for i in self.images]
        if not values or any(v is None for v in values):
            return None
        return float(sum(values) / len(values))

    @property
    def seconds(self) -> float | None:
        """The median time for an image."""
        return statistics.median(i.seconds for i in self.images) if self.images else None

    @property
    def megapixels_per_second(self) -> float | None:
        """Megapixels of all results divided by the total time."""
        total = sum(i.seconds for i in self.images)
        return sum(i.megapixels for i in self.images) / total if total else None


@dataclass(frozen=True)
class Measured:
    """One image through a model: its figures, the result and the original."""

    figures: ImageFigures
    sr: Pixels
    hr: Pixels


OnImage = Callable[[TestImage, Measured | SrError], None]
"""Called after each image with its result or error."""


def measure_set(
    pipeline: Pipeline,
    test_set: TestSet,
    scale: int,
    protocol: Protocol,
    on_image: OnImage | None = None,
) -> SetFigures:
    """Upscale every image's lr as `sr upscale` does and compare it with the original.

    An image that fails adds an error to the result; the others continue.

    Args:
        pipeline: The model.
        test_set: The images.
        scale: The scale.
        protocol: How to measure.
        on_image: Called after each image.
    """
    found = SetFigures()
    warm = False
    for image in test_set.images:
        outcome: Measured | SrError
        try:
            sample = load_sample(image, scale, protocol.degradation)
            size = (sample.hr.shape[0], sample.hr.shape[1])
            if not warm:
                # Warm up, so that initialisation is not timed.
                pipeline.run(sample.lr, size)
                warm = True
            began = time.perf_counter()
            sr = pipeline.run(sample.lr, size)
            seconds = time.perf_counter() - began
            figures = _compute_figures(image.name, sr, sample.hr, scale, protocol, seconds)
        except SrError as error:
            outcome = error.about(image.hr)
            found.errors.append(outcome)
        else:
            outcome = Measured(figures, sr, sample.hr)
            found.images.append(figures)
        if on_image is not None:
            on_image(image, outcome)
    return found


def load_sample(image: TestImage, scale: int, degradation: str = "bicubic") -> Sample:
    """Decode an original, and decode its lr or make it, deterministically.

    Raises:
        SrError: `image-too-small` for the scale, `lr-size-mismatch`, and what decoding raises.
    """
    hr = read_8_bit(image.hr)
    height, width = hr.shape[:2]
    if image.lr is None:
        hr = crop_to_multiple(hr, scale)
        if not hr.size:
            raise SrError("image-too-small", image.hr, width=width, height=height, needed=scale)
        return Sample(_make_lr(hr, scale, degradation, image.name), hr)
    lr = read_8_bit(image.lr)
    h, w = lr.shape[:2]
    if (height // scale, width // scale) != (h, w):
        raise SrError(
            "lr-size-mismatch",
            image.lr,
            lr_size=[w, h],
            hr=image.hr.name,
            hr_size=[width, height],
            scale=scale,
        )
    if lr.ndim != hr.ndim:
        lr, hr = as_rgb(lr), as_rgb(hr)
    return Sample(lr, np.ascontiguousarray(hr[: h * scale, : w * scale]))


def as_rgb(image: Pixels) -> Pixels:
    """Gray (h, w) as three equal channels; (h, w, 3) as it is."""
    return image if image.ndim == 3 else np.dstack([image] * 3)


def _make_lr(hr: Pixels, scale: int, degradation: str, name: str) -> Pixels:
    if degradation == "bicubic":
        return downscale_bicubic(hr, scale)
    random = np.random.default_rng([crc32(name.encode()), scale])
    lr = degrade(as_rgb(hr), scale=scale, degradation=degradation, random=random)
    return lr if hr.ndim == 3 else np.rint(lr.mean(2)).astype(np.uint8)


def read_8_bit(path: Path) -> Pixels:
    """The first frame of a file as uint8, composited over white.

    Raises:
        SrError: What decoding raises.
    """
    picture = read_picture(path, as_shown=True)
    try:
        return opaque_8_bit(picture.frames[0])
    except SrError as error:
        raise error.about(path) from None


def _compute_figures(
    name: str, sr: Pixels, hr: Pixels, border: int, protocol: Protocol, seconds: float
) -> ImageFigures:
    return ImageFigures(
        name=name,
        # SSIM first: its error states a size that suffices for both.
        ssim=ssim_y(sr, hr, border=border, luma_is=protocol.luma),
        psnr_y=psnr_y(sr, hr, border=border, luma_is=protocol.luma),
        seconds=seconds,
        megapixels=sr.shape[0] * sr.shape[1] / 1e6,
        psnr_rgb=psnr_rgb(sr, hr, border=border) if protocol.rgb else None,
        niqe=niqe(sr, border=border) if protocol.niqe else None,
        **{name: measure(as_rgb(sr), as_rgb(hr)) for name, measure in protocol.distances.items()},
    )
