"""The names and formats of outputs; collisions are refused."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sr_cli.errors import Note, RefusedError
from sr_cli.imaging import codecs
from sr_cli.imaging.formats import (
    FORMATS,
    Format,
    format_by_option,
    format_of_name,
    sniff_format,
    writable_names,
)
from sr_cli.upscale.archive import is_archive
from sr_cli.upscale.claims import Claims
from sr_cli.upscale.inputs import STDIO, InputFile, as_path
from sr_cli.video.containers import (
    SNIFFED,
    Container,
    container_by_option,
    container_of_name,
    result_container,
    sniff_container,
    writable_containers,
)

_NUMBER = re.compile(r"[^%]*%(0[1-9])?d[^%]*")
"""A name with one number in it, as printf writes it."""

_FRAME = re.compile(r"\..*|\d{6,}\.png|timestamps\.txt")
"""What a folder of frames holds; and hidden files, which file managers leave."""


@dataclass(frozen=True)
class Job:
    """One image or clip to upscale.

    Attributes:
        source: The input; STDIO for stdin.
        target: The output; STDIO for stdout.
        format: Of the output, a container for clips; None for the format of the image on stdin, or
            of each page of an archive.
        images: The images of which a clip is made, in order; empty for all other jobs.
        into_folder: Whether a clip becomes images, and the target is their folder.
        notes: What was decided about it before it is read.
        names: Of these images, with `%d` or `%06d` for their numbers, which begin at 1.
    """

    source: Path
    target: Path
    format: Format | Container | None
    images: tuple[Path, ...] = ()
    into_folder: bool = False
    notes: tuple[Note, ...] = ()
    names: str = ""

    @property
    def is_archive(self) -> bool:
        """Whether the input is an archive of pages."""
        return is_archive(self.source)

    @property
    def is_clip(self) -> bool:
        """Whether the input or the result is a clip."""
        return self.into_folder or isinstance(self.format, Container)

    @property
    def comparison(self) -> Path:
        """The path of the comparison that `--compare` writes."""
        return self.target.with_name(f"{self.target.stem}_compare{self.target.suffix}")

    def outputs(self, *, compare: bool) -> list[Path]:
        """The files that the job writes."""
        return [self.target, self.comparison] if compare else [self.target]


@dataclass(frozen=True)
class Naming:
    """How results are named.

    Attributes:
        output: File, folder or `-`; None for results next to their inputs.
        label: The ending of names next to their inputs, such as `_x4`.
        suffix: Replaces the label, and is also used in an output folder.
        format: A value of `-f`; None keeps the format of the input.
        preview: Whether clips become previews, which are PNG files: `clip_x2_preview.png`.
        as_images: Whether a clip becomes images in an output folder where no format is named.
    """

    output: str | None
    label: str
    suffix: str | None = None
    format: str | None = None
    preview: bool = False
    as_images: bool = False


def plan_jobs(
    found: Sequence[InputFile], naming: Naming, *, several: bool, compare: bool = False
) -> list[Job]:
    """Plan a job for each input.

    Args:
        found: The inputs.
        naming: How results are named.
        several: Whether several results are possible, so that an output must be a folder.
        compare: Whether each job also writes a comparison.

    Raises:
        RefusedError: `outputs-collide`, `output-is-an-input`, `output-not-a-folder`,
            `unknown-value` and `format-not-in-name` for formats that cannot be written,
            `format-contradicts-name`, `format-of-other-kind`, `archive-not-in-name`,
            `one-image-on-stdout`, `clip-on-stdout`, `conflicting-options` (archives on stdout),
            `not-only-frames`, `extra-missing`.
    """
    wanted = _format_option(naming.format)
    _check_extra(wanted, naming.output)
    folder = _output_folder(naming.output, several)
    jobs = [_job(f, naming, wanted, folder, several=several) for f in found]
    if naming.preview:
        jobs = [_preview_of(job) if isinstance(job.format, Container) else job for job in jobs]
    claims = Claims()
    for f in found:
        claims.read(f.path)
    for job in jobs:
        for path in job.outputs(compare=compare) if job.target != STDIO else ():
            claims.write(path, job.source)
    if sum(job.target == STDIO for job in jobs) and len(jobs) > 1:
        raise RefusedError("one-image-on-stdout")
    return jobs


def plan_sequence_job(found: Sequence[InputFile], source: str, output: str) -> Job | None:
    """Plan a clip that is made of images; None if this is not what inputs and output say.

    Args:
        found: The inputs.
        source: What names them: the first of the request.
        output: Of the request.
    """
    container = container_of_name(output)
    is_folder = output.endswith(("/", os.sep)) or os.path.isdir(output)
    if container is None or not container.writable or is_folder or not found:
        return None
    if not all(format_of_name(f.path) for f in found):
        return None
    # One image that was named is more likely a slip than a clip.
    if len(found) == 1 and found[0].named:
        return None
    return Job(Path(source), as_path(output), container, tuple(f.path for f in found))


def _format_option(option: str | None) -> Format | Container | None:
    if option is None:
        return None
    found = format_by_option(option) or container_by_option(option)
    if found is None or not found.writable:
        known = [*writable_names(), *writable_containers()]
        raise RefusedError("unknown-value", "format", value=option, known=known)
    return found


def _check_extra(wanted: Format | Container | None, output: str | None) -> None:
    """Refuse a requested format whose extra is not installed."""
    by_name = format_of_name(output) if output else None
    if FORMATS["JXL"] in (wanted, by_name) and not codecs.jxl.is_available():
        raise RefusedError("extra-missing", "JPEG XL", extra="jxl")


def _output_folder(output: str | None, several: bool) -> Path | None:
    """The output folder; None if the output is a file, a stream or not given."""
    if output is None or output == "-":
        return None
    path = as_path(output)
    slash = output.endswith(("/", os.sep))
    if not (several or slash or os.path.isdir(output)):
        return None
    if os.path.exists(output) and not os.path.isdir(output):
        raise RefusedError("output-not-a-folder", output)
    return path


def _job(
    found: InputFile,
    naming: Naming,
    wanted: Format | Container | None,
    folder: Path | None,
    *,
    several: bool,
) -> Job:
    if naming.output and _is_clip(found.path):
        by_number = format_of_name(naming.output)
        if by_number is not None and _NUMBER.fullmatch(as_path(naming.output).name):
            return _numbered_job(found, naming.output, by_number, wanted, several=several)
    if found.named and isinstance(wanted, Format) and _is_clip(found.path):
        return _folder_job(found, naming, wanted, folder, several=several)
    if naming.as_images and wanted is None and folder is not None and _is_clip(found.path):
        _check_only_frames(folder, found.path)
        job = _folder_job(found, naming, FORMATS["PNG"], folder, several=False)
        return replace(job, notes=(*job.notes, Note("clip-as-images")))
    if folder is None and naming.output is not None:
        return _named_job(found, naming.output, wanted)
    source = found.path
    if source == STDIO:
        if folder is None:
            return Job(source, STDIO, wanted)
        source = Path("stdin")
    chosen, by_name = _chosen_format(found, wanted), _format_of_name(source)
    if chosen is None or is_archive(source) or chosen == by_name:
        ending = source.suffix
    else:
        ending = chosen.suffixes[0]
    stem = source.stem if by_name or is_archive(source) else source.name
    if folder is None:
        label = naming.suffix if naming.suffix is not None else naming.label
        return Job(found.path, source.parent / f"{stem}{label}{ending}", chosen)
    inner = Path() if found.path == STDIO or found.named else source.parent.relative_to(found.base)
    return Job(found.path, folder / inner / f"{stem}{naming.suffix or ''}{ending}", chosen)


def _folder_job(
    found: InputFile, naming: Naming, wanted: Format, folder: Path | None, *, several: bool
) -> Job:
    """The job of a clip whose frames become images: `clip_x4/`, or the output folder."""
    if folder is None and naming.output is not None:
        if naming.output == "-" or _format_of_name(Path(naming.output)) is not None:
            raise RefusedError("format-of-other-kind", found.path, format=wanted.name)
        folder = as_path(naming.output)
    label = naming.suffix if naming.suffix is not None else naming.label
    if folder is None:
        target = found.path.parent / f"{found.path.stem}{label}"
    else:
        target = folder / f"{found.path.stem}{naming.suffix or ''}" if several else folder
    names = f"%06d{wanted.suffixes[0]}"
    return Job(found.path, target, wanted, into_folder=True, names=names)


def _check_only_frames(folder: Path, source: Path) -> None:
    """Check that a folder holds frames alone: thousands of images would be among other files."""
    try:
        with os.scandir(folder) as entries:
            others = (e.name for e in entries if not _FRAME.fullmatch(e.name))
            other = next(others, None)
    except FileNotFoundError:
        return
    except OSError as error:
        raise RefusedError(
            "unwritable-file", folder, reason=error.strerror or str(error)
        ) from error
    if other is not None:
        raise RefusedError("not-only-frames", folder, source=source, other=other)


def _numbered_job(
    found: InputFile,
    output: str,
    by_name: Format,
    wanted: Format | Container | None,
    *,
    several: bool,
) -> Job:
    """The job of a clip whose frames become images with numbers in their names."""
    if several:
        raise RefusedError("conflicting-options", output, other="several inputs")
    if wanted is not None and wanted != by_name:
        raise RefusedError("format-contradicts-name", output, format=wanted.name)
    if not by_name.writable:
        raise RefusedError("format-not-in-name", output, known=["." + n for n in writable_names()])
    target = as_path(output)
    return Job(found.path, target.parent, by_name, into_folder=True, names=target.name)


def _is_clip(path: Path) -> bool:
    return path != STDIO and not is_archive(path) and isinstance(_own_format(path), Container)


def _preview_of(job: Job) -> Job:
    return replace(job, target=job.target.with_name(f"{job.target.stem}_preview.png"))


def _named_job(found: InputFile, output: str, wanted: Format | Container | None) -> Job:
    """The job of an output that is a file or stdout."""
    if is_archive(found.path):
        if output == "-":
            raise RefusedError("conflicting-options", "an archive", other="an output on stdout")
        if not is_archive(as_path(output)):
            raise RefusedError("archive-not-in-name", output, source=found.path)
        return Job(found.path, as_path(output), _chosen_format(found, wanted))
    if output == "-":
        own = None if found.path == STDIO else _chosen_format(found, wanted)
        if isinstance(own, Container):
            raise RefusedError("clip-on-stdout", found.path)
        return Job(found.path, STDIO, wanted or own)
    target = as_path(output)
    by_name = _format_of_name(target)
    if wanted is None and (by_name is None or not by_name.writable):
        known = writable_containers() if _is_clip(found.path) else writable_names()
        raise RefusedError("format-not-in-name", output, known=["." + name for name in known])
    if wanted and by_name and wanted != by_name:
        raise RefusedError("format-contradicts-name", output, format=wanted.name)
    chosen = wanted or by_name
    assert chosen is not None
    return Job(found.path, target, _chosen_format(found, chosen))


def _chosen_format(
    found: InputFile, wanted: Format | Container | None
) -> Format | Container | None:
    """What was asked for, if it is for inputs of this kind; otherwise the input's own format.

    None for an archive whose pages keep their formats.

    Raises:
        RefusedError: `format-of-other-kind` if the input was named; in folders, images and clips
            lie side by side.
    """
    if found.path == STDIO:
        if isinstance(wanted, Container):
            raise RefusedError("format-of-other-kind", "stdin", format=wanted.name)
        return wanted or FORMATS["PNG"]
    own = None if is_archive(found.path) else _own_format(found.path)
    if wanted is None:
        return own
    if isinstance(own, Container) == isinstance(wanted, Container):
        return wanted
    if found.named:
        raise RefusedError("format-of-other-kind", found.path, format=wanted.name)
    return own


def _format_of_name(path: Path) -> Format | Container | None:
    return format_of_name(path) or container_of_name(path)


def _own_format(source: Path) -> Format | Container:
    """The format of an input, by its name or its content; JPEG for HEIC, Matroska for AVI."""
    found = _format_of_name(source)
    if found is None:
        try:
            with source.open("rb") as file:
                start = file.read(SNIFFED)
            found = sniff_container(start) or sniff_format(start)
        except OSError:
            found = None
    if isinstance(found, Container):
        return result_container(found)
    found = found or FORMATS["PNG"]
    return found if found.writable else FORMATS["JPEG"]
