#!/usr/bin/env bash
# SimpleITK and enhanced (multi-frame) DICOM: the first frame's slope for all frames, and slices where none were.
#
# Guess:     SimpleITK applies RescaleSlope and -Intercept (it does for one frame a file), so in a multi-frame PET, CT
#            or MR file it applies each frame's own, and puts each frame where the file says it lies; or it refuses.
# Behaviour: - the first frame's slope is applied to all frames: values of 100, 200, 300 and 400 come out as 100 four
#              times. With slopes 3, 1, 1, 1 everything is three times too large. pydicom's apply_rescale, asked
#              for just that, returns the stored numbers unscaled, so it is no check: both say 100.
#            - frames that are stored in another order than they lie in (0, 2, 1, 3 times 2 mm, as acquired in
#              interleaved order) are left in stored order, with a slice spacing of 1 mm, which is nowhere in
#              the file. Stored upwards or downwards, spacing, origin and direction are right.
#            Nothing is raised or said. highdicom gives the values and the order that the file describes.
# Matters:   PET scanners choose a slope for each slice, and the step from slice to slice is lost: uptake, dose or ADC
#            are off by the ratio of slopes, and a volume that is enlarged through slices shuffles anatomy.
# Standard:  DICOM PS3.3, C.7.6.16.2.9 (Pixel Value Transformation, allowed per frame), C.7.6.16.2.3 (Plane
#            Position) and C.7.6.17 (Multi-frame Dimension): positions and dimension indices tell where a
#            frame belongs, not its number in the file.
# Packages:  SimpleITK 2.5.7 (its GDCM), pydicom 3.0.2, highdicom 0.28.2, numpy 2.4.6; Python 3.11 or later.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check 'SimpleITK==2.5.7' 'pydicom==3.0.2' \
    'highdicom==0.28.2' 'numpy==2.4.6'
cd "$work"
venv/bin/python - <<'PY'
import highdicom
import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels import apply_rescale
from pydicom.uid import (
    EnhancedCTImageStorage,
    EnhancedMRImageStorage,
    EnhancedPETImageStorage,
    ExplicitVRLittleEndian,
    generate_uid,
)

print("guess: 100, 200, 300, 400, spaced 2 mm")
print(f"SimpleITK {sitk.Version.VersionString()}, pydicom {pydicom.__version__}, highdicom {highdicom.__version__}")


def group(**elements):
    dataset = Dataset()
    for name, value in elements.items():
        setattr(dataset, name, value)
    return dataset


def write(path, kind, modality, slopes, places):
    """Frames that all store 100, with a slope each, at 2 mm times their place."""
    shared = group(
        PlaneOrientationSequence=[group(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])],
        PixelMeasuresSequence=[group(PixelSpacing=[1, 1], SliceThickness=2, SpacingBetweenSlices=2)])
    frames = [group(
        FrameContentSequence=[group(StackID="1", InStackPositionNumber=place + 1, DimensionIndexValues=[1, place + 1])],
        PlanePositionSequence=[group(ImagePositionPatient=[0, 0, 2 * place])],
        PixelValueTransformationSequence=[group(RescaleIntercept=0, RescaleSlope=slope, RescaleType="US")])
        for slope, place in zip(slopes, places, strict=True)]
    dimensions = [group(DimensionIndexPointer=tag, FunctionalGroupPointer=0x00209111) for tag in (0x00209056, 0x00209057)]
    dataset = group(
        SOPClassUID=kind, SOPInstanceUID=generate_uid(), StudyInstanceUID=generate_uid(),
        SeriesInstanceUID=generate_uid(), FrameOfReferenceUID=generate_uid(), Modality=modality, PatientID="1",
        Rows=2, Columns=2, SamplesPerPixel=1, PhotometricInterpretation="MONOCHROME2", NumberOfFrames=len(frames),
        BitsAllocated=16, BitsStored=16, HighBit=15, PixelRepresentation=0, DimensionIndexSequence=dimensions,
        SharedFunctionalGroupsSequence=[shared], PerFrameFunctionalGroupsSequence=frames)
    dataset.PixelData = np.full((len(frames), 2, 2), 100, "<u2").tobytes()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID, dataset.file_meta.MediaStorageSOPInstanceUID = kind, dataset.SOPInstanceUID
    dataset.save_as(path, enforce_file_format=True)


def by_highdicom(path):
    """Values from the lowest slice up, and their distance."""
    volume = highdicom.imread(path).get_volume(apply_modality_transform=True, apply_real_world_transform=False)
    values = volume.array[:, 0, 0].astype(float)
    return (values if volume.affine[2, 0] > 0 else values[::-1]).tolist(), volume.spacing[0]


def by_sitk(path):
    image = sitk.ReadImage(path)
    return sitk.GetArrayFromImage(image)[:, 0, 0].astype(float).tolist(), image.GetSpacing()[2]


for kind, modality in ((EnhancedPETImageStorage, "PT"), (EnhancedMRImageStorage, "MR"), (EnhancedCTImageStorage, "CT")):
    write("slopes.dcm", kind, modality, [1, 2, 3, 4], [0, 1, 2, 3])
    dataset = pydicom.dcmread("slopes.dcm")
    bare = apply_rescale(dataset.pixel_array, dataset)[:, 0, 0].tolist()
    print(f"  {modality}: highdicom {by_highdicom('slopes.dcm')}, SimpleITK {by_sitk('slopes.dcm')}, pydicom {bare}")
    assert by_highdicom("slopes.dcm") == ([100, 200, 300, 400], 2)
    assert by_sitk("slopes.dcm") == ([100] * 4, 2) and bare == [100] * 4
    write("first.dcm", kind, modality, [3, 1, 1, 1], [0, 1, 2, 3])
    assert by_sitk("first.dcm") == ([300] * 4, 2), "it does apply slopes: one of them"
    assert by_highdicom("first.dcm") == ([300, 100, 100, 100], 2)

write("order.dcm", EnhancedPETImageStorage, "PT", [1, 2, 3, 4], [0, 2, 1, 3])
print(f"behaviour: interleaved, highdicom {by_highdicom('order.dcm')}, SimpleITK {by_sitk('order.dcm')}")
assert by_highdicom("order.dcm") == ([100, 300, 200, 400], 2)
assert by_sitk("order.dcm") == ([100] * 4, 1)
PY
