"""Writing of compound JPEG files: the image, its gain map and its video, and where they are."""

from __future__ import annotations

from typing import BinaryIO

from sr_cli.imaging.compound import mpf
from sr_cli.imaging.compound.promises import GAIN_MAP, MOTION_PHOTO, Item, Promises, set_motion
from sr_cli.imaging.compound.segments import extension_name, insert_after_applications
from sr_cli.imaging.picture import CameraProperty, GainMap, Video


def promises_of(
    gain_map: GainMap | None, size: int, video: Video | None, extension: bytes | None
) -> Promises:
    """What the XMP of a result promises.

    Args:
        gain_map: The gain map, or None.
        size: Of the encoded gain map, in bytes.
        video: The video, or None.
        extension: The second packet of XMP, or None.
    """
    version = gain_map.version if gain_map else ""
    name = extension_name(extension) if extension else ""
    listed = gain_map is not None and gain_map.listed
    if not listed and video is None:
        return Promises((), version, (), name)
    # The directory accounts for every byte: a gain map that is not listed is padding.
    items = [Item("Primary", padding=0 if listed else size)]
    if listed:
        items.append(Item(GAIN_MAP, size))
    motion: tuple[CameraProperty, ...] = ()
    if video is not None:
        items.append(Item(MOTION_PHOTO, len(video.data), mime=video.mime))
        motion = set_motion(video.properties, len(video.data))
    return Promises(tuple(items), version, motion, name)


def write_parts(file: BinaryIO, base: bytes, gain_map: bytes, video: bytes) -> None:
    """Write the parts of a file, with the index of its images.

    Args:
        file: Opened for writing.
        base: The encoded image, whose XMP has the promises.
        gain_map: The encoded gain map, or nothing.
        video: The video, or nothing. It ends the file (Motion Photo format 1.0, "Item:Semantic
            values").
    """
    if gain_map:
        blank = mpf.build_index(0, 0, 0)
        _, place = insert_after_applications(base, blank)
        index = mpf.build_index(len(base) + len(blank), len(gain_map), place)
        base, _ = insert_after_applications(base, index)
    for part in (base, gain_map, video):
        file.write(part)
