"""Times of frames that are images, in a text file beside them.

The file has the "timestamp format v2" of MKVToolNix (mkvmerge's manual, "External timestamp
files"): a time in milliseconds on a line for each frame. A last line says where the last frame
ends, and a comment in which unit the times are exact.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from sr_cli.errors import SrError

_HEADERS = ("# timestamp format v2", "# timecode format v2")
"""The second is its former name."""

_TIME_BASE = re.compile(r"# time base (\d{1,9})/([1-9]\d{0,9})")
_TIME = re.compile(r"-?\d{1,12}(\.\d+)?")
_WORD = "timestamps"


@dataclass(frozen=True)
class FrameTimes:
    """When frames are shown.

    Attributes:
        time_base: Of the times, in seconds.
        shown: When each frame begins, increasing, and where the last one ends.
    """

    time_base: Fraction
    shown: Sequence[int]

    @classmethod
    def at_rate(cls, rate: Fraction, count: int) -> FrameTimes:
        """The times of frames at a constant rate."""
        return cls(1 / rate, range(count + 1))

    @property
    def rate(self) -> Fraction:
        """Frames a second on average."""
        seconds = (self.shown[-1] - self.shown[0]) * self.time_base
        return ((len(self.shown) - 1) / seconds).limit_denominator(100_000)

    def as_text(self) -> str:
        """The content of the file."""
        base = self.time_base
        lines = [_HEADERS[0], f"# time base {base.numerator}/{base.denominator}"]
        lines += [f"{float(time * base * 1000):.6f}" for time in self.shown]
        return "\n".join(lines) + "\n"


def timestamps_name(image: str) -> str:
    """The name of the file with the times of images.

    Args:
        image: The name of an image with `%d` for its number: `a_%06d.png` has `a_timestamps.txt`.
    """
    return re.sub(r"%\d*d", _WORD, Path(image).stem) + ".txt"


def timestamps_beside(image: Path) -> Path | None:
    """The file with the times of images, of which one is given; None if there is none."""
    for number in re.finditer(r"\d+", image.stem):
        name = image.stem[: number.start()] + _WORD + image.stem[number.end() :] + ".txt"
        if is_timestamps(path := image.with_name(name)):
            return path
    return None


def is_timestamps(path: Path) -> bool:
    """Whether a file holds times, by its first line."""
    try:
        with path.open("rb") as file:
            return file.readline(64).rstrip() in [header.encode() for header in _HEADERS]
    except OSError:
        return False


def read_timestamps(path: Path, count: int) -> FrameTimes:
    """Read the times of frames.

    Args:
        path: Of the file.
        count: How many frames there are. Where the file does not say when the last one ends, it
            is shown as long as the one before.

    Raises:
        SrError: `unreadable-file`, `invalid-timestamps`, `timestamps-mismatch`.
    """
    try:
        lines = path.read_text("utf-8", "replace").splitlines()
    except OSError as error:
        raise SrError("unreadable-file", path, reason=error.strerror or str(error)) from error
    time_base = _time_base(lines)
    shown: list[int] = []
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        time = round(Fraction(text) / 1000 / time_base) if _TIME.fullmatch(text) else None
        if time is None or (shown and time <= shown[-1]):
            raise SrError("invalid-timestamps", path, line=number)
        shown.append(time)
    if len(shown) not in (count, count + 1):
        raise SrError("timestamps-mismatch", path, times=len(shown), images=count)
    if len(shown) == count:
        last = shown[-1] - shown[-2] if count > 1 else round(1 / (25 * time_base))
        shown.append(shown[-1] + max(1, last))
    return FrameTimes(time_base, shown)


def _time_base(lines: Sequence[str]) -> Fraction:
    """The unit in which the times of a file are exact: milliseconds unless they have decimals."""
    for line in lines:
        if found := _TIME_BASE.fullmatch(line.strip()):
            base = Fraction(int(found[1]), int(found[2]))
            return base or Fraction(1, 1000)
    has_decimals = any("." in line for line in lines if not line.startswith("#"))
    return Fraction(1, 1_000_000 if has_decimals else 1000)
