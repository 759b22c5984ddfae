"""What XMP promises about its file: an HDR gain map, a video, and where they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sr_cli.imaging.picture import CameraProperty

GAIN_MAP, MOTION_PHOTO = "GainMap", "MotionPhoto"
"""Semantics of parts."""

_CAMERA = "http://ns.google.com/photos/1.0/camera/"


@dataclass(frozen=True)
class Item:
    """A part of the file in the directory (Ultra HDR 1.1, "Item element").

    Attributes:
        semantic: `Primary`, `GainMap`, `MotionPhoto` or another.
        length: In bytes; 0 for the image itself.
        padding: Bytes that follow it.
        mime: Its type.
    """

    semantic: str
    length: int = 0
    padding: int = 0
    mime: str = "image/jpeg"


@dataclass(frozen=True)
class Promises:
    """What XMP promises.

    Attributes:
        items: The directory, in the order of the file; empty if there is none.
        gain_map: `hdrgm:Version` of the image, which announces a gain map; empty if there is none.
        motion: The properties about a video.
        extension: The name of the second packet, which a JPEG needs for long XMP; or empty.
        unreadable: Whether the packet promises something, but cannot be parsed.
    """

    items: tuple[Item, ...] = ()
    gain_map: str = ""
    motion: tuple[CameraProperty, ...] = ()
    extension: str = ""
    unreadable: bool = False

    @property
    def has_gain_map(self) -> bool:
        """Whether a gain map is promised."""
        return bool(self.gain_map) or any(i.semantic == GAIN_MAP for i in self.items)

    @property
    def has_video(self) -> bool:
        """Whether a video is promised."""
        announced = {p.name: p.value for p in self.motion}
        # Zero says that there is none (Motion Photo format 1.0, "Camera metadata").
        flags = (announced.get(name, "0") for name in ("MotionPhoto", "MicroVideo"))
        listed = any(i.semantic == MOTION_PHOTO for i in self.items)
        return listed or any(flag.strip() not in ("", "0") for flag in flags)

    def joined(self, other: Promises) -> Promises:
        """These promises and those of a second packet."""
        return Promises(
            self.items or other.items,
            self.gain_map or other.gain_map,
            self.motion + other.motion,
            self.extension,
            self.unreadable or other.unreadable,
        )


def set_motion(motion: Sequence[CameraProperty], length: int) -> tuple[CameraProperty, ...]:
    """The properties of a motion photo whose video of `length` bytes ends the file.

    Those of the older format are completed (Motion Photo format 1.0, "Camera metadata").
    """
    lengths = ("MicroVideoOffset", "VideoLength")
    made = [replace(p, value=str(length)) if p.name in lengths else p for p in motion]
    of_google = {p.name: p for p in motion if p.uri == _CAMERA}
    prefix = next((p.prefix for p in of_google.values()), "GCamera")
    needed = {"MotionPhoto": "1", "MotionPhotoVersion": "1"}
    if (old := of_google.get("MicroVideoPresentationTimestampUs")) is not None:
        needed["MotionPhotoPresentationTimestampUs"] = old.value
    made += [
        CameraProperty(prefix, name, _CAMERA, value)
        for name, value in needed.items()
        if name not in of_google
    ]
    return tuple(made)
