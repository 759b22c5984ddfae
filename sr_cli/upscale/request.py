"""What is asked for, what happens meanwhile, and what became of each image: plain data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from sr_cli.engine.options import EngineOptions, check_at_least_one
from sr_cli.engine.size import MAX_FACTOR, Size
from sr_cli.errors import Note, RefusedError, SrError
from sr_cli.imaging.formats import DEFAULT_MAX_PIXELS


@dataclass(frozen=True)
class UpscaleOptions:
    """How files are upscaled, beside the model and the factor.

    Attributes:
        width: The result fits inside, in pixels; in place of a factor.
        height: The result fits inside, in pixels; in place of a factor.
        max_side: The longest side that a result may have.
        recursive: Folders with all their sub-folders.
        suffix: What ends the names of results; None for `_x4` beside inputs, nothing elsewhere.
        format: `jpg`, `png`, `webp`, `tif`, `bmp`, `gif` or `avif`; None keeps the input's.
        quality: 1 to 100; None for JPEG 95, WebP 92, AVIF 90.
        lossless: Lossless WebP or AVIF.
        strip: Drop EXIF, XMP, ICC profile and other metadata.
        overwrite: Replace results that exist.
        skip_existing: Skip images whose results exist.
        flatten: Drop what the format does not support: 16 bits, alpha (on white), frames.
        compare: Also write NAME_compare: bicubic beside the result.
        download: Fetch public weights that a model needs.
        max_pixels: Most pixels that an input or a result may have.
        allow_truncated: Read what there is of truncated files.
        engine: How to compute.
    """

    width: int | None = None
    height: int | None = None
    max_side: int | None = None
    recursive: bool = False
    suffix: str | None = None
    format: str | None = None
    quality: int | None = None
    lossless: bool = False
    strip: bool = False
    overwrite: bool = False
    skip_existing: bool = False
    flatten: bool = False
    compare: bool = False
    download: bool = False
    max_pixels: int = DEFAULT_MAX_PIXELS
    allow_truncated: bool = False
    engine: EngineOptions = field(default_factory=EngineOptions)


@dataclass(frozen=True)
class UpscaleRequest:
    """Everything that `sr upscale` is asked for.

    Attributes:
        inputs: Files, folders and patterns; `-` is stdin.
        output: A file, or a folder (existing, or ending in a slash); `-` is stdout; None for a
            place beside each input.
        models: Names of models; several are averaged; none for the general model.
        scale: Above 1, up to 16; None for what the model is made for, else 4.
        options: The rest.
    """

    inputs: tuple[str, ...]
    output: str | None = None
    models: tuple[str, ...] = ()
    scale: float | None = None
    options: UpscaleOptions = field(default_factory=UpscaleOptions)

    def check(self) -> None:
        """Check the values by themselves, before anything is opened or imported.

        Raises:
            RefusedError: `out-of-range`, `unknown-value`, `conflicting-options`.
        """
        o = self.options
        if self.scale is not None:
            check_factor(self.scale)
        check_at_least_one(
            width=o.width, height=o.height, max_side=o.max_side, max_pixels=o.max_pixels
        )
        if o.quality is not None and not 1 <= o.quality <= 100:
            raise RefusedError("out-of-range", "quality", value=o.quality, allowed="1 to 100")
        if self.scale is not None and self.bounds is not None:
            raise RefusedError("conflicting-options", "scale", other="width and height")
        if o.overwrite and o.skip_existing:
            raise RefusedError("conflicting-options", "overwrite", other="skip-existing")
        o.engine.check()

    @property
    def bounds(self) -> Size | None:
        """The size by width and height; None where a factor decides."""
        o = self.options
        if o.width is None and o.height is None:
            return None
        return Size(None, o.width, o.height, o.max_side)


def check_factor(factor: float) -> None:
    """Check that a factor is above 1 and at most 16.

    Raises:
        RefusedError: `out-of-range`.
    """
    if not 1 < factor <= MAX_FACTOR:
        raise RefusedError(
            "out-of-range", "scale", value=factor, allowed=f"above 1, at most {MAX_FACTOR:g}"
        )


@dataclass(frozen=True)
class Result:
    """What became of one input.

    Attributes:
        source: The input, `-` for stdin.
        target: The output, `-` for stdout; None where there is none.
        status: `done`; `skipped`, for the reason given; `failed`, with an error.
        model: The models that were asked for, joined by `+`.
        reason: Why it was skipped: `exists` (its result does), or `earlier-result` (it is one).
        error: Why it failed.
        notes: What was changed or left out on the way.
        width, height: The input's size in pixels.
        output_width, output_height: The result's size in pixels.
        device, precision, tile: How it was computed; precision and tile are None for bicubic.
        seconds: From the start of reading to the end of writing.
    """

    source: Path
    target: Path | None
    status: Literal["done", "skipped", "failed"]
    model: str = ""
    reason: Literal["", "exists", "earlier-result"] = ""
    error: SrError | None = None
    notes: tuple[Note, ...] = ()
    width: int = 0
    height: int = 0
    output_width: int = 0
    output_height: int = 0
    device: str = "cpu"
    precision: str | None = None
    tile: int | None = None
    seconds: float = 0.0


@dataclass(frozen=True)
class DownloadProgress:
    """Weights are being fetched: `done` of `total` bytes, where known."""

    name: str
    licence: str
    done: int
    total: int | None


@dataclass(frozen=True)
class Downloaded:
    """Weights were fetched. `pinned` where this content is required there from now on."""

    name: str
    sha256: str | None
    pinned: bool


@dataclass(frozen=True)
class Planned:
    """So many images will be upscaled or skipped."""

    images: int


@dataclass(frozen=True)
class Replacing:
    """An input will be overwritten by its own result."""

    source: Path


@dataclass(frozen=True)
class PipelineReady:
    """A network is loaded for the images that follow.

    Attributes:
        factor: What was asked for; None where it depends on the image.
        scale: The network's.
        passes: How often it is applied.
        device, precision, tile, halo: How it computes.
    """

    factor: float | None
    scale: int
    passes: int
    device: str
    precision: str
    tile: int
    halo: int


@dataclass(frozen=True)
class Progress:
    """The share of an image that is done, 0 to 1."""

    source: Path
    share: float


Event = DownloadProgress | Downloaded | Planned | Replacing | PipelineReady | Progress
OnEvent = Callable[[Event], None]
