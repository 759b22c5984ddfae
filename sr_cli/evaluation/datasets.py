"""Test sets: by name, downloaded once and verified; folders; pairs of hr and lr folders."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from sr_cli.errors import RefusedError, SrError
from sr_cli.imaging.formats import format_of_name
from sr_cli.imaging.names import pair_by_name
from sr_cli.store import store
from sr_cli.store.remote import Remote
from sr_cli.system.files import sha256_of

OnFile = Callable[[str, int, int], None]
"""Called with the name of a set, the files that are ready and the total."""

_ALIASES = {"b100": "BSD100", "bsds100": "BSD100", "urban": "Urban100"}
_PARALLEL = 4


@dataclass(frozen=True)
class TestImage:
    """An original, and its lr if it has its own file."""

    __test__ = False

    name: str
    hr: Path
    lr: Path | None = None


@dataclass(frozen=True)
class TestSet:
    """A named set of images; `known` if it has published figures."""

    __test__ = False

    name: str
    images: tuple[TestImage, ...]
    known: bool = False


@lru_cache
def _known_sets() -> dict[str, list[tuple[str, Remote]]]:
    text = (Path(__file__).parent / "data" / "datasets.json").read_text(encoding="utf-8")
    return {
        name: [
            (file, Remote(url, f"datasets/{name}/{file}", size, digest, local_option="--data-dir"))
            for file, url, size, digest in entry["images"]
        ]
        for name, entry in json.loads(text).items()
    }


def set_names() -> list[str]:
    """The names of the known sets."""
    return list(_known_sets())


def canonical_name(name: str) -> str | None:
    """The canonical name of `set5` or `B100`; None for other names."""
    spelled = {n.lower(): n for n in _known_sets()} | _ALIASES
    return spelled.get(name.lower())


def open_set(name: str, *, data_dir: Path | None = None, on_file: OnFile | None = None) -> TestSet:
    """The set called `name`, or the images in the folder of that name.

    Args:
        name: A set, downloaded once and verified, or a folder.
        data_dir: A local folder with the files of the sets, or with folders named like them.
        on_file: Called for each file that is ready.

    Raises:
        RefusedError: `unknown-test-set`, `no-images-in-folder`; for a local copy
            `folder-not-found`, `set-not-found`, `set-incomplete`, `set-modified`.
        SrError: What downloading raises.
    """
    known = canonical_name(name)
    if known is not None:
        return _named_set(known, data_dir, on_file)
    folder = Path(os.path.abspath(name))
    if folder.is_dir():
        files = images_in(Path(name))
        stems = Counter(p.stem for p in files)
        images = tuple(TestImage(p.stem if stems[p.stem] == 1 else p.name, p) for p in files)
        if _is_full_copy(folder, len(images)):
            return TestSet(canonical_name(folder.name) or folder.name, images, known=True)
        return TestSet(folder.name or str(folder), images)
    raise RefusedError("unknown-test-set", name, known=set_names())


def open_pairs(hr: Path, lr: Path, scale: int) -> TestSet:
    """Originals and their lr from two folders, paired by name.

    Raises:
        RefusedError: `folder-not-found`, `no-images-in-folder`, and what pairing raises.
    """
    for folder in (hr, lr):
        if not folder.is_dir():
            raise RefusedError("folder-not-found", folder)
    try:
        pairs = pair_by_name(images_in(hr), images_in(lr), scale)
    except SrError as error:
        raise RefusedError(error.code, error.subject, hint=error.hint, **error.facts) from error
    return TestSet(hr.name, tuple(TestImage(h.stem, h, low) for h, low in pairs))


def images_in(folder: Path) -> list[Path]:
    """The image files of a folder, by name.

    Raises:
        RefusedError: `no-images-in-folder`.
    """
    found = sorted(
        p
        for p in folder.iterdir()
        if format_of_name(p) and not p.name.startswith(".") and p.is_file()
    )
    if not found:
        raise RefusedError("no-images-in-folder", folder)
    return found


def _named_set(name: str, data_dir: Path | None, on_file: OnFile | None) -> TestSet:
    files = _known_sets()[name]
    if data_dir is not None:
        return TestSet(name, _verified_files(name, files, data_dir), known=True)
    paths: list[Path] = []
    with ThreadPoolExecutor(_PARALLEL) as pool:
        for path in pool.map(store.get, (remote for _, remote in files)):
            paths.append(path)
            if on_file is not None:
                on_file(name, len(paths), len(files))
    return TestSet(name, tuple(TestImage(p.stem, p) for p in paths), known=True)


def _is_full_copy(folder: Path, count: int) -> bool:
    """Whether a folder with the name of a set is that set, file by file."""
    name = canonical_name(folder.name)
    if name is None or len(_known_sets()[name]) != count:
        return False
    try:
        return len(_verified_files(name, _known_sets()[name], folder)) == count
    except SrError:
        return False


def _verified_files(
    name: str, files: list[tuple[str, Remote]], data_dir: Path
) -> tuple[TestImage, ...]:
    """The verified files of a set in a local folder."""
    if not data_dir.is_dir():
        raise RefusedError("folder-not-found", data_dir)
    places = [data_dir, data_dir / name, *(data_dir / a for a, n in _ALIASES.items() if n == name)]
    folder = next((p for p in places if (p / files[0][0]).is_file()), None)
    if folder is None:
        raise RefusedError("set-not-found", data_dir, test_set=name, example=files[0][0])
    images = []
    for file, remote in files:
        path = folder / file
        if not path.is_file():
            raise RefusedError("set-incomplete", path, test_set=name)
        if sha256_of(path) != remote.sha256:
            raise RefusedError("set-modified", path, test_set=name)
        images.append(TestImage(path.stem, path))
    return tuple(images)
