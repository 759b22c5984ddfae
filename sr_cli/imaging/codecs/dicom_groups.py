"""Functional groups: what enhanced DICOM files say of each frame, or once of all of them.

DICOM PS3.3 (2024), C.7.6.16. The items of the shared sequence are about all frames; a macro is in
it or in the items of the frames, not in both.
"""

from __future__ import annotations

from typing import Any

_SHARED, _FRAMES = "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"
_OTHER_PLACES = ("PlanePositionSlideSequence", "PlanePositionVolumeSequence")
_SHOWN = ("PixelValueTransformationSequence", "FrameVOILUTSequence")
"""Macros (C.7.6.16.2.9 and .10) whose attributes are those of an image with a single look."""

UNTRUE = ("FrameDisplayShutterSequence", "FramePixelShiftSequence")
"""Macros drawn at pixels of the input, or counted in them (C.7.6.16.2.16, C.8.19.6)."""


def is_enhanced(found: Any) -> bool:
    """Whether a data set has functional groups."""
    return _SHARED in found or _FRAMES in found


def can_resize_groups(found: Any) -> bool:
    """Whether the groups can be made true of a result: no slides, segments or ultrasound volumes.

    There must be an item for each frame.
    """
    if "TotalPixelMatrixColumns" in found or "SegmentSequence" in found:
        return False
    if len(frame_groups(found)) not in (0, int(found.get("NumberOfFrames") or 1)):
        return False
    return not any(name in group for group in groups_of(found) for name in _OTHER_PLACES)


def frame_groups(found: Any) -> list[Any]:
    """The item of each frame; none if there are no such items."""
    return list(found.get(_FRAMES) or [])


def groups_of(found: Any) -> list[Any]:
    """The items of all frames, then the shared one."""
    return frame_groups(found) + list(found.get(_SHARED) or [])


def macro_of(found: Any, group: Any, name: str) -> Any | None:
    """The item of a macro for a group: its own, or else the shared one."""
    for holder in (group, *(found.get(_SHARED) or [])):
        if holder.get(name):
            return holder[name].value[0]
    return None


def look_of(found: Any, number: int) -> Any:
    """A data set with what is needed to show a frame, as an image with a single look has it."""
    if not is_enhanced(found):
        return found
    from pydicom.dataset import Dataset

    look = Dataset()
    for name in ("BitsStored", "PixelRepresentation", "PhotometricInterpretation"):
        look[name] = found[name]
    group = (frame_groups(found) or [Dataset()] * (number + 1))[number]
    for name in _SHOWN:
        for element in macro_of(found, group, name) or ():
            look.add(element)
    return look


def derive_groups(found: Any, text: str, code: Any, source: Any) -> None:
    """Say of the frames that they are derived (C.7.6.16.2.6), and of their types (C.8.16.1.1).

    Args:
        found: An enhanced data set, changed in place.
        text: How they are derived.
        code: The same as a code.
        source: The item that refers to the input.
    """
    from pydicom.dataset import Dataset

    name = "DerivationImageSequence"
    groups = groups_of(found)
    own = [group for group in groups if group.get(name)]
    for group in own or groups[-1:]:
        item = Dataset()
        item.DerivationDescription, item.DerivationCodeSequence = text, [code]
        item.SourceImageSequence = [source]
        group.DerivationImageSequence = [*(group.get(name) or []), item]
    for group in groups:
        for element in group:
            for item in element.value if element.VR == "SQ" else ():
                if item.get("FrameType"):
                    item.FrameType = ["DERIVED", *list(item.FrameType)[1:]]
