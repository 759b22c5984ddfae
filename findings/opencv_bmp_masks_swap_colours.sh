#!/usr/bin/env bash
# OpenCV 5: in a 32-bit BMP with masks behind the usual header, red and blue are exchanged.
#
# Guess:     cv2.imread gives the colours that the masks of a BI_BITFIELDS file name, or None.
# Behaviour: with a 40-byte BITMAPINFOHEADER, which the three masks follow, they are not read: the bytes
#            count as blue, green, red. The same pixels and masks inside a 108-byte BITMAPV4HEADER
#            are read correctly. An array of the right shape comes back, nothing is said. (Pillow
#            refuses red first behind both headers.)
# Matters:   RGBX frame buffers are saved so (32-bit BMP, red first): screenshots and frame grabbers. A
#            pipeline that reads with OpenCV trains on and writes exchanged colours.
# Standard:  [MS-WMF] 2.1.1.7: with Compression 3 (BI_BITFIELDS) three masks stand where the palette would
#            be, and say which bits are red, green and blue; their order is not fixed.
# Packages:  opencv-python-headless 5.0.0.93, pillow 13.0.0, numpy 2.4.6; Python 3.11 or later.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check 'opencv-python-headless==5.0.0.93' \
    'pillow==13.0.0' 'numpy==2.4.6'
cd "$work"
venv/bin/python - <<'PY'
import struct

import cv2
import numpy as np
import PIL
from PIL import Image

print("guess: the masks of a BMP name its channels, or the file is refused")
print(f"OpenCV {cv2.__version__}, Pillow {PIL.__version__}")
RED, GREEN, BLUE = 200, 100, 50
RGBX, BGRX = (0xFF, 0xFF00, 0xFF0000), (0xFF0000, 0xFF00, 0xFF)


def bitmap(header, masks):
    value = sum(v << ((m & -m).bit_length() - 1) for v, m in zip((RED, GREEN, BLUE), masks))
    body = np.full((4, 4), value, "<u4").tobytes()
    info = struct.pack("<IiiHHIIiiII", header, 4, 4, 1, 32, 3, len(body), 2835, 2835, 0, 0)
    info = (info + struct.pack("<3I", *masks)).ljust(max(header, 52), b"\0")
    start = 14 + len(info)
    return struct.pack("<2sIHHI", b"BM", start + len(body), 0, 0, start) + info + body


def by_opencv(name):
    image = cv2.imread(name)
    assert image is not None and image.shape == (4, 4, 3)
    return tuple(int(v) for v in image[0, 0, ::-1])


def by_pillow(name):
    try:
        with Image.open(name) as image:
            return image.convert("RGB").getpixel((0, 0))
    except OSError as error:
        return str(error)


got = {}
for header in (40, 108):
    for label, masks in (("blue first", BGRX), ("red first", RGBX)):
        with open("a.bmp", "wb") as file:
            file.write(bitmap(header, masks))
        got[header, label] = by_opencv("a.bmp")
        print(f"  header of {header:3} bytes, {label:10}: stored {(RED, GREEN, BLUE)}, "
              f"OpenCV {got[header, label]}, Pillow {by_pillow('a.bmp')}")
right, exchanged = (RED, GREEN, BLUE), (BLUE, GREEN, RED)
assert got[40, "blue first"] == got[108, "blue first"] == got[108, "red first"] == right, got
assert got[40, "red first"] == exchanged, got
print("behaviour: masks behind the 40-byte header are ignored; red and blue are exchanged, without an error")
PY
