#!/usr/bin/env bash
# libvips reading an AVIF with premultiplied alpha: the multiplied colours are given out as straight ones.
#
# Guess:     the file says that its colours are multiplied by alpha; libvips, whose own convention is straight
#            alpha (it has premultiply and unpremultiply for the other), divides, or at least says so.
# Behaviour: pyvips gives an ordinary four-band sRGB picture with the colours still multiplied; no field tells it
#            from a straight one, and saving it as PNG or AVIF makes the loss lasting. Pillow, OpenCV 5
#            and imagecodecs divide: from the same file they give the original colours (within AV1's loss).
#            Enlarging (which handles straight alpha properly) keeps the dark colours.
# Matters:   soft edges and glass turn dark, at alpha 128 to half, before and after upscaling. Encoders write
#            such files to save bits (avifenc's --premultiply, Pillow's alpha_premultiplied).
# Standard:  HEIF (ISO/IEC 23008-12) marks such pictures by an item reference of type "prem"; MIAF (ISO/IEC
#            23000-22) and AVIF take it over; readers have to heed it to show the picture right.
# Packages:  pyvips 3.2.0 with pyvips-binary 8.18.7, pillow 13.0.0, opencv-python-headless 5.0.0.93,
#            imagecodecs 2026.3.6, numpy 2.4.6; Python 3.11 or later.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check 'pyvips==3.2.0' 'pyvips-binary==8.18.7' \
    'pillow==13.0.0' 'opencv-python-headless==5.0.0.93' 'imagecodecs==2026.3.6' 'numpy==2.4.6'
cd "$work"
venv/bin/python - <<'PY'
import cv2
import imagecodecs
import numpy as np
import PIL
import pyvips
from PIL import Image

print("guess: what is given out with four bands has straight alpha")
print(f"libvips {'.'.join(str(pyvips.version(i)) for i in range(3))}, Pillow {PIL.__version__}, "
      f"OpenCV {cv2.__version__}, imagecodecs {imagecodecs.__version__}")
COLOUR = np.array([200, 100, 50])
pixels = np.zeros((64, 64, 4), np.uint8)
pixels[..., :3] = COLOUR
pixels[..., 3] = 4 * np.arange(64)
image = Image.fromarray(pixels, "RGBA")
image.save("straight.avif", quality=95, subsampling="4:4:4")
image.save("premultiplied.avif", quality=95, subsampling="4:4:4", alpha_premultiplied=True)


def judge(name, got, column, straight):
    colour, alpha = got[got.shape[0] // 2, column, :3].astype(int), int(got[got.shape[0] // 2, column, 3])
    wanted = COLOUR if straight else COLOUR * alpha // 255
    print(f"  {name:32}: at alpha {alpha} the colour {tuple(COLOUR.tolist())} is {tuple(colour.tolist())}")
    assert abs(alpha - 128) <= 3 and abs(colour - wanted).max() <= 6, (name, colour)


for name, multiplied in (("straight.avif", False), ("premultiplied.avif", True)):
    data = open(name, "rb").read()
    assert (b"prem" in data) == multiplied
    judge(f"{name}, Pillow", np.asarray(Image.open(name)), 32, True)
    judge(f"{name}, OpenCV", cv2.cvtColor(cv2.imread(name, cv2.IMREAD_UNCHANGED), cv2.COLOR_BGRA2RGBA), 32, True)
    judge(f"{name}, imagecodecs", imagecodecs.avif_decode(data), 32, True)
    picture = pyvips.Image.new_from_file(name)
    judge(f"{name}, libvips", picture.numpy(), 32, not multiplied)
    assert picture.interpretation == "srgb" and picture.bands == 4
    assert not any("prem" in field for field in picture.get_fields())
    picture.write_to_file("stored.png")
    judge("  stored as PNG by libvips", np.asarray(Image.open("stored.png")), 32, not multiplied)
    enlarged = np.asarray(Image.fromarray(picture.resize(2).numpy(), "RGBA"))
    judge("  enlarged x2 by libvips", enlarged, int(np.argmin(abs(enlarged[64, :, 3].astype(int) - 128))), not multiplied)
print("behaviour: libvips gives about (100, 50, 25) for (200, 100, 50) at half alpha, as straight alpha")
PY
