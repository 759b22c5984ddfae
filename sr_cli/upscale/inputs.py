"""Which images the inputs of a request stand for."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sr_cli.errors import SrError
from sr_cli.imaging.formats import format_of_name

STDIO = Path("-")
"""Stands for stdin as an input and for stdout as an output."""

_RESULT = re.compile(r"(_x\d+(\.\d+)?|_w\d+|_h\d+|_w\d+h\d+|_max\d+)$")


@dataclass(frozen=True)
class InputFile:
    """An image, and the folder under which it was found (its own for a file that was named)."""

    path: Path
    base: Path
    named: bool


@dataclass(frozen=True)
class Inputs:
    """What the inputs stand for.

    Attributes:
        files: Images, each once.
        earlier_results: Named results of earlier runs whose originals are named too, as a shell's
            `*` does: they are skipped.
        problems: Names behind which there is nothing, and why.
    """

    files: list[InputFile]
    earlier_results: list[Path]
    problems: list[tuple[str, SrError]]


def find_inputs(
    names: Sequence[str], *, recursive: bool, output: Path | None, label: str
) -> Inputs:
    """The images behind files, folders and patterns.

    Results of earlier runs (`a_x4.jpg` beside `a.jpg`, the output folder) are no inputs.

    Args:
        names: Files, folders and patterns; `-` is stdin.
        recursive: Whether folders are searched with their sub-folders.
        output: The folder of the results, which is left out.
        label: What ends the names of this run's results.
    """
    found: list[InputFile] = []
    problems: list[tuple[str, SrError]] = []
    for name in names:
        try:
            found += _behind(name, recursive, output, label)
        except SrError as error:
            problems.append((name, error))
    once = {os.path.abspath(f.path) if f.path != STDIO else "-": f for f in reversed(found)}
    unique = list(once.values())[::-1]
    earlier = _named_results(unique, label)
    left_out = set(earlier)
    return Inputs([f for f in unique if f.path not in left_out], earlier, problems)


def _behind(name: str, recursive: bool, output: Path | None, label: str) -> list[InputFile]:
    path = as_path(name)
    if name == "-":
        return [InputFile(STDIO, STDIO, True)]
    if os.path.isdir(name):
        inside = list(_in_folder(path, recursive, output, label))
        if not inside:
            raise SrError("no-images-in-folder", name, hint=None if recursive else "recursive")
        return inside
    if glob.has_magic(name) and not os.path.exists(name):
        matches = [Path(m) for m in sorted(glob.glob(name, recursive=True))]
        files = [m for m in matches if m.is_file() and format_of_name(m)]
        if not files:
            raise SrError("no-images-match", name)
        return [InputFile(f, f.parent, True) for f in files]
    if not os.path.lexists(path):
        raise SrError("path-not-found", name)
    return [InputFile(path, path.parent, True)]


def as_path(name: str) -> Path:
    """A name as a path; `./-` stays a file, which no longer looks like a stream."""
    path = Path(name)
    return path.absolute() if path == STDIO else path


def _in_folder(
    folder: Path, recursive: bool, output: Path | None, label: str
) -> Iterator[InputFile]:
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
        yield InputFile(path, folder, False)


def _named_results(found: Sequence[InputFile], label: str) -> list[Path]:
    named: dict[Path, set[str]] = {}
    for f in found:
        if f.named and f.path != STDIO:
            named.setdefault(f.path.parent, set()).add(f.path.stem)
    return [
        f.path
        for f in found
        if f.named and f.path != STDIO and _is_a_result(f.path.stem, named[f.path.parent], label)
    ]


def _is_a_result(stem: str, names: set[str], label: str) -> bool:
    """Whether it is `photo_x4` beside `photo`, or has this run's label or a comparison's."""
    made = stem.removesuffix("_compare")
    original = _RESULT.sub("", made)
    if original == made and label:
        original = made.removesuffix(label)
    return original != made and original in names
