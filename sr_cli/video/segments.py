"""Segments: finished parts of a result in a folder beside it, from which a run is resumed."""

from __future__ import annotations

import json
import os
import shutil
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from sr_cli.errors import SrError
from sr_cli.system.files import atomic_write
from sr_cli.video.timing import reorder_depth

_RECORD = struct.Struct("<q?q")
"""Of a packet: presentation time, whether it is a key frame, bytes."""


@dataclass(frozen=True)
class Segment:
    """A finished segment.

    Attributes:
        path: Of its packets.
        shown: (presentation time, duration) of its frames, in the order of the former.
        depth: The reordering of its packets.
        damaged, repaired: Counts of the reader.
    """

    path: Path
    shown: list[tuple[int, int]]
    depth: int
    damaged: int
    repaired: int


class SegmentFolder:
    """The folder of a result's segments: `clip_x2.mp4.parts` beside `clip_x2.mp4`.

    Args:
        target: The result.
    """

    def __init__(self, target: Path) -> None:
        self.target = target
        self.path = target.with_name(target.name + ".parts")

    @contextmanager
    def opened(self, identity: dict[str, Any], *, resume: bool, restart: bool) -> Iterator[None]:
        """Create the folder, or open that of an interrupted run.

        It is removed at the end unless it holds a finished segment.

        Args:
            identity: What the segments were made from and how; plain data.
            resume: Whether to continue an interrupted run.
            restart: Whether to discard an interrupted run.

        Raises:
            SrError: `unwritable-file`, `clip-in-progress`, `unfinished-run`, `resume-mismatch`.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.path / "lock", timeout=0)
            lock.acquire()
        except Timeout:
            raise SrError("clip-in-progress", self.target) from None
        except OSError as error:
            raise SrError(
                "unwritable-file", self.path, reason=error.strerror or str(error)
            ) from error
        try:
            self._prepare(identity, resume, restart)
            yield
        finally:
            lock.release()
            if not self.finished():
                self.remove()

    def _prepare(self, identity: dict[str, Any], resume: bool, restart: bool) -> None:
        manifest = self.path / "run.json"
        for unfinished in self.path.glob(".sr-*.tmp"):
            unfinished.unlink()
        if self.finished() and not resume and not restart:
            raise SrError("unfinished-run", self.path)
        if self.finished() and resume:
            with suppress(OSError, ValueError):
                if json.loads(manifest.read_text()) == identity:
                    return
            raise SrError("resume-mismatch", self.path)
        for old in self.path.glob("[0-9]*"):
            old.unlink()
        with atomic_write(manifest) as file:
            file.write(json.dumps(identity, indent=1).encode())

    def finished(self) -> list[Segment]:
        """The finished segments, up to the first gap."""
        found: list[Segment] = []
        while (segment := self._read(len(found))) is not None:
            found.append(segment)
        return found

    def remove(self) -> None:
        """Remove the folder with everything in it."""
        shutil.rmtree(self.path, ignore_errors=True)

    def _packets(self, number: int) -> Path:
        return self.path / f"{number:05d}.packets"

    def _read(self, number: int) -> Segment | None:
        path = self._packets(number)
        try:
            record = json.loads(path.with_suffix(".json").read_text())
            if path.stat().st_size != record["bytes"]:
                return None
        except (OSError, ValueError, KeyError):
            return None
        shown = [(pts, duration) for pts, duration in record["shown"]]
        return Segment(path, shown, record["depth"], record["damaged"], record["repaired"])

    @contextmanager
    def writing(self, number: int) -> Iterator[SegmentWriter]:
        """Write a segment; it is finished if the block ends without an error.

        Raises:
            SrError: `unwritable-file`.
        """
        path = self._packets(number)
        try:
            with path.open("wb") as file:
                writer = SegmentWriter(file)
                yield writer
                file.flush()
                os.fsync(file.fileno())
            record = {
                "bytes": path.stat().st_size,
                "shown": sorted(writer.shown),
                "depth": reorder_depth(writer.times),
                "damaged": writer.damaged,
                "repaired": writer.repaired,
            }
            with atomic_write(path.with_suffix(".json")) as file:
                file.write(json.dumps(record).encode())
        except OSError as error:
            raise SrError("unwritable-file", path, reason=error.strerror or str(error)) from error


class SegmentWriter:
    """Writes the packets of a segment in the order in which they are decoded."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.shown: list[tuple[int, int]] = []
        self.times: list[int] = []
        self.damaged = self.repaired = 0

    def write(self, packets: list[Any]) -> None:
        """Append packets of an encoder."""
        for packet in packets:
            data = bytes(packet)
            self.times.append(packet.pts)
            self._file.write(_RECORD.pack(packet.pts, packet.is_keyframe, len(data)))
            self._file.write(data)


def read_packets(path: Path) -> Iterator[tuple[int, bool, bytes]]:
    """The packets of a segment: presentation time, whether it is a key frame, content."""
    with path.open("rb") as file:
        while head := file.read(_RECORD.size):
            pts, is_key, size = _RECORD.unpack(head)
            yield pts, is_key, file.read(size)
