"""Decoding times of packets, and times in words."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction


def reorder_depth(times: Sequence[int]) -> int:
    """How many packets a decoder reads before it can show the first frame.

    Args:
        times: Presentation times of packets, in the order in which they are decoded.
    """
    rank = {time: index for index, time in enumerate(sorted(times))}
    return max((index - rank[time] for index, time in enumerate(times)), default=0)


def decoding_time(shown: Sequence[int], index: int, depth: int) -> int:
    """The decoding time of a packet: increasing, and never after its presentation.

    Encoders derive it from the frames that they happen to hold, and segments begin anew: times
    from two encoders do not fit together at a variable rate.

    Args:
        shown: All presentation times of the stream, sorted.
        index: The packet's place in the order of decoding.
        depth: The largest `reorder_depth` of the stream.
    """
    if index >= depth:
        return shown[index - depth]
    step = shown[1] - shown[0] if len(shown) > 1 else 1
    return shown[0] - (depth - index) * step


def in_words(time: int | None, time_base: Fraction) -> str:
    """A time as `1:02:03.456`; `?` if unknown."""
    if time is None:
        return "?"
    seconds = float(time * time_base)
    minutes, rest = divmod(abs(seconds), 60)
    hours, minutes = divmod(int(minutes), 60)
    sign = "-" if seconds < 0 else ""
    return sign + (f"{hours}:{minutes:02d}:{rest:06.3f}" if hours else f"{minutes}:{rest:06.3f}")
