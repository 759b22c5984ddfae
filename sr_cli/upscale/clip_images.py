"""A clip as images: each frame in a file of its own."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sr_cli.engine.pipeline import BicubicPipeline, Pipeline
from sr_cli.errors import Note, SrError
from sr_cli.imaging.cicp import Cicp
from sr_cli.imaging.conversion import drop_features, orient_pixels
from sr_cli.imaging.decode import is_readable
from sr_cli.imaging.encode import write_picture
from sr_cli.imaging.formats import (
    Encoding,
    Feature,
    Format,
    Requirements,
    check_supported,
    unsupported_features,
)
from sr_cli.imaging.picture import Frame, Metadata, Picture
from sr_cli.imaging.provenance import Provenance
from sr_cli.system.files import atomic_write, make_folder
from sr_cli.upscale.outputs import Job
from sr_cli.upscale.provenance import provenance_of, used_models, with_device
from sr_cli.upscale.request import ClipProgress, Event, Result, UpscaleOptions
from sr_cli.video.probe import Clip
from sr_cli.video.timestamps import FrameTimes, is_timestamps, timestamps_name

if TYPE_CHECKING:
    from sr_cli.upscale.groups import Group
    from sr_cli.video.frames import ClipReader

_SDR_PRIMARIES = (1, 2, 5, 6, 7)


@dataclass(frozen=True)
class _Writer:
    """Writes the frames of a clip.

    Attributes:
        clip: From `probe`.
        folder: Of the images.
        names: Of the images, with `%d` or `%06d` for their numbers.
        format: Of the images.
        options: Of the request.
    """

    clip: Clip
    folder: Path
    names: str
    format: Format
    options: UpscaleOptions

    def path(self, number: int) -> Path:
        """The file of a frame, counted from 1."""
        return self.folder / (self.names % number)

    @property
    def timestamps(self) -> Path:
        """The file with the times of the frames."""
        return self.folder / timestamps_name(self.names)

    def check(self, width: int, height: int) -> None:
        """Check that the format holds the frames, and that none is there already.

        Raises:
            SrError: `unsupported-by-format`, `hdr-images`, `already-exists`.
        """
        deep = self.clip.layout.depth > 8 and not self.options.flatten
        features = frozenset({Feature.SIXTEEN_BIT} if deep else ())
        check_supported(self.format, Requirements(width, height, features), can_drop=True)
        if self._needs_tags and self.format.name != "PNG":
            raise SrError("hdr-images", self.clip.source, format=self.format.name)
        continues = self.options.skip_existing
        for path, is_own in (
            (self.path(1), continues),
            (self.timestamps, continues and is_timestamps(self.timestamps)),
        ):
            if path.exists() and not (self.options.overwrite or is_own):
                raise SrError("already-exists", path, hint="or-skip")

    def write(self, number: int, pixels: NDArray[Any], made_by: Provenance) -> None:
        """Write a frame, upright."""
        upright = np.ascontiguousarray(orient_pixels(pixels, self.clip.orientation or 1))
        picture = Picture([Frame(upright)], self.format.name, self._metadata(), provenance=made_by)
        missing = unsupported_features(self.format, picture.features)
        options = self.options
        # Of frames that exist, only unreadable ones come here without --overwrite.
        overwrite = options.overwrite or options.skip_existing
        with atomic_write(self.path(number), overwrite=overwrite) as file:
            encoding = Encoding(options.quality, options.lossless, options.strip)
            write_picture(drop_features(picture, missing), file, self.format, encoding)

    def write_times(self, shown: Sequence[tuple[int, int]]) -> Note:
        """Write when the frames are shown, from their times and durations."""
        last, duration = shown[-1]
        before = shown[-2][0] if len(shown) > 1 else last - 1
        times = [pts for pts, _ in shown] + [last + (duration or last - before)]
        found = FrameTimes(self.clip.time_base, times)
        overwrite = self.options.overwrite or self.options.skip_existing
        with atomic_write(self.timestamps, overwrite=overwrite) as file:
            file.write(found.as_text().encode())
        facts = {"count": len(shown), "fps": round(float(found.rate), 3)}
        return Note("frames-as-images", facts | {"file": str(self.timestamps)})

    def notes_on_others(self, count: int) -> list[Note]:
        """Whether images of a longer clip follow those that were written."""
        others = 0
        while self.path(count + others + 1).exists():
            others += 1
        facts = {"count": others, "first": str(self.path(count + 1))}
        return [Note("images-of-another-clip", facts)] if others else []

    @property
    def _needs_tags(self) -> bool:
        colour = self.clip.colour
        return colour.is_hdr or colour.primaries not in _SDR_PRIMARIES

    def _metadata(self) -> Metadata:
        """For wide gamut and HDR, what the samples mean."""
        colour = self.clip.colour
        return Metadata(cicp=Cicp(colour.primaries, colour.transfer) if self._needs_tags else None)


def write_clip_images(
    job: Job, group: Group, pipeline: Pipeline, result: Result, report: Callable[[Event], None]
) -> Result:
    """Upscale the frames of a clip into a folder of images.

    Args:
        job: Whose target is the folder, and whose format is that of the images.
        group: Of the job.
        pipeline: Of the group.
        result: To be completed.
        report: Called with progress.

    Raises:
        SrError: What reading, computing and writing raise.
    """
    from sr_cli.video.clip import read_ahead, truncation_notes
    from sr_cli.video.colour import Converter
    from sr_cli.video.frames import ClipReader
    from sr_cli.video.plan import result_size
    from sr_cli.video.probe import probe

    began = time.perf_counter()
    options = group.options
    clip = probe(job.source, options.clip)
    width, height = result_size(clip, group.size, options.max_pixels)
    assert isinstance(job.format, Format)
    writer = _Writer(clip, job.target, job.names, job.format, options)
    writer.check(width, height)
    make_folder(job.target)
    grows = width > clip.width or height > clip.height or pipeline.restores
    chosen = pipeline if grows else BicubicPipeline(pipeline.wrap)
    converter, reader = Converter(clip.colour, clip.layout.depth), ClipReader(clip, options.clip)
    result = with_device(result, pipeline, np.empty(0, converter.dtype))
    notes, used = [], used_models(group)
    shown: list[tuple[int, int]] = []
    for count, frame in enumerate(read_ahead(reader.read()), 1):
        path = writer.path(count)
        if not (options.skip_existing and is_readable(path, options.max_pixels)):
            if options.skip_existing and os.path.isfile(path):
                notes.append(Note("unreadable-result-replaced", {"file": str(path)}))
            lr = converter.to_rgb(frame.planes)
            made_by = provenance_of([Frame(lr)], group, pipeline, used)
            writer.write(count, chosen.run(lr, (height, width)), made_by)
        shown.append((frame.pts, frame.duration))
        rate = count / (time.perf_counter() - began)
        report(ClipProgress(job.source, count, clip.frames, rate))
    return replace(
        result,
        width=clip.width,
        height=clip.height,
        output_width=width,
        output_height=height,
        notes=(
            writer.write_times(shown),
            *_notes(clip, reader),
            *truncation_notes(reader.missing),
            *writer.notes_on_others(len(shown)),
            *notes,
        ),
        seconds=time.perf_counter() - began,
    )


def _notes(clip: Clip, reader: ClipReader) -> list[Note]:
    notes = []
    if clip.aspect not in (None, 0, 1):
        notes.append(Note("pixels-not-square", {"aspect": str(clip.aspect)}))
    if clip.orientation is None:
        notes.append(Note("rotation-not-applied"))
    if clip.dynamic:
        notes.append(Note("dynamic-hdr-dropped", {"names": list(clip.dynamic)}))
    counts = {"damaged-frames": reader.damaged, "times-repaired": reader.repaired}
    return notes + [Note(kind, {"count": count}) for kind, count in counts.items() if count]
