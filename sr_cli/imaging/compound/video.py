"""Where the video of a motion photo ends."""

from __future__ import annotations

from sr_cli.imaging.isobmff import read_boxes

_VIDEO_BOXES = {
    b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"uuid", b"udta", b"meta", b"moof",
    b"mfra", b"styp", b"sidx", b"pdin", b"prft", b"emsg",
}  # fmt: skip
"""Boxes at the top of a video file."""


_MOST_BOXES = 10_000
"""Boxes at the top of a video. Phones write fewer than ten."""


def video_end(data: bytes, start: int, end: int) -> int | None:
    """The end of the MP4 or QuickTime file at `start`; None if there is none, or not all of it."""
    kinds: list[bytes] = []
    last = start
    for box in read_boxes(data, start, end):
        if box.kind not in _VIDEO_BOXES:
            break
        if len(kinds) == _MOST_BOXES:
            return None
        kinds.append(box.kind)
        last = box.end
    return last if kinds[:1] == [b"ftyp"] and {b"moov", b"mdat"} <= set(kinds) else None
