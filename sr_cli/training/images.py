"""Training images, decoded once and kept as uint8 in memory or in a mapped file."""

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
from sr_cli.imaging.conversion import opaque_8_bit
from sr_cli.imaging.decode import read_picture
from sr_cli.imaging.formats import format_of_name
from sr_cli.imaging.names import pair_by_name
from sr_cli.imaging.picture import Picture
from sr_cli.imaging.resize import crop_to_multiple

T = TypeVar("T")

Pixels = NDArray[np.uint8]

_DECODERS = 2


@dataclass(frozen=True)
class Pair:
    """An image: hr (h, w, 3) uint8, and lr (h/scale, w/scale, 3) if it has its own file."""

    name: str
    hr: Pixels
    lr: Pixels | None = None


@dataclass
class Images:
    """The images that were read, the errors of unreadable ones, and the number of small ones."""

    pairs: list[Pair] = field(default_factory=list)
    unreadable: list[SrError] = field(default_factory=list)
    too_small: int = 0


@dataclass(frozen=True)
class Source:
    """The file of an image, and of its lr if the folder holds pairs."""

    hr: Path
    lr: Path | None = None


def find_sources(places: Sequence[Path], *, scale: int | None) -> list[Source]:
    """Find images in folders and files, and pairs in folders that contain `hr` and `lr`.

    Args:
        places: Folders and files.
        scale: Of pairs; None if several scales are trained.

    Raises:
        RefusedError: `path-not-found`.
        SrError: `pairs-need-one-scale`, and as `pair_by_name`.
    """
    found: list[Source] = []
    for place in places:
        inside = place.iterdir() if is_dir(place) else ()
        folders = {p.name.lower(): p for p in inside if p.is_dir()}
        if place.is_file():
            found.append(Source(place))
        elif {"hr", "lr"} <= set(folders):
            if scale is None:
                raise SrError("pairs-need-one-scale", place)
            pairs = pair_by_name(_files(folders["hr"]), _files(folders["lr"]), scale)
            found += [Source(hr, lr) for hr, lr in pairs]
        elif folders or is_dir(place):
            found += [Source(p) for p in _files(place)]
        else:
            raise RefusedError("path-not-found", place)
    once = {s.hr.resolve(): s for s in reversed(found)}
    return list(once.values())[::-1]


def is_dir(path: Path) -> bool:
    """Whether a path is a folder; False for names that the system rejects."""
    with suppress(OSError):
        return path.is_dir()
    return False


def _files(folder: Path) -> list[Path]:
    return sorted(
        p
        for p in folder.rglob("*")
        if format_of_name(p) and not p.name.startswith(".") and p.is_file()
    )


def read_images(
    sources: Sequence[Source],
    *,
    scales: Sequence[int],
    smallest: int,
    memory: int,
    mapped: Path,
    on_file: Callable[[int, int], None] | None = None,
) -> Images:
    """Decode all images, with hr cropped to a multiple of every scale.

    Args:
        sources: The files.
        scales: The scales that are trained.
        smallest: The smallest side of hr to use, in pixels.
        memory: Bytes of pixels to keep in memory; the rest goes to a memory-mapped file.
        mapped: The path of that file.
        on_file: Called with the files decoded so far and the total.

    Raises:
        SrError: `pair-size-mismatch`.
    """
    multiple = int(np.lcm.reduce(np.array(scales)))
    images = Images()
    file: PixelFile | None = None
    stored: list[StoredPair] = []
    used = 0
    with ThreadPoolExecutor(_DECODERS) as pool:
        decoded = pool.map(lambda s: _decode(s, multiple, scales), sources)
        for count, (source, found) in enumerate(zip(sources, decoded, strict=True), 1):
            if on_file is not None:
                on_file(count, len(sources))
            if isinstance(found, SrError):
                images.unreadable.append(found.about(source.hr))
                continue
            if min(found.hr.shape[:2]) < smallest:
                images.too_small += 1
                continue
            used += found.hr.nbytes + (0 if found.lr is None else found.lr.nbytes)
            if used > memory and file is None:
                file = PixelFile(mapped)
            if file is None:
                images.pairs.append(found)
            else:
                stored.append(file.put(found))
    if file is not None:
        file.close()
        images.pairs += mapped_pairs(mapped, stored)
    return images


def _decode(source: Source, multiple: int, scales: Sequence[int]) -> Pair | SrError:
    """Decode a pair; an error that only affects this image is returned."""
    try:
        hr = rgb(read_picture(source.hr, as_shown=True))
        lr = None if source.lr is None else rgb(read_picture(source.lr, as_shown=True))
    except SrError as error:
        return error.about(source.hr)
    if lr is not None:
        scale = scales[0]
        h, w = lr.shape[:2]
        if hr.shape[0] // scale != h or hr.shape[1] // scale != w:
            raise SrError(
                "pair-size-mismatch",
                source.lr or "",
                size=f"{w}x{h}",
                hr=source.hr.name,
                hr_size=f"{hr.shape[1]}x{hr.shape[0]}",
                scale=scale,
            )
        return Pair(source.hr.name, np.ascontiguousarray(hr[: h * scale, : w * scale]), lr)
    return Pair(source.hr.name, np.ascontiguousarray(crop_to_multiple(hr, multiple)))


def rgb(picture: Picture) -> Pixels:
    """Convert the first frame to (h, w, 3) uint8, composited over white."""
    pixels = opaque_8_bit(picture.frames[0])
    return pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)


@dataclass(frozen=True)
class StoredPair:
    """A pair in a PixelFile: the offsets and shapes of its pixels."""

    name: str
    hr: tuple[int, tuple[int, ...]]
    lr: tuple[int, tuple[int, ...]] | None


class PixelFile:
    """Writes the pixels of pairs to a file, which `mapped_pairs` reads."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("wb")

    def put(self, pair: Pair) -> StoredPair:
        """Write a pair's pixels."""
        lr = None if pair.lr is None else self._write(pair.lr)
        return StoredPair(pair.name, self._write(pair.hr), lr)

    def _write(self, pixels: Pixels) -> tuple[int, tuple[int, ...]]:
        offset = self._file.tell()
        self._file.write(np.ascontiguousarray(pixels).data)
        return offset, pixels.shape

    def close(self) -> None:
        """Finish the file."""
        self._file.close()


def mapped_pairs(path: Path, stored: Sequence[StoredPair]) -> list[Pair]:
    """Read pairs from a PixelFile through a memory map."""
    whole: Any = np.memmap(path, np.uint8, "r")

    def view(place: tuple[int, tuple[int, ...]]) -> Any:
        offset, shape = place
        return whole[offset : offset + int(np.prod(shape))].reshape(shape)

    return [Pair(p.name, view(p.hr), None if p.lr is None else view(p.lr)) for p in stored]


def hold_back(pairs: Sequence[T], share: float) -> tuple[list[T], list[T]]:
    """Split into training and held-back items, evenly spaced.

    Args:
        pairs: Pairs or files.
        share: To hold back, 0 to 1; at least one item and not all.

    Returns:
        Training items and held-back items; the latter are empty for a single item.
    """
    count = min(len(pairs) - 1, max(1, round(len(pairs) * share)))
    if count < 1:
        return list(pairs), []
    places = {round((i + 0.5) * len(pairs) / count - 0.5) for i in range(count)}
    held_back = [p for i, p in enumerate(pairs) if i in places]
    return [p for i, p in enumerate(pairs) if i not in places], held_back
