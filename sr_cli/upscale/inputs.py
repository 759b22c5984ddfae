"""The images that the inputs of a request refer to."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sr_cli.engine.size import Size
from sr_cli.errors import SrError
from sr_cli.imaging.formats import format_of_name, is_other_image
from sr_cli.upscale.archive import is_archive, is_unsupported_archive
from sr_cli.upscale.earlier import Others, is_named_as_result, is_result, is_sized_as_result
from sr_cli.upscale.request import LeftOut
from sr_cli.video.containers import is_clip

STDIO = Path("-")
"""Stdin as an input, stdout as an output."""


@dataclass(frozen=True)
class InputFile:
    """An image file to upscale.

    Attributes:
        path: The file.
        base: The folder that was searched, or the folder of a file that was named.
        named: Whether the file itself was named, or matched by a pattern.
    """

    path: Path
    base: Path
    named: bool


@dataclass(frozen=True)
class Inputs:
    """The images that the inputs refer to.

    Attributes:
        files: Images, without duplicates.
        earlier_results: Results of earlier runs, in folders or named together with their originals
            as the shell's `*` does; they are skipped.
        problems: Inputs that were not found or cannot be searched, with the error.
        left_out: What else folders and patterns hold.
    """

    files: list[InputFile]
    earlier_results: list[Path]
    problems: list[tuple[str, SrError]]
    left_out: LeftOut


@dataclass(frozen=True)
class Search:
    """How inputs are searched.

    Attributes:
        recursive: Whether to search the subfolders of folders.
        output: The output folder, which is not searched; None for results next to their inputs.
        label: The ending of the names of this run's results, such as `_x4`.
        size: The size of this run's results.
    """

    recursive: bool
    output: Path | None
    label: str
    size: Size

    def writes_into(self, base: Path) -> bool:
        """Whether results are written into a folder that was searched.

        Elsewhere, a result of an earlier run is an input like any other.
        """
        return self.output is None or _same(self.output, base)


@dataclass
class _Passed:
    """What was passed on the way."""

    unsupported: Counter[str] = field(default_factory=Counter)
    hidden: int = 0
    other: int = 0

    def add(self, path: Path) -> None:
        """Count a file that is not an input."""
        if path.name.startswith("."):
            self.hidden += 1
        elif path.is_file() and (is_unsupported_archive(path) or is_other_image(path)):
            self.unsupported[path.suffix.lower()] += 1
        else:
            self.other += 1


def find_inputs(names: Sequence[str], search: Search) -> Inputs:
    """Find the images that files, folders and patterns refer to.

    Where results are written next to their inputs, those of earlier runs are not inputs. In a
    folder, these are the files that say that they are; and those that have both the name and the
    size of a result of an image beside them, because not every result can say it. A file that was
    named is skipped only if the image that it is the result of was named as well.

    Args:
        names: Files, folders and patterns; `-` is stdin.
        search: How to search.
    """
    found: list[InputFile] = []
    problems: list[tuple[str, SrError]] = []
    passed = _Passed()
    for name in names:
        try:
            found += _images_of(name, search, passed, problems)
        except SrError as error:
            problems.append((name, error))
    once = {os.path.abspath(f.path) if f.path != STDIO else "-": f for f in reversed(found)}
    unique = list(once.values())[::-1]
    earlier = _earlier_results(unique, search)
    known = set(earlier)
    files = [f for f in unique if f.path not in known]
    left_out = LeftOut(len(earlier), dict(passed.unsupported), passed.hidden, passed.other)
    return Inputs(files, earlier, problems, left_out)


def _images_of(
    name: str, search: Search, passed: _Passed, problems: list[tuple[str, SrError]]
) -> list[InputFile]:
    path = as_path(name)
    if name == "-":
        return [InputFile(STDIO, STDIO, True)]
    if os.path.isdir(name):
        failed = len(problems)
        inside = [InputFile(p, path, False) for p in _in_folder(path, search, passed, problems)]
        if not inside and len(problems) == failed:
            hint = None if search.recursive else "recursive"
            raise SrError("no-images-in-folder", name, hint=hint)
        return inside
    if glob.has_magic(name) and not os.path.exists(name):
        matches = [m for m in map(Path, sorted(glob.glob(name, recursive=True))) if not m.is_dir()]
        files = [m for m in matches if m.is_file() and _is_input(m)]
        for match in set(matches) - set(files):
            passed.add(match)
        if not files:
            raise SrError("no-images-match", name)
        return [InputFile(f, f.parent, True) for f in files]
    if not os.path.lexists(path):
        raise SrError("path-not-found", name)
    if is_unsupported_archive(path):
        raise SrError("unsupported-archive", name)
    if os.path.exists(path) and not os.path.isfile(path):
        # A pipe would be read twice, or for ever.
        raise SrError("not-a-regular-file", name, hint="input")
    return [InputFile(path, path.parent, True)]


def _is_input(path: Path) -> bool:
    return bool(format_of_name(path)) or is_clip(path) or is_archive(path)


def as_path(name: str) -> Path:
    """Convert a name to a path; `./-` becomes absolute, so that it does not look like stdin."""
    path = Path(name)
    return path.absolute() if path == STDIO else path


def _in_folder(
    folder: Path, search: Search, passed: _Passed, problems: list[tuple[str, SrError]]
) -> Iterator[Path]:
    avoided = set() if search.output is None else {os.path.realpath(search.output)}
    avoided.discard(os.path.realpath(folder))
    seen: set[str] = set()

    def walk(where: Path) -> Iterator[Path]:
        real = os.path.realpath(where)
        if real in seen or real in avoided:
            return
        seen.add(real)
        try:
            entries = sorted(os.scandir(where), key=lambda entry: entry.name)
        except OSError as error:
            reason = error.strerror or str(error)
            problems.append((str(where), SrError("unreadable-file", where, reason=reason)))
            return
        for entry in entries:
            path = where / entry.name
            if _is_folder(entry):
                continue
            if _is_input(path) and not entry.name.startswith(".") and path.is_file():
                yield path
            else:
                passed.add(path)
        for entry in entries if search.recursive else ():
            if _is_folder(entry):
                yield from walk(where / entry.name)

    yield from walk(folder)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """As `Path.is_dir`, mostly without a call of the system."""
    try:
        return entry.is_dir()
    except OSError:
        # A link to itself.
        return False


def _earlier_results(found: Sequence[InputFile], search: Search) -> list[Path]:
    beside: dict[tuple[Path, bool], dict[str, list[Path]]] = {}
    bases = {f.base for f in found if f.path != STDIO}
    written = {base for base in bases if search.writes_into(base)}
    files = [f for f in found if f.base in written and f.path != STDIO]
    for f in files:
        others = beside.setdefault((f.path.parent, f.named), {})
        others.setdefault(f.path.stem, []).append(f.path)
    return [f.path for f in files if _is_earlier(f, beside[f.path.parent, f.named], search)]


def _is_earlier(file: InputFile, others: Others, search: Search) -> bool:
    named_so = is_named_as_result(file.path, others, search.label)
    if (named_so or not file.named) and is_result(file.path):
        return True
    return named_so and is_sized_as_result(file.path, others, search.label, search.size)


def _same(a: Path, b: Path) -> bool:
    return os.path.realpath(a) == os.path.realpath(b)
