"""Which files become which: inputs found, outputs named, collisions refused."""

from __future__ import annotations

import glob
import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sr_cli.errors import RefusedError, SrError
from sr_cli.imaging.formats import (
    FORMATS,
    Format,
    format_by_option,
    format_of_name,
    sniff_format,
    writable_names,
)

STDIO = Path("-")


@dataclass(frozen=True)
class Job:
    """One picture: `source` to `target`; STDIO for either stands for the stream.

    `format` None keeps the format of what arrives on stdin.
    """

    source: Path
    target: Path
    format: Format | None

    @property
    def comparison(self) -> Path:
        """Where `--compare` puts its sheet."""
        return self.target.with_name(f"{self.target.stem}_compare{self.target.suffix}")


@dataclass(frozen=True)
class Found:
    """An input picture, and the folder under which it was found (its own for a named file)."""

    path: Path
    base: Path
    named: bool


@dataclass(frozen=True)
class Naming:
    """How outputs are named. `label` ends names beside their inputs, `_x4` for instance."""

    output: str | None
    label: str
    suffix: str | None = None
    format: str | None = None


@dataclass(frozen=True)
class Inputs:
    """What the command line stands for: pictures, each once.

    passed_over: named results of earlier runs whose originals are named too, as a shell's `*`
        does; problems: names behind which there is nothing, and why.
    """

    found: list[Found]
    passed_over: list[Path]
    problems: list[tuple[str, SrError]]


def find_inputs(
    inputs: Sequence[str], *, recursive: bool, output: Path | None, label: str
) -> Inputs:
    """The pictures behind files, folders and patterns.

    Results of earlier runs (`a_x4.jpg` beside `a.jpg`, the output folder) are no inputs.
    """
    found: list[Found] = []
    problems: list[tuple[str, SrError]] = []
    for name in inputs:
        path = _path(name)
        if name == "-":
            found.append(Found(STDIO, STDIO, True))
        elif os.path.isdir(name):
            inside = list(_in_folder(path, recursive, output, label))
            if not inside:
                hint = None if recursive else "-r looks into its sub-folders"
                problems.append((name, SrError(f"{name}: no pictures in this folder", hint)))
            found += inside
        elif glob.has_magic(name) and not os.path.exists(name):
            matches = [Path(m) for m in sorted(glob.glob(name, recursive=True))]
            files = [m for m in matches if m.is_file() and format_of_name(m)]
            if not files:
                problems.append((name, SrError(f"{name}: no pictures match")))
            found += [Found(f, f.parent, True) for f in files]
        elif not os.path.lexists(path):
            problems.append((name, SrError(f"{name}: no such file or folder")))
        else:
            found.append(Found(path, path.parent, True))
    once = {os.path.abspath(f.path) if f.path != STDIO else "-": f for f in reversed(found)}
    unique = list(once.values())[::-1]
    passed_over = _named_results(unique, label)
    left_out = set(passed_over)
    return Inputs([f for f in unique if f.path not in left_out], passed_over, problems)


def _named_results(found: Sequence[Found], label: str) -> list[Path]:
    named: dict[Path, set[str]] = {}
    for f in found:
        if f.named and f.path != STDIO:
            named.setdefault(f.path.parent, set()).add(f.path.stem)
    return [
        f.path
        for f in found
        if f.named and f.path != STDIO and _is_a_result(f.path.stem, named[f.path.parent], label)
    ]


def _path(name: str) -> Path:
    """A name as a path; `./-` stays a file, which no longer looks like a stream."""
    path = Path(name)
    return path.absolute() if path == STDIO else path


def _in_folder(folder: Path, recursive: bool, output: Path | None, label: str) -> Iterator[Found]:
    avoided = {os.path.realpath(output)} if output is not None else set()
    avoided.discard(os.path.realpath(folder))
    seen: set[str] = set()

    def walk(where: Path) -> Iterator[Path]:
        real = os.path.realpath(where)
        if real in seen or real in avoided:
            return
        seen.add(real)
        try:
            entries = sorted(where.iterdir())
        except OSError:
            return
        files = [
            e for e in entries if format_of_name(e) and not e.name.startswith(".") and e.is_file()
        ]
        names = {f.stem for f in files}
        yield from (f for f in files if not _is_a_result(f.stem, names, label))
        if recursive:
            for entry in entries:
                if entry.is_dir():
                    yield from walk(entry)

    for path in walk(folder):
        yield Found(path, folder, False)


