#!/usr/bin/env bash
# SimpleITK reading TIFF: half floats become integers, gray with alpha is read as half a picture.
#
# Guess:     SimpleITK reads float TIFFs (32-bit ones, it does) and, where it lacks a sample format, refuses.
# Behaviour: - 16-bit floats are taken for 16-bit integers: 0.5 is 14336, 1.0 is 15360, -1.0 is 48128. The
#              pixel type says "16-bit unsigned integer", nothing is raised.
#            - 8-bit gray with alpha (two samples a pixel) is read as one gray image of the same size whose
#              rows are the first half of the row's samples, gray and alpha in turn: the right half of
#              the picture is gone, the left one is combed and twice as wide.
# Matters:   networks write half floats, and their results and masks are looked at with SimpleITK: the values
#            rise with the right ones (where positive), so that an automatic window shows a plausible
#            picture with a wrong tone curve; means and differences are nonsense.
# Standard:  TIFF 6.0: SampleFormat (339) 3 is IEEE floating point, of BitsPerSample bits; SamplesPerPixel (277)
#            samples follow each other in each pixel.
# Packages:  SimpleITK 2.5.7, tifffile 2026.3.3, numpy 2.4.6; Python 3.11 or later.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check 'SimpleITK==2.5.7' 'tifffile==2026.3.3' 'numpy==2.4.6'
cd "$work"
venv/bin/python - <<'PY'
import numpy as np
import SimpleITK as sitk
import tifffile

print("guess: float TIFFs are read as floats, or refused; two samples a pixel as two")
print(f"SimpleITK {sitk.Version.VersionString()}, tifffile {tifffile.__version__}")


def through(pixels, **options):
    tifffile.imwrite("picture.tif", pixels, **options)
    assert np.array_equal(tifffile.imread("picture.tif"), pixels)
    image = sitk.ReadImage("picture.tif")
    return image.GetPixelIDTypeAsString(), sitk.GetArrayFromImage(image)


row = np.array([0, 0.25, 0.5, 1, 2, -1], np.float32)
field = np.repeat(row[None], 4, 0)
for kind in (np.float32, np.float16):
    name, got = through(field.astype(kind))
    print(f"  {np.dtype(kind).name}: {row.tolist()} read as {got[0].tolist()} ({name})")
    if kind is np.float32:
        assert np.array_equal(got, field)
    else:
        assert got.dtype == np.uint16 and np.array_equal(got, field.astype(np.float16).view(np.uint16))

gray = np.arange(8, dtype=np.uint8) * 10
both = np.repeat(np.stack([gray, 255 - gray], -1)[None], 4, 0)
name, got = through(both, photometric="minisblack", planarconfig="contig", extrasamples=["unassalpha"])
print(f"  gray with alpha, gray {gray.tolist()}: read as {got[0].tolist()} ({name}, {got.shape})")
assert got.shape == (4, 8) and np.array_equal(got[0], both[0].reshape(-1)[:8])

print("behaviour: 1.0 reads as 15360, alpha lands between the gray values")
PY
