"""Before an image is upscaled: it is decoded, and its result must fit format and disk."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sr_cli.engine.frames import check_result_size
from sr_cli.errors import SrError
from sr_cli.imaging import codecs
from sr_cli.imaging.beside import notes_on_files_beside
from sr_cli.imaging.conversion import drop_features
from sr_cli.imaging.decode import read_picture
from sr_cli.imaging.formats import (
    FORMATS,
    Feature,
    Format,
    Requirements,
    check_supported,
    estimated_bytes,
    unsupported_features,
)
from sr_cli.imaging.picture import Picture
from sr_cli.system.files import check_replaceable, make_folder, mib_rounded_up
from sr_cli.upscale.earlier import LABEL_ROOM
from sr_cli.upscale.inputs import STDIO
from sr_cli.upscale.outputs import Job
from sr_cli.upscale.remote import fetched
from sr_cli.upscale.request import UpscaleOptions
from sr_cli.video.containers import SNIFFED, Container, sniff_container

if TYPE_CHECKING:
    from sr_cli.engine.pipeline import Pipeline
    from sr_cli.upscale.groups import Group


def is_raster_job(job: Job, options: UpscaleOptions, pipeline: Pipeline | None = None) -> bool:
    """Whether a job is done in windows: a file that becomes a TIFF, and all that it needs.

    Args:
        job: The job.
        options: Of the request; a comparison shows whole images, and a check and tuning need them.
        pipeline: That upscales it, if it is known.
    """
    if job.format != FORMATS["TIFF"] or STDIO in (job.source, job.target):
        return False
    if job.is_archive or job.is_clip or options.compare or options.verify or options.adapt:
        return False

    from sr_cli.engine.windows import can_stream
    from sr_cli.imaging.raster import is_raster

    return (pipeline is None or can_stream(pipeline)) and is_raster(job.source)


def read_input(job: Job, options: UpscaleOptions) -> Picture:
    """Decode the image of a job.

    Raises:
        SrError: What `read_picture` raises; `is-a-clip` for a clip.
    """
    with fetched(job.source) as file:
        source = sys.stdin.buffer.read() if job.source == STDIO else file
        try:
            return read_picture(
                source, max_pixels=options.max_pixels, allow_truncated=options.allow_truncated
            )
        except SrError as error:
            if error.code == "unknown-image-format" and (clip := _container_of(source)):
                hint = "stdin" if job.source == STDIO else "rename"
                raise SrError("is-a-clip", error.subject, hint=hint, format=clip.name) from error
            raise


def _container_of(source: Path | bytes) -> Container | None:
    """The container if a source is a clip."""
    if isinstance(source, bytes):
        return sniff_container(source[:SNIFFED])
    with source.open("rb") as file:
        return sniff_container(file.read(SNIFFED))


def prepare_output(picture: Picture, job: Job, group: Group) -> tuple[Format, tuple[int, int]]:
    """Drop features if requested, and create the folder of the result.

    Args:
        picture: Frames and notes are changed where features are dropped, and files not read.
        job: Of an image.
        group: Of the job.

    Returns:
        The format and (width, height) of a result that fits it.

    Raises:
        SrError: `only-from-itself`, `conflicting-options`, `never-lossless`,
            `not-a-regular-file`, `unwritable-file`, `disk-full`, and what `check_result_size`,
            `check_supported` and `Georeference.check` raise.
    """
    options = group.options
    target = target_of(picture, job)
    _check_made_of_itself(picture, target, options)
    if target.name != picture.format:
        codecs.dicom_window.show(picture, deep=Feature.SIXTEEN_BIT in target.features)
    if options.flatten:
        missing = unsupported_features(target, picture.features)
        deep = Feature.SIXTEEN_BIT in target.features
        flat = drop_features(picture, missing, deep=deep)
        picture.frames, picture.notes = flat.frames, flat.notes
    if isinstance(job.source, Path) and not options.strip:
        # An image in bands is prepared twice.
        beside = notes_on_files_beside(job.source)
        picture.notes += [note for note in beside if note not in picture.notes]
    width, height = check_result_size(picture, group.size, options.max_pixels)
    wanted = picture.requirements(width, height)
    if options.lossless and not target.can_be_lossless:
        raise SrError("never-lossless", job.source, format=target.name)
    check_supported(target, wanted, can_drop=not options.flatten)
    if target.name == "TIFF" and not options.strip:
        for place in filter(None, picture.metadata.page_places):
            place.check()
    if options.compare:
        check_supported(target, Requirements(2 * width, height + LABEL_ROOM), can_drop=False)
    if job.target != STDIO:
        _prepare_folder(job.target, target, wanted, len(picture.frames))
    return target, (width, height)


def target_of(picture: Picture, job: Job) -> Format:
    """The format of a result: that of the job, or else of the image, if it can be written."""
    assert job.format is None or isinstance(job.format, Format)
    target = job.format or FORMATS[picture.format]
    return target if target.writable else FORMATS["JPEG"]


def _check_made_of_itself(picture: Picture, target: Format, options: UpscaleOptions) -> None:
    """Check that a result in DICOM has an input whose data set it can have, and keeps it."""
    if not target.only_from_itself:
        return
    if picture.format != target.name:
        raise SrError("only-from-itself", format=target.name)
    for name, asked in (("compare", options.compare), ("strip", options.strip)):
        if asked:
            raise SrError("conflicting-options", name, other=f"results in {target.name}")


def _prepare_folder(path: Path, target: Format, wanted: Requirements, frames: int) -> None:
    """Create the folder. Raises SrError if the result cannot be there, or has clearly no space."""
    check_replaceable(path)
    free = make_folder(path.parent)
    expected = estimated_bytes(target, wanted, frames)
    if expected > free:
        raise SrError("disk-full", path, needed_mib=mib_rounded_up(expected), free_mib=free >> 20)
