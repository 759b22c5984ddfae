"""The request, events and results of `sr upscale`, as plain data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import msgspec

from sr_cli.engine.options import EngineOptions, check_at_least_one
from sr_cli.engine.size import MAX_FACTOR, Size
from sr_cli.errors import Note, RefusedError, SrError
from sr_cli.imaging.formats import DEFAULT_MAX_PIXELS


@dataclass(frozen=True)
class UpscaleOptions:
    """How files are upscaled, apart from the model and the factor.

    Attributes:
        width: The largest width of the result in pixels, instead of a factor.
        height: The largest height of the result in pixels, instead of a factor.
        max_side: The largest side of the result in pixels.
        recursive: Include the subfolders of folders.
        suffix: The ending of output names; None for `_x4` next to inputs, nothing elsewhere.
        format: `jpg`, `png`, `webp`, `tif`, `bmp`, `gif` or `avif`; None keeps the format of the
            input.
        quality: 1 to 100; None for JPEG 95, WebP 92, AVIF 90.
        lossless: Write lossless WebP or AVIF.
        strip: Drop EXIF, XMP, ICC profile, HDR gain maps, videos and other metadata.
        overwrite: Overwrite existing results.
        skip_existing: Skip images whose results exist.
        flatten: Drop what the format does not support: 16 bits, alpha (onto white), frames.
        compare: Also write NAME_compare, bicubic next to the result.
        download: Download the public weights that a model needs.
        max_pixels: The most pixels of an input or a result.
        allow_truncated: Read truncated files as far as possible.
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
    """A complete request of `sr upscale`.

    Attributes:
        inputs: Files, folders and patterns; `-` is stdin.
        output: A file, or a folder (existing, or ending in a slash); `-` is stdout; None writes
            results next to their inputs.
        models: Names of models; several are averaged; empty for the general model.
        scale: The factor, above 1, up to 16; None for the model's own scale, or 4.
        options: All other options.
    """

    inputs: tuple[str, ...]
    output: str | None = None
    models: tuple[str, ...] = ()
    scale: float | None = None
    options: UpscaleOptions = field(default_factory=UpscaleOptions)

    def check(self) -> None:
        """Check the values, before anything is opened or imported.

        Raises:
            RefusedError: `out-of-range`, `unknown-value`, `conflicting-options`.
        """
        o = self.options
        check_types(self)
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
        """The size by width and height; None if neither is given."""
        o = self.options
        if o.width is None and o.height is None:
            return None
        return Size(None, o.width, o.height, o.max_side)


def check_types(request: UpscaleRequest) -> None:
    """Check that every field has the type that it declares.

    Raises:
        RefusedError: `invalid-request`, with the field and its type.
    """
    try:
        msgspec.convert(asdict(request), UpscaleRequest)
    except (msgspec.ValidationError, TypeError) as error:
        raise RefusedError("invalid-request", reason=str(error)) from error


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
    """The result of one input.

    Attributes:
        source: The input, `-` for stdin.
        target: The output, `-` for stdout; None if there is none.
        status: `done`; `skipped`, with a reason; `failed`, with an error.
        model: The requested models, joined by `+`.
        reason: Why it was skipped: `exists` (the result exists) or `earlier-result` (the input is
            a result of an earlier run).
        error: Why it failed.
        notes: What was converted or dropped.
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
    """Weights are being downloaded: `done` of `total` bytes, None if unknown."""

    name: str
    licence: str
    done: int
    total: int | None


@dataclass(frozen=True)
class Downloaded:
    """Weights were downloaded. `pinned` if this content is required from now on."""

    name: str
    sha256: str | None
    pinned: bool


@dataclass(frozen=True)
class Planned:
    """The number of images that will be upscaled or skipped."""

    images: int


@dataclass(frozen=True)
class Replacing:
    """An input will be overwritten by its own result."""

    source: Path


@dataclass(frozen=True)
class PipelineReady:
    """A network is loaded for the images that follow.

    Attributes:
        factor: The requested factor; None if it depends on the image.
        scale: Of the network.
        passes: How often the network is applied.
        device, precision, tile, halo: How it computes.
        notes: What is to be known about its weights and its results.
    """

    factor: float | None
    scale: int
    passes: int
    device: str
    precision: str
    tile: int
    halo: int
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True)
class Progress:
    """The share of an image that is done, 0 to 1."""

    source: Path
    share: float


@dataclass(frozen=True)
class WorkerJoined:
    """A worker takes part from now on.

    Attributes:
        name: Of the worker.
        compute: Device type and precision, such as `cpu fp32`.
        threads: That it has.
    """

    name: str
    compute: str
    threads: int


@dataclass(frozen=True)
class WorkerLeft:
    """A worker ended or cannot be reached; its images go to others."""

    name: str


@dataclass(frozen=True)
class WorkerLeftOut:
    """A worker is not fit for the work."""

    name: str
    error: SrError


@dataclass(frozen=True)
class WorkerRate:
    """What a worker did in a group of images."""

    name: str
    images: int
    seconds: float


WorkerEvent = WorkerJoined | WorkerLeft | WorkerLeftOut | WorkerRate
Event = DownloadProgress | Downloaded | Planned | Replacing | PipelineReady | Progress | WorkerEvent
OnEvent = Callable[[Event], None]
