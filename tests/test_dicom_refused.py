"""DICOM files that are refused or damaged, without a word about the patient."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.command import BICUBIC, Run
from helpers.images import save

from sr_cli.imaging.decode import read_picture
from sr_cli.imaging.formats import Feature

pytest.importorskip("pydicom")

# What follows needs the extra, without which the line above skips this file.
from helpers.dicom import SECRET, UID, gray, slice_of, write
from pydicom.dataset import Dataset


def refused(kind: str) -> Any:
    """A file of a kind that is not supported."""
    pixels = gray("uint16", 0, 255)
    if kind == "RGB":
        found = slice_of(gray("uint8", 0, 200, 20, 72))
        found.SamplesPerPixel, found.Columns, found.PlanarConfiguration = 3, 24, 0
        found.PhotometricInterpretation = "RGB"
    elif kind == "PALETTE COLOR":
        found = slice_of(pixels, PhotometricInterpretation=kind)
    elif kind == "enhanced":
        found = slice_of(pixels, PerFrameFunctionalGroupsSequence=[Dataset(), Dataset()])
    elif kind == "padding-range":
        found = slice_of(pixels, PixelPaddingValue=0, PixelPaddingRangeLimit=5)
    elif kind == "bits":
        found = slice_of(gray("uint32", 0, 255))
    elif kind == "high-bit":
        found = slice_of(pixels, stored=12, HighBit=15)
    elif kind == "position":
        found = slice_of(pixels, ImagePositionPatient=[1, 2, 3])
    elif kind == "rt-image":
        found = slice_of(pixels, ImagePlanePixelSpacing=[1, 1])
    else:
        found = slice_of(pixels)
        del found.PixelData
    return found


@pytest.mark.parametrize(
    "kind",
    ["RGB", "PALETTE COLOR", "enhanced", "padding-range", "bits", "high-bit", "position",
     "rt-image", "no-image"],
)  # fmt: skip
def test_other_kinds_are_refused_by_name(sr: Run, tmp_path: Path, kind: str) -> None:
    write(tmp_path / "a.dcm", refused(kind))
    done = sr(*BICUBIC, "a.dcm", "--json")
    assert done.error_codes == ["unsupported-dicom"]
    assert done.records[0]["error"]["kind"] == kind
    assert not (tmp_path / "a_x2.dcm").exists()


def test_other_inputs_and_options_that_cannot_be(sr: Run, tmp_path: Path) -> None:
    save(tmp_path / "a.png", 20, 24)
    assert sr(*BICUBIC, "a.png", "-f", "dcm", "--json").error_codes == ["only-from-itself"]
    write(tmp_path / "a.dcm", slice_of(gray()))
    for option in ("--strip", "--compare"):
        assert sr(*BICUBIC, "a.dcm", option, "--json").error_codes == ["conflicting-options"]
    assert not [p for p in tmp_path.iterdir() if p.name not in ("a.png", "a.dcm")]
    write(tmp_path / "b.dcm", slice_of(np.stack([gray(), gray()])))
    assert sr(*BICUBIC, "b.dcm", "-f", "png", "--json").error_codes == ["unsupported-by-format"]
    assert sr(*BICUBIC, "b.dcm", "-f", "tif", "--json").returncode == 0
    picture = read_picture(tmp_path / "b_x2.tif")
    assert len(picture.frames) == 2 and Feature.PAGES in picture.features
    assert sr(*BICUBIC, "b.dcm", "--max-pixels", "700", "--json").error_codes == ["too-many-pixels"]
    for number, data in enumerate((b"\0" * 344 + b"n+1\0", b"\x1c\x02\0\0n+2\0" + bytes(540))):
        (tmp_path / f"{number}.nii").write_bytes(data)
        done = sr(*BICUBIC, f"{number}.nii", "--json")
        assert done.error_codes == ["not-supported-format"]
        assert done.records[0]["error"]["format"] == "NIfTI"


def test_missing_extra(sr: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.dcm", slice_of(gray()))
    monkeypatch.setitem(__import__("sys").modules, "pydicom", None)
    assert sr(*BICUBIC, "a.dcm", "--json").error_codes == ["extra-missing"]
    assert b"error[extra-missing]" in sr("models", "--of", "a.dcm").stderr


def damaged(kind: str, path: Path) -> None:
    """A file whose values make pydicom complain about them, in the name of the patient."""
    found = slice_of(gray(), PatientComments=SECRET)
    if kind == "number":
        found.add_new("RescaleSlope", "LO", SECRET)
    elif kind == "window":
        del found.WindowCenter
        found.add_new("WindowCenter", "LO", SECRET)
    elif kind == "syntax":
        write(path, found)
        content = path.read_bytes().replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.9\0")
        path.write_bytes(content)
        return
    elif kind == "spacing":
        found.add_new("PixelSpacing", "LO", [SECRET, SECRET])
    write(path, found)
    if kind == "cut":
        path.write_bytes(path.read_bytes()[:-300])


@pytest.mark.parametrize("kind", ["number", "window", "syntax", "spacing", "cut", "whole"])
@pytest.mark.parametrize("target", ["dcm", "png"])
def test_nothing_about_the_patient_is_ever_said(
    sr: Run, tmp_path: Path, kind: str, target: str
) -> None:
    damaged(kind, tmp_path / "a.dcm")
    codes = set()
    for options in (("-v", "-y"), ("--json", "-y")):
        done = sr(*BICUBIC, "a.dcm", "-f", target, *options)
        said = done.stdout + done.stderr
        for secret in (SECRET, "Secret", "S-77", UID):
            assert secret.encode() not in said
        assert b"Traceback" not in said
        codes.add(done.returncode)
    fails = kind in ("syntax", "spacing", "cut") or (target == "png" and kind in WINDOWS)
    assert codes == {int(fails)}
    if kind in ("syntax", "cut"):
        assert done.error_codes == ["undecodable-pixels"]
    assert fails != (tmp_path / f"a_x2.{target}").exists()


WINDOWS = ("number", "window")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"PixelData": None}, "unsupported-dicom"),
        ({"PixelData": b""}, "undecodable-pixels"),
        ({"PixelData": b"\0" * 958}, "undecodable-pixels"),
        ({"NumberOfFrames": 3}, "undecodable-pixels"),
        ({"Rows": 65535}, "undecodable-pixels"),
        ({"Rows": 0}, "undecodable-pixels"),
        ({"Columns": None}, "damaged-image"),
        ({"BitsStored": None}, "damaged-image"),
        ({"PixelRepresentation": None}, "undecodable-pixels"),
        ({"PixelData": gray().tobytes() + b"\0" * 500}, None),
    ],
    ids=lambda value: value if isinstance(value, str | None) else "".join(value),
)
def test_data_of_another_length_than_the_header_says(
    sr: Run, tmp_path: Path, change: dict[str, Any], code: str | None
) -> None:
    found = slice_of(gray())
    for name, value in change.items():
        if value is None:
            delattr(found, name)
        else:
            setattr(found, name, value)
    write(tmp_path / "a.dcm", found)
    done = sr(*BICUBIC, "a.dcm", "-v")
    assert done.error_codes == ([code] if code else [])
    said = done.stdout + done.stderr
    assert b"Secret" not in said and b"S-77" not in said
    assert (tmp_path / "a_x2.dcm").exists() == (code is None)
