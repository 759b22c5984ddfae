#!/usr/bin/env bash
# TIFF with WhiteIsZero: Pillow, OpenCV and OpenImageIO give a positive at 8 bits, and a negative at 16.
#
# Guess:     a reader turns photometric interpretation 0 into the usual black-is-zero or leaves the samples alone (as
#            tifffile and GDAL do, which tell the interpretation), but does the same for every depth.
# Behaviour: all three turn 8-bit samples over. 16-bit ones of the same picture come as stored: a negative, in a mode
#            or array that says nothing of it, and saving it as PNG makes it one for good. In OpenCV even the
#            flags decide: IMREAD_UNCHANGED gives the negative and IMREAD_COLOR (the default) the positive
#            of the same 16-bit file. libvips turns integers of every depth over.
# Matters:   film and X-ray scanners, microfilm and fax write WhiteIsZero, and 16 bits are what such scans are
#            upscaled in. In a mixed folder some results and training pairs are negatives.
# Standard:  TIFF 6.0, PhotometricInterpretation (262): 0 is WhiteIsZero, "for bilevel and grayscale images", without
#            a limit of depth.
# Packages:  pillow 13.0.0, opencv-python-headless 5.0.0.93, openimageio 3.2.2.0, pyvips 3.2.0 with pyvips-binary 8.18.7,
#            tifffile 2026.3.3, numpy 2.4.6; Python 3.11 or later.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check 'pillow==13.0.0' \
    'opencv-python-headless==5.0.0.93' 'openimageio==3.2.2.0' 'pyvips==3.2.0' 'pyvips-binary==8.18.7' \
    'tifffile==2026.3.3' 'numpy==2.4.6'
cd "$work"
venv/bin/python - <<'PY'
import cv2
import numpy as np
import OpenImageIO as oiio
import PIL
import pyvips
import tifffile
from PIL import Image

print("guess: a depth changes precision, not polarity")
print(f"Pillow {PIL.__version__}, OpenCV {cv2.__version__}, OpenImageIO {oiio.VERSION_STRING}, libvips "
      f"{pyvips.version(0)}.{pyvips.version(1)}.{pyvips.version(2)}, tifffile {tifffile.__version__}")


def by_pillow(path):
    with Image.open(path) as image:
        return np.asarray(image)


def by_oiio(path):
    buffer = oiio.ImageBuf(path)
    return buffer.get_pixels(buffer.spec().format)[..., 0]


READERS = {
    "Pillow": by_pillow,
    "OpenCV, unchanged": lambda path: cv2.imread(path, cv2.IMREAD_UNCHANGED),
    "OpenCV, colour": lambda path: cv2.imread(path)[..., 0],
    "OpenImageIO": by_oiio,
    "libvips": lambda path: pyvips.Image.new_from_file(path).numpy(),
}
seen = {}
for kind, top in (("uint8", 255), ("uint16", 65535)):
    # What is seen: a ramp from black to white. What is stored: its negative.
    ramp = np.linspace(0, top, 16).astype(kind)[None].repeat(16, 0)
    path = f"{kind}.tif"
    tifffile.imwrite(path, top - ramp, photometric="miniswhite")
    with tifffile.TiffFile(path) as file:
        assert file.pages[0].photometric == 0 and (file.asarray() == top - ramp).all()
    for name, read in READERS.items():
        got = read(path).astype(float)
        got *= 255 / np.iinfo(read(path).dtype).max
        shown = ramp * (255 / top)
        seen[name, kind] = ("positive" if abs(got - shown).max() <= 1 else
                            "negative" if abs(got - (255 - shown)).max() <= 1 else "neither")
    print(f"  {kind}:", {name: seen[name, kind] for name in READERS})
for name in READERS:
    assert seen[name, "uint8"] == "positive", name
    assert seen[name, "uint16"] == ("positive" if name in ("libvips", "OpenCV, colour") else "negative"), name
with Image.open("uint16.tif") as image:
    image.save("pillow.png")
assert cv2.imread("pillow.png", cv2.IMREAD_UNCHANGED)[0, [0, -1]].tolist() == [65535, 0]
print("behaviour: the 16-bit scan is a negative for Pillow (and as its PNG), OpenCV and OpenImageIO")
PY
