"""Metadata fitted to the format that is written, as the table of fates says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from sr_cli.errors import Note
from sr_cli.imaging.conversion import apply_by_rows
from sr_cli.imaging.fates import FATES, Fate, Kind
from sr_cli.imaging.formats import Encoding, Format
from sr_cli.imaging.metadata import gamma_and_corners, has_unusual_colour
from sr_cli.imaging.picture import Frame, Metadata, Picture
from sr_cli.imaging.profiles import (
    color_space,
    describe,
    fit_to_samples,
    is_like_srgb,
    profile_of_cicp,
    profile_of_gamma,
    srgb_profile,
    to_srgb,
)
from sr_cli.imaging.xmp import add_to_xmp

_FIELDS = {
    Kind.CICP: "cicp",
    Kind.GAMMA: "png_colour",
    Kind.PROFILE: "icc",
    Kind.MASTERING: "mastering",
    Kind.TEXT: "text",
    Kind.COMMENT: "comment",
    Kind.EXIF: "exif",
    Kind.XMP: "xmp",
    Kind.IPTC: "iptc",
    Kind.RESOLUTION: "dpi",
    Kind.EXTENDED_XMP: "xmp_extension",
    Kind.PLACE: "page_places",
    Kind.CALIBRATION: "calibration",
    Kind.DICOM: "dicom",
    Kind.FURTHER: "further",
}
"""The attribute of `Metadata` for each kind."""

_IN_PICTURE: Mapping[Kind, Callable[[Picture], bool]] = {
    Kind.LOOP: lambda picture: picture.animation and picture.loop != 0,
    Kind.GAIN_MAP: lambda picture: picture.gain_map is not None,
    Kind.VIDEO: lambda picture: picture.video is not None,
}
"""Whether a picture has the kinds that are not in `Metadata`; their codecs write them."""

_XMP_OF_TEXT = {
    "Title": "dc:title",
    "Author": "dc:creator",
    "Description": "dc:description",
    "Copyright": "dc:rights",
}
"""Properties with the meaning of PNG keywords (PNG third edition, section 11.3.3.1)."""

_COMMENT = "Comment"
"""The PNG keyword for comments."""

_USER_COMMENT = "exif:UserComment"


def fit_metadata(
    picture: Picture, target: Format, encoding: Encoding
) -> tuple[Metadata, list[Note]]:
    """Fit the metadata of a picture to a format.

    Args:
        picture: Its pixels are converted where the format can hold no profile for them. Gain map
            and video are dropped with the metadata.
        target: The format that is written.
        encoding: How it is written.

    Returns:
        The metadata that the format can hold, and notes on what was dropped or converted.
    """
    metadata = picture.metadata
    if encoding.strip:
        # Without the transfer of HDR and the range of video, pixels would mean nothing.
        is_needed = metadata.cicp and (metadata.cicp.is_hdr or not metadata.cicp.full_range)
        metadata = Metadata(cicp=metadata.cicp if is_needed else None)
        picture.gain_map = picture.video = None
    metadata = _without_fallbacks(metadata, target)
    notes: list[Note] = []
    for kind, fates in FATES.items():
        fate = fates[target.name]
        if kind is Kind.PROFILE:
            metadata = _fit_profiles(picture, metadata, target, encoding, notes)
        elif _is_there(kind, metadata, picture) and fate in (Fate.DROPPED, *_CHANGES):
            changed = _CHANGES[fate](kind, metadata, target) if fate in _CHANGES else None
            if isinstance(changed, Note):
                notes.append(changed)
                changed = None
            elif kind is Kind.FURTHER:
                notes.append(Note("further-dropped", {"blocks": list(metadata.further)}))
            elif changed is None:
                notes.append(Note("metadata-dropped", {"block": kind.value, "format": target.name}))
            metadata = _without(kind, changed or metadata)
    return metadata, notes


def _without_fallbacks(metadata: Metadata, target: Format) -> Metadata:
    """Leave out colour that something of higher precedence replaces (PNG, section 4.3)."""
    if metadata.cicp is not None and metadata.cicp.is_plain and target.name != "PNG":
        return replace(metadata, cicp=None, icc=None, page_icc=(), png_colour={})
    if target.name == "PNG":
        return _with_profile_for_older_readers(metadata)
    if metadata.cicp is not None:
        return replace(metadata, icc=None, png_colour={})
    return metadata if has_unusual_colour(metadata) else replace(metadata, png_colour={})


def _with_profile_for_older_readers(metadata: Metadata) -> Metadata:
    """Add an equal profile to a cICP chunk, which has precedence where it is known."""
    if metadata.cicp is None or metadata.cicp.is_plain or metadata.icc or metadata.png_colour:
        return metadata
    return replace(metadata, icc=profile_of_cicp(metadata.cicp))


def _is_there(kind: Kind, metadata: Metadata, picture: Picture) -> bool:
    if kind in _IN_PICTURE:
        return _IN_PICTURE[kind](picture)
    return bool(getattr(metadata, _FIELDS[kind]))


def _without(kind: Kind, metadata: Metadata) -> Metadata:
    if kind in _IN_PICTURE:
        return metadata
    name = _FIELDS[kind]
    return replace(metadata, **{name: getattr(Metadata(), name)})


def _as_profile(kind: Kind, metadata: Metadata, target: Format) -> Metadata | None:
    """Express colour as an equal profile; None if there is none."""
    if kind is Kind.CICP and metadata.cicp is not None:
        profile = profile_of_cicp(metadata.cicp)
    else:
        profile = profile_of_gamma(*gamma_and_corners(metadata))
    return None if profile is None else replace(metadata, icc=profile, png_colour={})


def _as_xmp(kind: Kind, metadata: Metadata, target: Format) -> Metadata | Note | None:
    """Put text into XMP; a note if that is too large then, None if it has no place there."""
    comment = _decoded(metadata.comment)
    text = dict(metadata.text)
    kept = metadata.comment
    if kind is Kind.TEXT and not kept and FATES[Kind.COMMENT][target.name] is Fate.KEPT:
        kept = text.pop(_COMMENT, "").encode() or None
    properties = _properties_of(text) if kind is Kind.TEXT else {_USER_COMMENT: comment}
    xmp = add_to_xmp(metadata.xmp, properties) if properties else metadata.xmp
    if properties and xmp is None:
        return None
    if properties and target.max_block and len(xmp or b"") > target.max_block:
        size = sum(len(value.encode()) for value in properties.values())
        facts = {"block": kind.value, "format": target.name, "bytes": size}
        return Note("metadata-too-large", facts)
    return replace(metadata, xmp=xmp, comment=kept)


def _properties_of(text: Mapping[str, str]) -> dict[str, str]:
    """XMP properties for PNG text; keywords of others are lines of the comment."""
    found = {_XMP_OF_TEXT[key]: value for key, value in text.items() if key in _XMP_OF_TEXT}
    others = _lines({k: v for k, v in text.items() if k not in _XMP_OF_TEXT})
    return found | ({_USER_COMMENT: others} if others else {})


def _as_comment(kind: Kind, metadata: Metadata, target: Format) -> Metadata | None:
    comment = {_COMMENT: _decoded(metadata.comment)} if metadata.comment else {}
    return replace(metadata, comment=_lines(comment | metadata.text).encode())


def _as_text(kind: Kind, metadata: Metadata, target: Format) -> Metadata | None:
    if _COMMENT in metadata.text:
        return None
    return replace(metadata, text=metadata.text | {_COMMENT: _decoded(metadata.comment)})


_CHANGES: Mapping[Fate, Callable[[Kind, Metadata, Format], Metadata | Note | None]] = {
    Fate.AS_PROFILE: _as_profile,
    # The profile itself is applied afterwards.
    Fate.TO_SRGB: _as_profile,
    Fate.AS_XMP: _as_xmp,
    Fate.AS_COMMENT: _as_comment,
    Fate.AS_TEXT: _as_text,
}
"""What makes one kind of metadata into another; None, or a note why, if that is not possible."""


def _lines(text: Mapping[str, str]) -> str:
    """Text with its keywords; a comment without."""
    return "\n".join(v if k == _COMMENT else f"{k}: {v}" for k, v in text.items())


def _decoded(comment: bytes | None) -> str:
    """A comment as text: no format declares its encoding."""
    try:
        return (comment or b"").decode().rstrip("\0")
    except UnicodeDecodeError:
        return (comment or b"").decode("latin-1").rstrip("\0")


def _fit_profiles(
    picture: Picture, metadata: Metadata, target: Format, encoding: Encoding, notes: list[Note]
) -> Metadata:
    """Give each frame a profile that fits its samples, or convert them."""
    each = metadata.page_icc if target.name == "TIFF" else ()
    if not metadata.icc and not any(each):
        return replace(metadata, page_icc=())
    frames = picture.frames
    each = each if len(each) == len(frames) else (metadata.icc,) * len(frames)
    gray = _is_written_gray(picture, target, encoding)
    apply = FATES[Kind.PROFILE][target.name] is Fate.TO_SRGB
    fitted = []
    for frame, profile in zip(frames, each, strict=True):
        as_gray = frame.pixels.ndim == 2 if target.name == "TIFF" else gray
        if profile and apply:
            fitted.append(_apply_profile(frame, profile, notes))
        else:
            fitted.append(_fit_profile(frame, profile, notes, gray=as_gray) if profile else None)
    return replace(metadata, icc=fitted[0], page_icc=tuple(fitted))


def _is_written_gray(picture: Picture, target: Format, encoding: Encoding) -> bool:
    """Whether the format holds the frames as gray samples, not as RGB."""
    gray = all(frame.pixels.ndim == 2 for frame in picture.frames)
    alpha = any(frame.alpha is not None for frame in picture.frames)
    has_gray = {
        "WEBP": False,
        "AVIF": not alpha and not encoding.lossless,
        "PNG": not (alpha and picture.animation),
        "JXL": not alpha,
    }
    return gray and has_gray.get(target.name, True)


def _fit_profile(frame: Frame, profile: bytes, notes: list[Note], *, gray: bool) -> bytes | None:
    """The profile for a frame that is written as gray or RGB. Its pixels may be converted."""
    fitted = fit_to_samples(profile, gray=gray)
    if fitted is not None:
        return fitted
    space = color_space(profile)
    if space == "RGB":
        # No profile for gray means the same.
        _store_as_rgb(frame)
        return profile
    if space == "GRAY" and frame.pixels.ndim == 2:
        return _apply_profile(frame, profile, notes)
    _add(notes, Note("profile-unusable", {"space": space or "?"}))
    return None


def _apply_profile(frame: Frame, profile: bytes, notes: list[Note]) -> bytes | None:
    """Convert 8-bit pixels to sRGB; the profile that they have then: sRGB, or None if unusable."""
    if frame.pixels.ndim == 2 and color_space(profile) == "RGB":
        _store_as_rgb(frame)
    gray = frame.pixels.ndim == 2
    fitting = fit_to_samples(profile, gray=gray)
    convert = to_srgb(fitting, gray=gray) if fitting and frame.pixels.dtype == np.uint8 else None
    if convert is None:
        _add(notes, Note("profile-unusable", {"space": color_space(profile) or "?"}))
        return None
    if not is_like_srgb(convert, gray=gray):
        frame.pixels = apply_by_rows(convert, frame.pixels)
        _add(notes, Note("converted-to-srgb", {"mode": describe(profile)}))
    return srgb_profile()


def _store_as_rgb(frame: Frame) -> None:
    frame.pixels = np.repeat(frame.pixels[..., None], 3, axis=2)


def _add(notes: list[Note], note: Note) -> None:
    if note not in notes:
        notes.append(note)
