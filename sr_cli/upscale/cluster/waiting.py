"""The images and parts of images that no worker has."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from sr_cli.engine.windows import Share
from sr_cli.errors import Note
from sr_cli.imaging.decode import read_size
from sr_cli.upscale.cluster.folders import BandFolder
from sr_cli.upscale.cluster.steps import Band, Join, Preparation, Prepared, Rows, Step
from sr_cli.upscale.outputs import Job
from sr_cli.upscale.remote import address_of, fetched


@dataclass
class Split:
    """A large image that is computed in bands.

    Attributes:
        count: The number of bands.
        folder: Where they are written.
        prepared: What is known of it, after the first step.
        rows: The bands that are done, by index.
        ended: Whether all are done, or the image failed, or is computed as a whole.
        began: When its first step was sent, by `time.monotonic`.
    """

    count: int
    folder: BandFolder
    prepared: Prepared | None = None
    rows: dict[int, Rows] = field(default_factory=dict)
    ended: bool = False
    began: float = field(default_factory=time.monotonic)

    @property
    def share_done(self) -> float:
        """The share of the steps that are done, 0 to 1."""
        return (bool(self.prepared) + len(self.rows)) / (self.count + 2)

    def bands(self, prepared: Prepared) -> list[Band]:
        """The second steps. Their workers need no metadata."""
        self.prepared, lean = prepared, replace(prepared, picture=None)
        return [Band(lean, Share(i, self.count), self.folder.path) for i in range(self.count)]

    def joined(self) -> Join | None:
        """The last step; None if bands do not fit together.

        They do not if workers chose other tiles, because they measured another halo of a network.
        """
        assert self.prepared is not None
        found = (self.rows[i] for i in range(self.count))
        bands = tuple(rows for rows in found if rows.start < rows.stop)
        edges = [0, *(rows.stop for rows in bands)]
        fits = [rows.start for rows in bands] == edges[:-1] and edges[-1] == bands[-1].height
        return Join(self.prepared, bands, self.folder.path) if fits else None


@dataclass
class Item:
    """An image, or a step of one, that is not done.

    Attributes:
        job: As planned.
        kills: Workers that were lost while they computed it.
        again: Whether it was at a worker before.
        split: The image of which it is a step.
        step: Which step; None for an image.
        notes: For the result.
    """

    job: Job
    kills: int = 0
    again: bool = False
    split: Split | None = None
    step: Step | None = None
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
            self._begun.append(self._first_item(self._jobs[self._next - 1]))
        return self._begun.popleft()

    def give_back(self, items: Sequence[Item]) -> None:
        """Items whose worker was lost."""
        for item in items:
            item.again = True
            self._begun.append(item)

    def add(self, *items: Item) -> None:
        """Items that became possible, before all others."""
        self._begun.extendleft(reversed(items))

    def drop(self, split: Split) -> None:
        """Forget the steps of an image."""
        self._begun = deque(item for item in self._begun if item.split is not split)

    def _first_item(self, job: Job) -> Item:
        """The image, or its first step; an archive is one item."""
        if not self._split_pixels or job.is_archive or address_of(job.target):
            return Item(job)
        with fetched(job.source) as source:
            size = read_size(source)
        if size is None or size[0] * size[1] <= self._split_pixels:
            return Item(job)
        count = -(-size[0] * size[1] // self._split_pixels)
        folder = BandFolder(job.target.absolute().parent, f"{self._run}-{self._next}")
        return Item(job, split=Split(count, folder), step=Preparation(folder.path))
