#!/usr/bin/env bash
# OpenCV 5: a TIFF whose compression it lacks is a black picture at 8 bits, and None at 16.
#
# Guess:     cv2.imread gives None for what it cannot decode, and that is what programs test for; with
#            Zstandard, LZMA or LERC it does, at any depth.
# Behaviour: with JPEG 2000, JPEG XL or PNG inside the TIFF (what tifffile writes for whole-slide and
#            camera pictures) an 8-bit file gives an array of the right shape, all 0. 16 bits with
#            IMREAD_UNCHANGED give None, the same file with IMREAD_COLOR is black again. Nothing is
#            raised; a line goes to the process's error output, where libraries silence it.
#            The difference is whether libtiff has a name for the scheme: known ones are refused when the file
#            is opened; for unknown ones the 8-bit path (libtiff's RGBA reader) fails tile by tile.
# Matters:   `if image is None` does not catch it; the upscaled result is black, as is the training pair.
# Standard:  TIFF 6.0, section 8 leaves Compression open to registered values: 34712 (JPEG 2000), 50002
#            (JPEG XL), 34933 (PNG). The files are read correctly by tifffile.
# Packages:  opencv-python-headless 5.0.0.93 (its libtiff 4.7.1), tifffile 2026.3.3, imagecodecs 2026.3.6,
#            numpy 2.4.6; Python 3.11 or later.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check 'opencv-python-headless==5.0.0.93' \
    'tifffile==2026.3.3' 'imagecodecs==2026.3.6' 'numpy==2.4.6'
cd "$work"
venv/bin/python - 2>opencv.log <<'PY' || { cat opencv.log >&2; exit 1; }
import cv2
import numpy as np
import tifffile

print("guess: cv2.imread returns None for a compression that it lacks")
print(f"OpenCV {cv2.__version__}, tifffile {tifffile.__version__}")
y, x = np.mgrid[0:64, 0:64]
eight = np.stack([x * 4, y * 4, 255 - x], -1).astype(np.uint8)


def answer(pixels, compression, flag):
    tifffile.imwrite("picture.tif", pixels, photometric="rgb", compression=compression)
    assert np.array_equal(tifffile.imread("picture.tif"), pixels), "the file is right"
    image = cv2.imread("picture.tif", flag)
    if image is None:
        return "None"
    assert image.shape == pixels.shape
    return "black" if not image.any() else "picture"


for compression in ("deflate", "zstd", "lzma", "lerc", "jpeg2000", "jpegxl", "png"):
    got = [answer(pixels, compression, flag) for pixels in (eight, eight.astype(np.uint16) * 257)
           for flag in (cv2.IMREAD_UNCHANGED, cv2.IMREAD_COLOR)]
    print(f"  {compression:9} 8 bits unchanged: {got[0]:8} colour: {got[1]:8} "
          f"16 bits unchanged: {got[2]:8} colour: {got[3]}")
    if compression == "deflate":
        assert got == ["picture"] * 4
    elif compression in ("zstd", "lzma", "lerc"):
        assert got == ["None"] * 4
    else:
        assert got == ["black", "black", "None", "black"], (compression, got)
print("behaviour: black pictures of the right size, and no error, for JPEG 2000, JPEG XL and PNG in TIFF")
PY
grep -c 'decoding is not implemented' opencv.log | sed 's/^/lines that OpenCV left on the error output: /'
