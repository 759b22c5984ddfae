"""Enhanced DICOM files: each frame has its own place and look."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.command import BICUBIC, Run

from sr_cli.imaging.decode import read_picture

pytest.importorskip("pydicom")

# What follows needs the extra, without which the line above skips this file.
from helpers.dicom import UID, gray, slice_of, upscaled, write
from pydicom.dataset import Dataset


def item_of(**values: Any) -> Any:
    found = Dataset()
    for name, value in values.items():
        setattr(found, name, value)
    return found


def enhanced(stack: Any, *, shared: bool) -> Any:
    """An enhanced MR image: the size of pixels and the look in the shared group, or in each."""
    found = slice_of(stack, stored=12)
    found.SOPClassUID = "1.2.840.10008.5.1.4.1.1.4.1"
    for name in ("WindowCenter", "WindowWidth", "RescaleSlope", "RescaleIntercept"):
        delattr(found, name)
    found.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    common, groups = item_of(), [item_of() for _ in stack]
    common.PlaneOrientationSequence = [item_of(ImageOrientationPatient=[0, 1, 0, 0, 0, -1])]
    for number, group in enumerate(groups):
        place = item_of(ImagePositionPatient=[5 * number, -10, 20])
        group.PlanePositionSequence = [place]
        group.FrameDisplayShutterSequence = [item_of(ShutterShape="CIRCULAR")]
    for number, group in enumerate([common] if shared else groups):
        measures = item_of(PixelSpacing=[0.5, 0.8], SliceThickness=5)
        group.PixelMeasuresSequence = [measures]
        look = item_of(WindowCenter=1000 + 500 * number, WindowWidth=1000)
        group.FrameVOILUTSequence = [look]
        rescale = item_of(RescaleSlope=1, RescaleIntercept=0)
        group.PixelValueTransformationSequence = [rescale]
        kinds = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
        group.MRImageFrameTypeSequence = [item_of(FrameType=kinds)]
    found.SharedFunctionalGroupsSequence = [common]
    found.PerFrameFunctionalGroupsSequence = groups
    return found


@pytest.mark.parametrize("shared", [True, False])
def test_enhanced_files_are_true_in_each_group(sr: Run, tmp_path: Path, shared: bool) -> None:
    stack = np.stack([gray("uint16", 0, 4000), gray("uint16", 500, 3000)])
    made, done = upscaled(sr, tmp_path, enhanced(stack, shared=shared))
    assert made.pixel_array.shape == (2, 40, 48) and (made.Rows, made.Columns) == (40, 48)
    assert list(made.ImageType) == ["DERIVED", "PRIMARY", "VOLUME", "NONE"]
    (common,) = made.SharedFunctionalGroupsSequence
    groups = made.PerFrameFunctionalGroupsSequence
    # Half the distance of the old first pixel to its corner, less that of the new one.
    for number, group in enumerate(groups):
        (place,) = group.PlanePositionSequence
        assert list(place.ImagePositionPatient) == [5 * number, -10.2, 20.125]
        assert "FrameDisplayShutterSequence" not in group
    for group in [common] if shared else groups:
        (measures,) = group.PixelMeasuresSequence
        assert list(measures.PixelSpacing) == [0.25, 0.4] and measures.SliceThickness == 5
        assert group.MRImageFrameTypeSequence[0].FrameType[0] == "DERIVED"
        assert group.FrameVOILUTSequence[0].WindowWidth == 1000
    (derived,) = common.DerivationImageSequence
    assert derived.DerivationCodeSequence[0].CodeValue == "113085"
    assert derived.SourceImageSequence[0].ReferencedSOPInstanceUID == UID
    (note,) = [n for n in done.notes if n["kind"] == "attributes-dropped"]
    assert note["attributes"] == ["FrameDisplayShutterSequence"]


@pytest.mark.parametrize("shared", [True, False])
def test_each_frame_of_an_enhanced_file_has_its_own_look(
    sr: Run, tmp_path: Path, shared: bool
) -> None:
    flat = np.full((20, 24), 1000, np.uint16)
    write(tmp_path / "a.dcm", enhanced(np.stack([flat, flat]), shared=shared))
    done = sr(*BICUBIC, "a.dcm", "-f", "tif", "--json")
    assert done.returncode == 0, done.stderr
    frames = read_picture(tmp_path / "a_x2.tif").frames
    shares = [float(frame.pixels.mean()) / 65535 for frame in frames]
    # Of the second window, 1000 to 2000, it is the lower end.
    assert shares == pytest.approx([0.5, 0.5 if shared else 0], abs=2e-3)
    assert ("window-applied" if shared else "looks-applied") in done.note_kinds


@pytest.mark.parametrize("kind", ["slide", "segment", "volume", "no orientation"])
def test_groups_that_cannot_be_made_true_are_refused(sr: Run, tmp_path: Path, kind: str) -> None:
    found = enhanced(np.stack([gray("uint16", 0, 4000)] * 2), shared=True)
    group = found.PerFrameFunctionalGroupsSequence[1]
    if kind == "slide":
        found.TotalPixelMatrixColumns = 4800
    elif kind == "segment":
        found.SegmentSequence = [Dataset()]
    elif kind == "volume":
        group.PlanePositionVolumeSequence = [item_of(ImagePositionVolume=[1.0, 2.0, 3.0])]
    else:
        del found.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence
    write(tmp_path / "a.dcm", found)
    done = sr(*BICUBIC, "a.dcm", "--json")
    assert done.error_codes == ["unsupported-dicom"]
    wanted = "position" if kind == "no orientation" else "enhanced"
    assert done.records[0]["error"]["kind"] == wanted and not (tmp_path / "a_x2.dcm").exists()
