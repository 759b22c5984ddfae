#!/usr/bin/env bash
# Pillow 13.0.0 and 16-bit PNG with a transparent colour: another colour becomes transparent, often white.
#
# Guess:     Pillow has no 16-bit RGB and keeps the upper byte of each sample. It does so with the key of tRNS, too, so
#            that the keyed colour, and at worst its 255 neighbours, are transparent.
# Behaviour: the upper byte of the picture is compared with the lower byte of the key. A near-black key of 255
#            makes white transparent, and leaves the keyed pixels opaque. A key of 32768, a middle gray, makes black
#            transparent; 4660 (0x1234) hits what is 0x34.. in the file. Only keys with two equal bytes are right, and
#            those are what 8-bit pictures become when they are widened, so tests pass. `info` has the 16-bit key
#            beside 8-bit pixels, and saving as PNG writes the wrong key into an 8-bit file.
#            OpenCV 5, libvips, OpenImageIO and FFmpeg make the keyed pixels transparent and no others.
# Matters:   holes in the highlights of a cut-out and a background that stays, before and after enlarging.
# Standard:  PNG third edition, 11.3.1.1 (tRNS): a key has 2 bytes a sample, and pixels of that very value are
#            transparent, all others opaque.
# Packages:  pillow 13.0.0, opencv-python-headless 5.0.0.93, pyvips 3.2.0 with pyvips-binary 8.18.7, openimageio 3.2.2.0,
#            av 18.1.0, pypng 0.20220715.0 (writes), numpy 2.4.6; Python 3.11 or later.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check 'pillow==13.0.0' \
    'opencv-python-headless==5.0.0.93' 'pyvips==3.2.0' 'pyvips-binary==8.18.7' 'openimageio==3.2.2.0' \
    'av==18.1.0' 'pypng==0.20220715.0' 'numpy==2.4.6'
cd "$work"
venv/bin/python - <<'PY'
import av
import cv2
import numpy as np
import OpenImageIO as oiio
import PIL
import png
import pyvips
from PIL import Image

print("guess: the keyed colour is transparent, or at worst its neighbours are")
print(f"Pillow {PIL.__version__}, OpenCV {cv2.__version__}, OpenImageIO {oiio.VERSION_STRING}, PyAV {av.__version__}")


def by_pillow(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGBA"))[0, :, 3] == 0


def by_oiio(path):
    return oiio.ImageBuf(path).get_pixels(oiio.UINT16)[0, :, 3] == 0


def by_av(path):
    with av.open(path) as container:
        return next(container.decode(video=0)).to_ndarray()[0, :, 3] == 0


OTHERS = {
    "OpenCV": lambda path: cv2.imread(path, cv2.IMREAD_UNCHANGED)[0, :, 3] == 0,
    "libvips": lambda path: pyvips.Image.new_from_file(path).numpy()[0, :, 3] == 0,
    "OpenImageIO": by_oiio,
    "PyAV": by_av,
}
GRAYS = np.array([0, 255, 4660, 13312, 32768, 33410, 65535])
wrong = {}
for key in (255, 4660, 32768, 33410):
    path = f"{key}.png"
    with open(path, "wb") as file:
        writer = png.Writer(len(GRAYS), 1, greyscale=False, bitdepth=16, transparent=(key,) * 3)
        writer.write(file, [np.repeat(GRAYS, 3).tolist()])
    for name, read in OTHERS.items():
        assert GRAYS[read(path)].tolist() == [key], name
    wrong[key] = GRAYS[by_pillow(path)].tolist()
    print(f"  key {key}: transparent in the others {key}, in Pillow {wrong[key]}")
assert wrong == {255: [65535], 4660: [13312], 32768: [0, 255], 33410: [33410]}

with Image.open("255.png") as image:
    assert image.info["transparency"] == (255, 255, 255)
    image.save("eight.png")
eight = cv2.imread("eight.png", cv2.IMREAD_UNCHANGED)
print("behaviour: saved as PNG, 65535 has alpha", eight[0, -1, 3], "and the keyed 255 has", eight[0, 1, 3])
assert eight.dtype == np.uint8 and (eight[0, -1, 3], eight[0, 1, 3]) == (0, 255)
PY
