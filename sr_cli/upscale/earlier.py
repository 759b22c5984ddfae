"""Results of earlier runs among the inputs, which are not upscaled again."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from sr_cli.engine.size import Size
from sr_cli.imaging.decode import read_provenance, read_size
from sr_cli.upscale.archive import representative
from sr_cli.video.containers import container_of_name

_RESULT = re.compile(r"_(?:x(\d+(?:\.\d+)?)|(?=[wh][1-9])(?:w([1-9]\d*))?(?:h([1-9]\d*))?)$")
"""The ending of the name of a result: its factor, or its width and height."""

_COMPARE = "_compare"

LABEL_ROOM = 28
"""The height of the labels above the two images of a comparison, in pixels."""


def is_result(path: Path) -> bool:
    """Whether a file says that it was made by this tool."""
    return container_of_name(path) is None and read_provenance(representative(path)) is not None


Others = Mapping[str, Sequence[Path]]
"""The files of a folder by their names without suffixes."""


def is_named_as_result(path: Path, others: Others, label: str) -> bool:
    """Whether a file has the name of a result of one of the others: `a_x4.jpg` beside `a.jpg`."""
    return any(True for _ in _originals(path, others, label))


def is_sized_as_result(path: Path, others: Others, label: str, size: Size) -> bool:
    """Whether a file has the name and exactly the size of a result of one of the others.

    This tells results that cannot say what made them: BMP, clips, and files without metadata.

    Args:
        path: The file.
        others: Images in the same folder.
        label: The ending of the names of this run's results.
        size: The size of this run's results.
    """
    found = _size_of(path)
    for original, wanted in _originals(path, others, label):
        before = _size_of(original)
        if found is None or before is None:
            continue
        for expected in (wanted, size if path.stem.endswith((label, label + _COMPARE)) else None):
            if expected is not None:
                width, height = expected.of(*before)
                is_comparison = path.stem.endswith(_COMPARE)
                made = (2 * width, height + LABEL_ROOM) if is_comparison else (width, height)
                # The sides of most clips are made even.
                odd = 2 if container_of_name(path) else 1
                sides = zip(found, made, strict=True)
                if all(side in (exact, exact + exact % odd) for side, exact in sides):
                    return True
    return False


def _size_of(path: Path) -> tuple[int, int] | None:
    if container_of_name(path) is None:
        return read_size(representative(path))
    from sr_cli.video.probe import read_clip_size

    return read_clip_size(path)


def _originals(path: Path, others: Others, label: str) -> Iterator[tuple[Path, Size | None]]:
    """The images whose result a file is by its name, with the size that the name tells, if any."""
    stem = path.stem.removesuffix(_COMPARE)
    by_name: dict[str, Size | None] = {}
    if label and stem.endswith(label):
        by_name[stem.removesuffix(label)] = None
    if match := _RESULT.search(stem):
        factor, width, height = match.groups()
        bounds = (int(n) if n else None for n in (width, height))
        by_name[stem[: match.start()]] = Size(float(factor)) if factor else Size(None, *bounds)
    for name, size in by_name.items():
        for other in others.get(name, ()):
            if (container_of_name(other) is None) == (container_of_name(path) is None):
                yield other, size
