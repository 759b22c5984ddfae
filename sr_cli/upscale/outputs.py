"""The names and formats of outputs; collisions are refused."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sr_cli.errors import RefusedError
from sr_cli.imaging.codecs import jxl
from sr_cli.imaging.formats import (
    FORMATS,
    Format,
    format_by_option,
    format_of_name,
    sniff_format,
    writable_names,
)
from sr_cli.upscale.archive import is_archive
from sr_cli.upscale.inputs import STDIO, InputFile, as_path


@dataclass(frozen=True)
class Job:
    """One image to upscale.

    Attributes:
        source: The input; STDIO for stdin.
        target: The output; STDIO for stdout.
        format: Of the output; None for the format of the image on stdin, or of each page of an
            archive.
    """

    source: Path
    target: Path
    format: Format | None

    @property
    def is_archive(self) -> bool:
        """Whether the input is an archive of pages."""
        return is_archive(self.source)

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
    """

    output: str | None
    label: str
    suffix: str | None = None
    format: str | None = None


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
            `format-contradicts-name`, `archive-not-in-name`, `one-image-on-stdout`,
            `conflicting-options` (archives on stdout), `extra-missing`.
    """
    wanted = _format_option(naming.format)
    _check_extra(wanted, naming.output)
    folder = _output_folder(naming.output, several)
    jobs = [_job(f, naming, wanted, folder) for f in found]
    targets: dict[str, Job] = {}
    sources = {_key(f.path): f.path for f in found if f.path != STDIO}
    for job in jobs:
        for path in job.outputs(compare=compare) if job.target != STDIO else ():
            key = _key(path)
            if key in targets:
                raise RefusedError(
                    "outputs-collide", path, first=targets[key].source, second=job.source
                )
            if key in sources and _key(job.source) != key:
                raise RefusedError("output-is-an-input", path, source=job.source)
            targets[key] = job
    if sum(job.target == STDIO for job in jobs) and len(jobs) > 1:
        raise RefusedError("one-image-on-stdout")
    return jobs


def _format_option(option: str | None) -> Format | None:
    if option is None:
        return None
    found = format_by_option(option)
    if found is None or not found.writable:
        raise RefusedError("unknown-value", "format", value=option, known=writable_names())
    return found


def _check_extra(wanted: Format | None, output: str | None) -> None:
    """Refuse a requested format whose extra is not installed."""
    by_name = format_of_name(output) if output else None
    if FORMATS["JXL"] in (wanted, by_name) and not jxl.is_available():
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


def _job(found: InputFile, naming: Naming, wanted: Format | None, folder: Path | None) -> Job:
    if folder is None and naming.output is not None:
        return _named_job(found, naming.output, wanted)
    source = found.path
    if source == STDIO:
        if folder is None:
            return Job(source, STDIO, wanted)
        source = Path("stdin")
    if is_archive(source):
        chosen, stem, ending = wanted, source.stem, source.suffix
    else:
        chosen = wanted or _own_format(found.path)
        keeps_suffix = chosen == format_of_name(source)
        ending = source.suffix if keeps_suffix else chosen.suffixes[0]
        stem = source.stem if format_of_name(source) else source.name
    if folder is None:
        label = naming.suffix if naming.suffix is not None else naming.label
        return Job(found.path, source.parent / f"{stem}{label}{ending}", chosen)
    inner = Path() if found.path == STDIO or found.named else source.parent.relative_to(found.base)
    return Job(found.path, folder / inner / f"{stem}{naming.suffix or ''}{ending}", chosen)


def _named_job(found: InputFile, output: str, wanted: Format | None) -> Job:
    """The job of an output that is a file or stdout."""
    if is_archive(found.path):
        if output == "-":
            raise RefusedError("conflicting-options", "an archive", other="an output on stdout")
        if not is_archive(as_path(output)):
            raise RefusedError("archive-not-in-name", output, source=found.path)
        return Job(found.path, as_path(output), wanted)
    if output == "-":
        own = None if found.path == STDIO else _own_format(found.path)
        return Job(found.path, STDIO, wanted or own)
    target = as_path(output)
    by_name = format_of_name(target)
    if wanted is None and (by_name is None or not by_name.writable):
        raise RefusedError(
            "format-not-in-name", output, known=["." + name for name in writable_names()]
        )
    if wanted and by_name and wanted != by_name:
        raise RefusedError("format-contradicts-name", output, format=wanted.name)
    chosen = wanted or by_name
    assert chosen is not None
    return Job(found.path, target, chosen)


def _own_format(source: Path) -> Format:
    """The format of an input, by its name or its content; JPEG for HEIC."""
    found = format_of_name(source)
    if found is None and source != STDIO:
        try:
            with source.open("rb") as file:
                found = sniff_format(file.read(32))
        except OSError:
            found = None
    found = found or FORMATS["PNG"]
    return found if found.writable else FORMATS["JPEG"]


def _key(path: Path) -> str:
    """A key that is equal for paths of the same file on this system."""
    key = os.path.normcase(os.path.abspath(path))
    return key.casefold() if sys.platform == "darwin" else key
