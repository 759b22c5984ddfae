"""The request, events and results of `sr upscale`, as plain data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from sr_cli.engine.options import Adaptation, EngineOptions, check_at_least_one
from sr_cli.engine.size import MAX_FACTOR, Size
from sr_cli.errors import Note, RefusedError, SrError
from sr_cli.imaging.formats import DEFAULT_MAX_PIXELS
from sr_cli.system.types import check_types
from sr_cli.video.options import ClipOptions

if TYPE_CHECKING:
    from sr_cli.imaging.consistency import Deviation

AUTO = "auto"
"""Names no model: each image's is chosen from its own statistics."""


@dataclass(frozen=True)
class UpscaleOptions:
    """How files are upscaled, apart from the model and the factor.

    Attributes:
        width: The largest width of the result in pixels, instead of a factor.
        height: The largest height of the result in pixels, instead of a factor.
        max_side: The largest side of the result in pixels.
        recursive: Include the subfolders of folders.
        suffix: The ending of output names; None for `_x4` next to inputs, nothing elsewhere.
        format: `jpg`, `png`, `webp`, `tif`, `bmp`, `gif`, `avif` or `jxl` for images, `mp4`, `mkv`,
            `webm` or `mov` for clips; None keeps the format of the input.
        quality: 1 to 100; None for JPEG 95, WebP 92, AVIF 90, JPEG XL 90.
        lossless: Write lossless WebP, AVIF, JPEG XL or video.
        strip: Drop EXIF, XMP, ICC profile, HDR gain maps, videos and other metadata.
        overwrite: Overwrite existing results.
        skip_existing: Skip images whose results exist.
        flatten: Drop what the format does not support: 16 bits, alpha (onto white), frames.
        compare: Also write NAME_compare, bicubic next to the result.
        verify: Reduce each result again, and report how far it is from its input.
        strength: How far a model with two sets of weights restores, 0 (faithful) to 1; None for 1.
        adapt: How long to tune the network to each image before it is upscaled; None for not at
            all.
        download: Download the public weights that a model needs.
        max_pixels: The most pixels of an input or a result; of clips, of a frame.
        allow_truncated: Read truncated files as far as possible.
        clip: How clips are read and written.
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
    verify: bool = False
    strength: float | None = None
    adapt: Adaptation | None = None
    download: bool = False
    max_pixels: int = DEFAULT_MAX_PIXELS
    allow_truncated: bool = False
    clip: ClipOptions = field(default_factory=ClipOptions)
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
            RefusedError: `invalid-request`, `empty-value`, `out-of-range`, `unknown-value`,
                `conflicting-options`, `missing-option`.
        """
        o = self.options
        check_types(self)
        for name, empty in (("input", "" in self.inputs), ("output", self.output == "")):
            if empty:
                raise RefusedError("empty-value", name)
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
        if o.adapt is not None:
            o.adapt.check()
        o.clip.check()
        o.engine.check()

    @property
    def bounds(self) -> Size | None:
        """The size by width and height; None if neither is given."""
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
        pages: Of an archive; 0 for an image.
        width, height: The input's size in pixels, or that of the first page.
        output_width, output_height: The result's size in pixels, or that of the first page.
        device, precision, tile: How it was computed; precision and tile are None for bicubic.
        deviation: How far the result, reduced again, is from the input; None if that was not asked
            for, or if nothing became larger.
        seconds: From the start of reading to the end of writing.
    """

    source: Path
    target: Path | None
    status: Literal["done", "skipped", "failed"]
    model: str = ""
    reason: Literal["", "exists", "earlier-result"] = ""
    error: SrError | None = None
    notes: tuple[Note, ...] = ()
    pages: int = 0
    width: int = 0
    height: int = 0
    output_width: int = 0
    output_height: int = 0
    device: str = "cpu"
    precision: str | None = None
    tile: int | None = None
    deviation: Deviation | None = None
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
class LeftOut:
    """What folders and patterns hold that is not upscaled, counted by reason.

    Attributes:
        earlier_results: Results of earlier runs; each is also a skipped `Result`.
        unsupported: Images and comic archives whose names are not of a supported format, by suffix.
        hidden: Files whose names begin with a dot.
        other: Files that are not images, and what is not a regular file.
    """

    earlier_results: int = 0
    unsupported: Mapping[str, int] = field(default_factory=dict, hash=False)
    hidden: int = 0
    other: int = 0

    def __bool__(self) -> bool:
        return bool(self.earlier_results or self.unsupported or self.hidden or self.other)


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
class ClipProgress:
    """The share of a clip that is done.

    Attributes:
        source: The clip.
        frames: Done so far.
        total: Of the clip, estimated; None if unknown.
        rate: Frames a second.
    """

    source: Path
    frames: int
    total: int | None
    rate: float

    @property
    def share(self) -> float:
        """0 to 1; 0 if the number of frames is unknown."""
        return min(1.0, self.frames / self.total) if self.total else 0.0

    @property
    def seconds_left(self) -> float | None:
        """None if the number of frames is unknown."""
        if self.total is None or not self.rate:
            return None
        return max(0, self.total - self.frames) / self.rate


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
Event = (
    DownloadProgress
    | Downloaded
    | LeftOut
    | Planned
    | Replacing
    | PipelineReady
    | Progress
    | ClipProgress
    | WorkerEvent
)
OnEvent = Callable[[Event], None]
