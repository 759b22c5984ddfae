"""The images and parts of images that no worker has."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sr_cli.errors import Note
from sr_cli.imaging.decode import read_size
from sr_cli.upscale.cluster.bands import Band, Rows
from sr_cli.upscale.outputs import Job
from sr_cli.upscale.remote import address_of, fetched


@dataclass
class Split:
    """A large image that is computed in bands.

    Attributes:
        count: The number of bands.
        folder: Where they are written, next to the result.
        rows: The bands that are done, by index.
        ended: Whether all are done, or the image failed, or is computed as a whole.
    """

    count: int
    folder: Path
    rows: dict[int, Rows] = field(default_factory=dict)
    ended: bool = False

    def joined(self) -> tuple[Rows, ...] | None:
        """All bands from top to bottom; None if some are missing or do not fit together.

        They do not if the workers chose tiles of other sizes, for lack of memory.
        """
        if len(self.rows) < self.count:
            return None
        bands = tuple(self.rows[i] for i in range(self.count))
        edges = [0, *(rows.stop for rows in bands)]
        fits = [rows.start for rows in bands] == edges[:-1] and edges[-1] == bands[-1].height
        return bands if fits else None


@dataclass
class Item:
    """An image, or a band of one, that is not done.

    Attributes:
        job: As planned.
        kills: Workers that were lost while they computed it.
        again: Whether it was at a worker before.
        split: What it is a part of, or the bands that it joins.
        band: Which part it is; None for an image.
        joins: The bands that only have to be joined.
        notes: For the result.
    """

    job: Job
    kills: int = 0
    again: bool = False
    split: Split | None = None
    band: Band | None = None
    joins: tuple[Rows, ...] = ()
    notes: tuple[Note, ...] = ()

    @property
    def is_alone(self) -> bool:
        """Whether it is not sent together with others.

        If a worker was lost with several images, each of them is tried by itself.
        """
        return self.again or self.split is not None or self.job.is_archive


class Waiting:
    """A queue; what was begun comes first, so that few images are begun at a time.

    Args:
        jobs: The images.
        split_pixels: Images with more input pixels are divided into bands of about as many; None
            for no image.
        run: The token of the run, for the names of folders.
    """

    def __init__(self, jobs: Sequence[Job], split_pixels: int | None, run: str) -> None:
        self._jobs = jobs
        self._split_pixels = split_pixels
        self._run = run
        self._next = 0
        self._begun: deque[Item] = deque()

    def __len__(self) -> int:
        return len(self._begun) + len(self._jobs) - self._next

    def pop(self, most: int) -> tuple[Item, ...]:
        """The next items, to be sent together.

        Args:
            most: How many at most; at least one.
        """
        items = [self._pop()]
        while len(items) < most and self and not items[-1].is_alone:
            item = self._pop()
            if item.is_alone:
                self.add(item)
                break
            items.append(item)
        return tuple(items)

    def _pop(self) -> Item:
        if not self._begun:
            self._next += 1
            self._begun.extend(self._items_of(self._jobs[self._next - 1]))
        return self._begun.popleft()

    def give_back(self, items: Sequence[Item]) -> None:
        """Items whose worker was lost."""
        for item in items:
            item.again = True
            self._begun.append(item)

    def add(self, item: Item) -> None:
        """An item that became possible, before all others."""
        self._begun.appendleft(item)

    def drop(self, split: Split) -> None:
        """Forget the bands of an image."""
        self._begun = deque(item for item in self._begun if item.split is not split)

    def _items_of(self, job: Job) -> list[Item]:
        """The image, or its bands; an archive is one item."""
        if not self._split_pixels or job.is_archive or address_of(job.target):
            return [Item(job)]
        with fetched(job.source) as source:
            size = read_size(source)
        if size is None or size[0] * size[1] <= self._split_pixels:
            return [Item(job)]
        count = -(-size[0] * size[1] // self._split_pixels)
        folder = job.target.absolute().parent / f".sr-{self._run}-bands-{self._next}"
        split = Split(count, folder)
        return [Item(job, split=split, band=Band(i, count, folder)) for i in range(count)]
