#!/usr/bin/env bash
# OpenCV 5 reading TIFFs with alpha: 8-bit colours come back multiplied by alpha, 16-bit ones do not.
#
# Guess:     IMREAD_UNCHANGED gives the stored samples, at 8 as at 16 bits; if alpha were ever applied,
#            then alike for both depths, and the file's ExtraSamples tag would decide.
# Behaviour: at 8 bits, ExtraSamples 2 (straight alpha) makes OpenCV multiply the colours by alpha, without
#            a word; the array looks like any other BGRA. The same picture at 16 bits, or with
#            ExtraSamples 1 (already multiplied) or without the tag, comes as stored. OpenCV's own
#            TIFFs lack the tag, so its round trip shows nothing. What Pillow saved does not survive.
# Matters:   upscaling straight-alpha artwork: edges and glass go dark once (and twice when the result is
#            laid over a background as straight alpha, which it still claims to be).
# Standard:  TIFF 6.0, ExtraSamples (tag 338): 1 is associated, 2 unassociated alpha. libtiff's RGBA reader,
#            which OpenCV uses for 8 bits, is documented to return associated alpha.
# Packages:  opencv-python-headless 5.0.0.93, pillow 13.0.0, tifffile 2026.3.3, numpy 2.4.6; Python 3.11 or later.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check 'opencv-python-headless==5.0.0.93' \
    'pillow==13.0.0' 'tifffile==2026.3.3' 'numpy==2.4.6'
cd "$work"
venv/bin/python - 2>opencv.log <<'PY' || { cat opencv.log >&2; exit 1; }
import cv2
import numpy as np
import PIL
import tifffile
from PIL import Image

print("guess: the stored samples, at both depths")
print(f"OpenCV {cv2.__version__}, Pillow {PIL.__version__}, tifffile {tifffile.__version__}")
COLOUR = (200, 100, 50)
pixels = np.zeros((64, 64, 4), np.uint8)
pixels[..., :3] = COLOUR
pixels[..., 3] = np.arange(64) * 4


def read(name):
    return cv2.cvtColor(cv2.imread(name, cv2.IMREAD_UNCHANGED), cv2.COLOR_BGRA2RGBA)


def show(label, got, expected):
    print(f"  {label:44}: at alpha 128 the colour {COLOUR} is {tuple(got[5, 32, :3].tolist())}")
    assert np.array_equal(got[..., 3], expected[..., 3])


times_alpha = np.round(pixels[..., :3] * (pixels[..., 3:] / 255.0)).astype(int)
for depth, stored in ((8, pixels), (16, pixels.astype(np.uint16) * 257)):
    for kind in ("unassalpha", "assocalpha"):
        tifffile.imwrite("picture.tif", stored, photometric="rgb", extrasamples=[kind])
        assert np.array_equal(tifffile.imread("picture.tif"), stored)
        got = read("picture.tif")
        show(f"{depth} bits, {kind}", got, stored)
        if (depth, kind) == (8, "unassalpha"):
            assert abs(got[..., :3].astype(int) - times_alpha).max() <= 1
        else:
            assert np.array_equal(got, stored)

Image.fromarray(pixels, "RGBA").save("pillow.tif")
assert np.array_equal(np.asarray(Image.open("pillow.tif")), pixels)
got = read("pillow.tif")
show("saved by Pillow", got, pixels)
assert abs(got[..., :3].astype(int) - times_alpha).max() <= 1
cv2.imwrite("own.tif", cv2.cvtColor(pixels, cv2.COLOR_RGBA2BGRA))
show("saved by OpenCV itself", read("own.tif"), pixels)
assert np.array_equal(read("own.tif"), pixels)

again = got[..., :3] * (got[..., 3:] / 255.0)
right = pixels[..., :3] * (pixels[..., 3:] / 255.0)
print(f"behaviour: laid over black as straight alpha, up to {abs(again - right).max():.0f} levels too dark")
assert abs(again - right).max() > 45
PY
