"""Training pictures: found, decoded once, kept as uint8 in memory or in a mapped file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from sr_cli.errors import RefusedError, SrError
from sr_cli.imaging.decode import read_picture
from sr_cli.imaging.formats import format_of_name
from sr_cli.imaging.names import pair_by_name
from sr_cli.imaging.picture import Picture, flatten
from sr_cli.imaging.resize import crop_to_multiple

T = TypeVar("T")

Pixels = NDArray[np.uint8]

_DECODERS = 2


@dataclass(frozen=True)
class Pair:
    """One picture: hr (h, w, 3) uint8; `lr` (h/scale, w/scale, 3) where it came as a file."""

    name: str
    hr: Pixels
    lr: Pixels | None = None


@dataclass
class Pictures:
    """What was found: pairs, and how many files were passed over and why."""

    pairs: list[Pair] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    too_small: int = 0


@dataclass(frozen=True)
class Source:
    """A file with hr, and the one with its lr where the folders are in pairs."""

    hr: Path
    lr: Path | None = None


def find_sources(places: Sequence[Path], *, scale: int | None) -> list[Source]:
    """Files under folders, files, and pairs where a folder holds `hr` and `lr` folders.

    `scale` is the one for which pairs are meant; None where several are trained.
    Raises SrError for a place that is missing and for pairs without partners.
    """
    found: list[Source] = []
    for place in places:
        inside = place.iterdir() if is_dir(place) else ()
        folders = {p.name.lower(): p for p in inside if p.is_dir()}
        if place.is_file():
            found.append(Source(place))
        elif {"hr", "lr"} <= set(folders):
            if scale is None:
                raise SrError(f"{place}: pairs of hr and lr serve one scale", "give one -x")
            pairs = pair_by_name(_files(folders["hr"]), _files(folders["lr"]), scale)
            found += [Source(hr, lr) for hr, lr in pairs]
        elif folders or is_dir(place):
            found += [Source(p) for p in _files(place)]
        else:
            raise RefusedError(f"{place}: no such folder or file")
    once = {s.hr.resolve(): s for s in reversed(found)}
    return list(once.values())[::-1]


def is_dir(path: Path) -> bool:
    """Whether it is a folder; names that the system refuses are none."""
    with suppress(OSError):
        return path.is_dir()
    return False


def _files(folder: Path) -> list[Path]:
    return sorted(
        p
        for p in folder.rglob("*")
        if format_of_name(p) and not p.name.startswith(".") and p.is_file()
    )


def read_pictures(
    sources: Sequence[Source],
    *,
    scales: Sequence[int],
    smallest: int,
    memory: int,
    mapped: Path,
    on_file: Callable[[int, int], None] | None = None,
) -> Pictures:
    """Decode all; hr is cropped to a multiple of every scale.

    smallest: least side of hr in pixels. memory: bytes after which pixels go to the file
    `mapped`, which is read through a memory map. Raises SrError for pairs of unequal size.
    """
    multiple = int(np.lcm.reduce(np.array(scales)))
    kept = Pictures()
    spill: _Spill | None = None
    used = 0
    with ThreadPoolExecutor(_DECODERS) as pool:
        decoded = pool.map(lambda s: _decode(s, multiple, scales), sources)
        for count, (source, found) in enumerate(zip(sources, decoded, strict=True), 1):
            if on_file is not None:
                on_file(count, len(sources))
            if isinstance(found, str):
                kept.unreadable.append(f"{source.hr}: {found}")
                continue
            if min(found.hr.shape[:2]) < smallest:
                kept.too_small += 1
                continue
            used += found.hr.nbytes + (0 if found.lr is None else found.lr.nbytes)
            if used > memory and spill is None:
                spill = _Spill(mapped)
            kept.pairs.append(found if spill is None else spill.put(found))
    if spill is not None:
        kept.pairs = spill.mapped(kept.pairs)
    return kept


def _decode(source: Source, multiple: int, scales: Sequence[int]) -> Pair | str:
    """The pair, or in words why it cannot be read."""
    try:
        hr = rgb(read_picture(source.hr))
        lr = None if source.lr is None else rgb(read_picture(source.lr))
    except SrError as error:
        return error.message
    if lr is not None:
        scale = scales[0]
        h, w = lr.shape[:2]
        if hr.shape[0] // scale != h or hr.shape[1] // scale != w:
            raise SrError(
                f"{source.lr}: {w}x{h} is not a {scale}th of {source.hr.name} "
                f"({hr.shape[1]}x{hr.shape[0]})"
            )
        return Pair(source.hr.name, np.ascontiguousarray(hr[: h * scale, : w * scale]), lr)
    return Pair(source.hr.name, np.ascontiguousarray(crop_to_multiple(hr, multiple)))


def rgb(picture: Picture) -> Pixels:
    """The first frame as (h, w, 3) uint8; gray as three equal channels, alpha over white."""
    pixels = flatten(picture).frames[0].pixels
    return pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)


class _Spill:
    """Pixels written one after the other into a file, then mapped."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("wb")
        self._places: dict[str, list[tuple[int, tuple[int, ...]] | None]] = {}

    def put(self, pair: Pair) -> Pair:
        """Write a pair's pixels; what comes back only holds its place."""
        places = [self._write(pair.hr), None if pair.lr is None else self._write(pair.lr)]
        key = f"{len(self._places)}:{pair.name}"
        self._places[key] = places
        empty = np.empty((0, 0, 3), np.uint8)
        return Pair(key, empty)

    def _write(self, pixels: Pixels) -> tuple[int, tuple[int, ...]]:
        offset = self._file.tell()
        self._file.write(np.ascontiguousarray(pixels).data)
        return offset, pixels.shape

    def mapped(self, pairs: list[Pair]) -> list[Pair]:
        """The pairs with their pixels in the mapped file; those in memory as they are."""
        self._file.close()
        whole: Any = np.memmap(self.path, np.uint8, "r")

        def view(place: tuple[int, tuple[int, ...]] | None) -> Any:
            if place is None:
                return None
            offset, shape = place
            return whole[offset : offset + int(np.prod(shape))].reshape(shape)

        done = []
        for pair in pairs:
            places = self._places.get(pair.name)
            if places is None:
                done.append(pair)
            else:
                name = pair.name.split(":", 1)[1]
                done.append(Pair(name, view(places[0]), view(places[1])))
        return done


def split(pairs: Sequence[T], share: float) -> tuple[list[T], list[T]]:
    """Training pairs (or their files) and held-back ones: every n-th, at least one and not all."""
    count = min(len(pairs) - 1, max(1, round(len(pairs) * share)))
    if count < 1:
        return list(pairs), []
    places = {round((i + 0.5) * len(pairs) / count - 0.5) for i in range(count)}
    held_back = [p for i, p in enumerate(pairs) if i in places]
    return [p for i, p in enumerate(pairs) if i not in places], held_back
