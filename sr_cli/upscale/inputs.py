"""The images that the inputs of a request refer to."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sr_cli.errors import SrError
from sr_cli.imaging.formats import format_of_name
from sr_cli.video.containers import container_of_name

STDIO = Path("-")
"""Stdin as an input, stdout as an output."""

_RESULT = re.compile(r"(_x\d+(\.\d+)?|_w\d+|_h\d+|_w\d+h\d+|_max\d+)$")


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
        earlier_results: Results of earlier runs that were named together with their originals, as
            the shell's `*` does; they are skipped.
        problems: Inputs that were not found, with the error.
    """

    files: list[InputFile]
    earlier_results: list[Path]
    problems: list[tuple[str, SrError]]


def find_inputs(
    names: Sequence[str], *, recursive: bool, output: Path | None, label: str
) -> Inputs:
    """Find the images that files, folders and patterns refer to.

    Results of earlier runs (`a_x4.jpg` next to `a.jpg`, the output folder) are not inputs.

    Args:
        names: Files, folders and patterns; `-` is stdin.
        recursive: Whether to search the subfolders of folders.
        output: The output folder, which is not searched.
        label: The ending of the names of this run's results, such as `_x4`.
    """
    found: list[InputFile] = []
    problems: list[tuple[str, SrError]] = []
    for name in names:
        try:
            found += _images_of(name, recursive, output, label)
        except SrError as error:
            problems.append((name, error))
    once = {os.path.abspath(f.path) if f.path != STDIO else "-": f for f in reversed(found)}
    unique = list(once.values())[::-1]
    earlier = _named_results(unique, label)
    left_out = set(earlier)
    return Inputs([f for f in unique if f.path not in left_out], earlier, problems)


def _images_of(name: str, recursive: bool, output: Path | None, label: str) -> list[InputFile]:
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
        files = [m for m in matches if m.is_file() and is_known(m)]
        if not files:
            raise SrError("no-images-match", name)
        return [InputFile(f, f.parent, True) for f in files]
    if not os.path.lexists(path):
        raise SrError("path-not-found", name)
    return [InputFile(path, path.parent, True)]


def is_known(path: Path) -> bool:
    """Whether a name is that of an image or a clip."""
    return bool(format_of_name(path) or container_of_name(path))


def as_path(name: str) -> Path:
    """Convert a name to a path; `./-` becomes absolute, so that it does not look like stdin."""
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
        files = [e for e in entries if is_known(e) and not e.name.startswith(".") and e.is_file()]
        names = {f.stem for f in files}
        yield from (f for f in files if not _is_result(f.stem, names, label))
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
        if f.named and f.path != STDIO and _is_result(f.path.stem, named[f.path.parent], label)
    ]


def _is_result(stem: str, names: set[str], label: str) -> bool:
    """Whether a stem is a result of another: `photo_x4` next to `photo`, or with this label."""
    made = stem.removesuffix("_compare")
    original = _RESULT.sub("", made)
    if original == made and label:
        original = made.removesuffix(label)
    return original != made and original in names
