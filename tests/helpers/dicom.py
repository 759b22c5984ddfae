"""DICOM slices of a patient whose name must not be told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from helpers.command import BICUBIC, Run
from helpers.images import smooth

UID = "1.2.826.0.1.3680043.8.498.1"
SECRET = "Secret^Patient"


def slice_of(pixels: Any, *, stored: int | None = None, syntax: Any = None, **more: Any) -> Any:
    """A CT image with these pixels (h, w) or (frames, h, w), of a patient named SECRET."""
    found = Dataset()
    found.file_meta = FileMetaDataset()
    found.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    found.SOPClassUID, found.SOPInstanceUID = CTImageStorage, UID
    found.PatientName, found.PatientID, found.StudyInstanceUID = SECRET, "S-77", f"{UID}.2"
    found.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    found.RescaleSlope, found.RescaleIntercept = "2", "-1000"
    found.WindowCenter, found.WindowWidth = "40", "400"
    bits = pixels.itemsize * 8
    found.SamplesPerPixel, found.PhotometricInterpretation = 1, "MONOCHROME2"
    found.Rows, found.Columns = pixels.shape[-2:]
    found.BitsAllocated, found.BitsStored = bits, stored or bits
    found.HighBit = found.BitsStored - 1
    found.PixelRepresentation = int(pixels.dtype.kind == "i")
    if pixels.ndim == 3:
        found.NumberOfFrames = len(pixels)
    content = pixels.tobytes()
    found.add_new("PixelData", "OB" if bits == 8 else "OW", content + b"\0" * (len(content) % 2))
    for name, value in more.items():
        setattr(found, name, value)
    if syntax == ImplicitVRLittleEndian:
        found.file_meta.TransferSyntaxUID = syntax
    elif syntax is not None:
        found.compress(syntax, generate_instance_uid=False)
    return found


def write(path: Path, found: Any) -> None:
    """Write a data set as a file of its own."""
    found.save_as(path, enforce_file_format=True)


def gray(dtype: str = "int16", low: int = -900, top: int = 3000, h: int = 20, w: int = 24) -> Any:
    """Smooth values from `low` to `top`, (h, w)."""
    values = smooth(h, w, top=255)[..., 0].astype(np.float64) / 255
    return (low + values * (top - low)).astype(dtype)


def upscaled(sr: Run, folder: Path, found: Any, *options: str) -> Any:
    """The data set that is upscaled by two, and the outcome of the command."""
    write(folder / "a.dcm", found)
    done = sr(*BICUBIC, "a.dcm", "-y", "--json", *options)
    assert done.returncode == 0, done.stderr
    return pydicom.dcmread(folder / "a_x2.dcm"), done