def _is_a_result(stem: str, names: set[str], label: str) -> bool:
    """`photo_x4` beside `photo`, or with this run's label or a comparison's."""
    made = stem.removesuffix("_compare")
    original = re.sub(r"(_x\d+(\.\d+)?|_w\d+|_h\d+|_w\d+h\d+|_max\d+)$", "", made)
    if original == made and label:
        original = made.removesuffix(label)
    return original != made and original in names


def plan_jobs(
    found: Sequence[Found], naming: Naming, *, several: bool, compare: bool = False
) -> list[Job]:
    """A job for each input. `several`: the command line named a folder or more than one input.

    `compare`: each job also writes its comparison.

    Raises RefusedError for names that collide, an output that is also another input, an output
    folder that is a file, and formats that cannot be written.
    """
    wanted = _format_option(naming.format)
    folder = _output_folder(naming.output, several)
    jobs = [_job(f, naming, wanted, folder) for f in found]
    targets: dict[str, Job] = {}
    sources = {_key(f.path): f.path for f in found if f.path != STDIO}
    for job in jobs:
        if job.target == STDIO:
            continue
        for path in (job.target, job.comparison) if compare else (job.target,):
            key = _key(path)
            if key in targets:
                raise RefusedError(
                    f"{targets[key].source} and {job.source} would both become {path}",
                    "name them apart, or run them separately",
                )
            if key in sources and _key(job.source) != key:
                raise RefusedError(f"{path}: output of {job.source} and itself an input")
            targets[key] = job
    if sum(job.target == STDIO for job in jobs) and len(jobs) > 1:
        raise RefusedError("stdout takes one picture", "give an output folder with -o")
    return jobs


def _format_option(option: str | None) -> Format | None:
    if option is None:
        return None
    found = format_by_option(option)
    if found is None or not found.writable:
        raise RefusedError(
            f"format '{option}' cannot be written", f"formats: {', '.join(writable_names())}"
        )
    return found


def _output_folder(output: str | None, several: bool) -> Path | None:
    """The folder that -o names, or None where it names a file, a stream or nothing."""
    if output is None or output == "-":
        return None
    path = _path(output)
    slash = output.endswith(("/", os.sep))
    if not (several or slash or os.path.isdir(output)):
        return None
    if os.path.exists(output) and not os.path.isdir(output):
        raise RefusedError(f"{output}: is a file, but several results need a folder")
    return path


def _job(found: Found, naming: Naming, wanted: Format | None, folder: Path | None) -> Job:
    source = found.path
    if folder is None and naming.output is not None:
        if naming.output == "-":
            own = None if source == STDIO else _own_format(source)
            return Job(source, STDIO, wanted or own)
        target = _path(naming.output)
        by_name = format_of_name(target)
        if wanted is None and (by_name is None or not by_name.writable):
            raise RefusedError(
                f"{naming.output}: no format that can be written by that name",
                f"end it with {', '.join('.' + n for n in writable_names())}; a folder with /",
            )
        if wanted and by_name and wanted != by_name:
            raise RefusedError(f"{naming.output} and -f {naming.format} contradict each other")
        chosen = wanted or by_name
        assert chosen is not None
        return Job(source, target, chosen)
    if source == STDIO:
        if folder is None:
            return Job(source, STDIO, wanted)
        source = Path("stdin")
    own = _own_format(found.path)
    chosen = wanted or own
    keeps_suffix = chosen == format_of_name(source)
    ending = source.suffix if keeps_suffix else chosen.suffixes[0]
    stem = source.stem if format_of_name(source) else source.name
    if folder is None:
        label = naming.suffix if naming.suffix is not None else naming.label
        return Job(found.path, source.parent / f"{stem}{label}{ending}", chosen)
    inner = Path() if found.path == STDIO or found.named else source.parent.relative_to(found.base)
    return Job(found.path, folder / inner / f"{stem}{naming.suffix or ''}{ending}", chosen)


def _own_format(source: Path) -> Format:
    """The format that a result keeps: the name's, else the content's; JPEG for HEIC."""
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
    """Equal for paths that are one file on this system."""
    key = os.path.normcase(os.path.abspath(path))
    return key.casefold() if sys.platform == "darwin" else key
