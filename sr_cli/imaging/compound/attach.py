"""From the parts of a file to a picture: what is kept of them, and notes on what is not."""

from __future__ import annotations

import io

from PIL import Image

from sr_cli.errors import Note
from sr_cli.imaging.codecs.pillow import to_frame
from sr_cli.imaging.compound.promises import GAIN_MAP, Promises
from sr_cli.imaging.compound.read import ISO, Parts, find_parts
from sr_cli.imaging.compound.segments import APP2, JpegImage, parse_image, read_extension
from sr_cli.imaging.compound.xmp import GAIN_MAP_URI, take_promises
from sr_cli.imaging.conversion import orient_frame
from sr_cli.imaging.fates import Kind
from sr_cli.imaging.isobmff import has_gain_map
from sr_cli.imaging.picture import GainMap, Picture, Video


def attach_parts(data: bytes, picture: Picture, orientation: int = 1) -> list[Note]:
    """Take what XMP promises out of the metadata, and keep what the file holds of it.

    Args:
        data: The file.
        picture: Decoded from it, upright. Gets a gain map and a video where the file has them;
            only a writer that writes them promises them again.
        orientation: Of the file, 1 to 8, for the gain map.

    Returns:
        A note for every part that is not kept.
    """
    picture.metadata.xmp, promises = take_promises(picture.metadata.xmp)
    if picture.format != "JPEG":
        return _unreadable(promises) + _unsupported(data, picture.format, promises)
    base = parse_image(data)
    parts = Parts()
    if base is not None:
        if promises.extension:
            packet = read_extension(base, promises.extension)
            picture.metadata.xmp_extension, more = take_promises(packet)
            promises = promises.joined(more)
        parts = find_parts(data, base, promises)
        if parts.gain_map is not None:
            picture.gain_map = _read_gain_map(data, parts.gain_map, picture, orientation)
        if picture.gain_map is not None:
            _describe(picture.gain_map, base, promises)
        if parts.video is not None:
            picture.video = _read_video(data, parts.video, promises)
    return [*_unreadable(promises), *_missing(picture, parts, promises), *_others(parts)]


def _unreadable(promises: Promises) -> list[Note]:
    return [Note("xmp-unreadable")] if promises.unreadable else []


def _missing(picture: Picture, parts: Parts, promises: Promises) -> list[Note]:
    promised = {
        Kind.EXTENDED_XMP: promises.extension and not promises.unreadable,
        Kind.GAIN_MAP: promises.has_gain_map or parts.gain_map,
        Kind.VIDEO: promises.has_video,
    }
    there = _parts_of(picture)
    lost = [part for part in promised if promised[part] and not there[part]]
    return [Note("part-unreadable", {"part": part.value}) for part in lost]


def _parts_of(picture: Picture) -> dict[Kind, object]:
    return {
        Kind.EXTENDED_XMP: picture.metadata.xmp_extension,
        Kind.GAIN_MAP: picture.gain_map,
        Kind.VIDEO: picture.video,
    }


def _unsupported(data: bytes, name: str, promises: Promises) -> list[Note]:
    in_boxes = name in ("AVIF", "HEIF") and has_gain_map(data)
    there = {
        Kind.GAIN_MAP: promises.has_gain_map or in_boxes,
        Kind.VIDEO: promises.has_video,
        Kind.EXTENDED_XMP: bool(promises.extension),
    }
    return [
        Note("part-unsupported", {"part": part.value, "format": name})
        for part, is_there in there.items()
        if is_there
    ]


def _others(parts: Parts) -> list[Note]:
    notes = []
    if parts.others:
        kinds = sorted(set(parts.others))
        notes.append(Note("images-dropped", {"count": len(parts.others), "kinds": kinds}))
    if parts.unknown:
        notes.append(Note("data-dropped", {"bytes": parts.unknown}))
    return notes


def _read_gain_map(
    data: bytes, image: JpegImage, picture: Picture, orientation: int
) -> GainMap | None:
    """Decode the gain map; None if it is damaged, larger than the picture, or not gray or RGB.

    It lies as the picture does; an orientation of its own is not used (Ultra HDR 1.1, "Gain map
    compression"; ISO 21496-1, section 4.5).
    """
    most = picture.width * picture.height
    try:
        with Image.open(io.BytesIO(data[image.start : image.end]), formats=["JPEG"]) as opened:
            if opened.width * opened.height > most or opened.mode not in ("L", "RGB"):
                return None
            opened.load()
            frame, _ = to_frame(opened, None)
            icc = opened.info.get("icc_profile")
    except Exception:
        # Decoders raise any type of error for damaged files.
        return None
    orient_frame(frame, orientation)
    return GainMap(frame, image.xmp, _iso_of(image), icc)


def _describe(gain_map: GainMap, base: JpegImage, promises: Promises) -> None:
    """Set how the picture announces its gain map: as it did, and as Ultra HDR 1.1 asks for."""
    described = GAIN_MAP_URI.encode() in (gain_map.xmp or b"")
    gain_map.base_iso = _iso_of(base)
    gain_map.version = promises.gain_map or ("1.0" if described else "")
    gain_map.listed = described or any(item.semantic == GAIN_MAP for item in promises.items)


def _iso_of(image: JpegImage) -> bytes | None:
    segment = image.find(APP2, ISO)
    return segment.content if segment else None


def _read_video(data: bytes, place: tuple[int, int], promises: Promises) -> Video:
    start, end = place
    # The major brand (ISO/IEC 14496-12, section 4.3) of QuickTime has blanks.
    mime = "video/quicktime" if data[start + 8 : start + 12] == b"qt  " else "video/mp4"
    return Video(data[start:end], mime, promises.motion)
