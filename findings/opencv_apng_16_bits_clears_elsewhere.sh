#!/usr/bin/env bash
# OpenCV 5 reading animated PNGs of 16 bits: "clear this frame" clears half of it, and something to its left.
#
# Guess:     disposal "background" makes the frame's rectangle transparent before the next frame, at 16 as at 8 bits.
# Behaviour: at 8 bits it does. At 16 bits the rectangle that is cleared starts at half the distance from the left and has
#            half the width: places are counted in pixels of 4 bytes, which have 8. What should be gone stays
#            in the right half, and a hole appears to the left of it, up to the end of the animation.
#            Pillow 13 and FFmpeg (PyAV) read the same file as it is. Nothing is said.
# Matters:   16-bit animations are read with OpenCV because Pillow keeps 8 bits of them; each frame that is enlarged
#            carries remains of earlier ones and holes.
# Standard:  PNG third edition, 11.3.6.2 (fcTL), dispose_op 1: the frame's region of the output buffer is cleared to fully
#            transparent black before the next frame.
# Packages:  opencv-python-headless 5.0.0.93, pillow 13.0.0, av 18.1.0, numpy 2.4.6; Python 3.11 or later.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check 'opencv-python-headless==5.0.0.93' \
    'pillow==13.0.0' 'av==18.1.0' 'numpy==2.4.6'
cd "$work"
venv/bin/python - <<'PY'
import struct
import zlib

import av
import cv2
import numpy as np
import PIL
from PIL import Image

print("guess: the middle rectangle is clear in the last frame")
print(f"OpenCV {cv2.__version__}, Pillow {PIL.__version__}, PyAV {av.__version__}")
WIDTH, HEIGHT = 16, 8
LEFT, TOP, WIDE, HIGH = 4, 2, 8, 4


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def write(path, depth):
    """An opaque picture, a rectangle that clears itself, and a dot in the corner."""
    top = 2**depth - 1
    frames = [(0, 0, WIDTH, HEIGHT, top, 0), (LEFT, TOP, WIDE, HIGH, top // 2, 1), (0, 0, 1, 1, top, 0)]
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", WIDTH, HEIGHT, depth, 6, 0, 0, 0)))
        file.write(chunk(b"acTL", struct.pack(">II", len(frames), 0)))
        for number, (left, upper, wide, high, value, disposal) in enumerate(frames):
            order = max(2 * number - 1, 0)
            file.write(chunk(b"fcTL", struct.pack(">5IHHBB", order, wide, high, left, upper, 1, 10, disposal, 0)))
            pixels = np.full((high, wide, 4), value)
            pixels[..., 3] = top
            rows = b"".join(b"\x00" + row.astype(f">u{depth // 8}").tobytes() for row in pixels)
            data = zlib.compress(rows)
            file.write(chunk(b"IDAT", data) if number == 0 else chunk(b"fdAT", struct.pack(">I", order + 1) + data))
        file.write(chunk(b"IEND", b""))


def by_opencv(path):
    return cv2.imreadanimation(path)[1].frames[-1][..., 3] > 0


def by_pillow(path):
    with Image.open(path) as image:
        image.seek(2)
        return np.asarray(image.convert("RGBA"))[..., 3] > 0


def by_av(path):
    with av.open(path) as container:
        return list(container.decode(video=0))[-1].to_ndarray()[..., 3] > 0


right = np.ones((HEIGHT, WIDTH), bool)
right[TOP : TOP + HIGH, LEFT : LEFT + WIDE] = False
halved = np.ones((HEIGHT, WIDTH), bool)
halved[TOP : TOP + HIGH, LEFT // 2 : LEFT // 2 + WIDE // 2] = False
for depth in (8, 16):
    path = f"{depth}.png"
    write(path, depth)
    assert (by_pillow(path) == right).all() and (by_av(path) == right).all()
    got = by_opencv(path)
    print(f"  {depth} bits, row {TOP}: right {''.join('.#'[int(x)] for x in right[TOP])}, OpenCV "
          f"{''.join('.#'[int(x)] for x in got[TOP])}")
    assert (got == (right if depth == 8 else halved)).all()
print("behaviour: at 16 bits half of the rectangle is cleared, and as much beside it")
PY
