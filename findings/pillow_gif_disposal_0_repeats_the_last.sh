#!/usr/bin/env bash
# Pillow 13.0.0 reading GIF: a frame without a disposal is disposed of like the frame before it.
#
# Guess:     disposal 0 ("none specified", what simple encoders write) leaves the frame where it is, as 1 does; the four
#            readers at hand agree, whatever frames came before.
# Behaviour: Pillow keeps the last disposal that was not 0 and applies it again. After a single frame with disposal 2
#            (clear) all later frames of disposal 0 are cleared, too: what they drew is gone from the rest of the
#            animation. After a 3 (restore), each is taken back. FFmpeg, OpenCV 5 and libvips keep them. Files with one
#            disposal throughout, or with 0 alone, are read alike by all four.
# Matters:   of 300 random small animations with mixed disposals Pillow reads 60 otherwise than the three
#            others, which agree on every pixel. Enlarging such a GIF frame by frame bakes the holes in.
# Standard:  GIF89a, section 23 (Graphic Control Extension), disposal method 0: no disposal specified, the decoder is
#            not required to take any action. It belongs to the frame that follows the extension, and only to it.
# Packages:  pillow 13.0.0, av 18.1.0, opencv-python-headless 5.0.0.93, pyvips 3.2.0 with pyvips-binary 8.18.7, numpy
#            2.4.6; Python 3.11 or later.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check 'pillow==13.0.0' 'av==18.1.0' \
    'opencv-python-headless==5.0.0.93' 'pyvips==3.2.0' 'pyvips-binary==8.18.7' 'numpy==2.4.6'
cd "$work"
venv/bin/python - <<'PY'
import struct

import av
import cv2
import numpy as np
import PIL
import pyvips
from PIL import Image

print("guess: disposal 0 leaves a frame where it is")
print(f"Pillow {PIL.__version__}, PyAV {av.__version__}, OpenCV {cv2.__version__}, libvips "
      f"{pyvips.version(0)}.{pyvips.version(1)}.{pyvips.version(2)}")
WIDTH, HEIGHT = 8, 6
COLOURS = np.random.default_rng(0).integers(0, 256, (16, 3), dtype=np.uint8)


def packed(indices):
    """The indices as LZW codes of 5 bits that never use the dictionary."""
    codes = []
    for place, index in enumerate(indices):
        codes += [16] * (place % 14 == 0) + [int(index)]
    bits = "".join(f"{code:05b}"[::-1] for code in [*codes, 17])
    data = bytes(int(bits[at : at + 8][::-1], 2) for at in range(0, len(bits), 8))
    return b"\x04" + bytes([len(data)]) + data + b"\x00"


def write(path, frames):
    """Frames are (left, top, indices, disposal); index 0 is transparent."""
    with open(path, "wb") as file:
        file.write(b"GIF89a" + struct.pack("<HHBBB", WIDTH, HEIGHT, 0x80 | 3, 0, 0) + COLOURS.tobytes())
        for left, top, indices, disposal in frames:
            file.write(b"\x21\xf9\x04" + struct.pack("<BHBB", disposal << 2 | 1, 5, 0, 0))
            file.write(b"," + struct.pack("<HHHHB", left, top, *indices.shape[::-1], 0) + packed(indices.ravel()))
        file.write(b";")


def by_pillow(path):
    with Image.open(path) as image:
        for number in range(image.n_frames):
            image.seek(number)
            yield np.asarray(image.convert("RGBA"))


def by_av(path):
    with av.open(path) as container:
        return [frame.to_ndarray(format="rgba") for frame in container.decode(video=0)]


def by_opencv(path):
    return [cv2.cvtColor(frame, cv2.COLOR_BGRA2RGBA) for frame in cv2.imreadanimation(path)[1].frames]


def by_vips(path):
    return np.split(pyvips.Image.new_from_file(path, n=-1, revalidate=True).numpy(), pyvips.Image.new_from_file(
        path, n=-1, revalidate=True).get("n-pages"))


def same(one, other):
    return all((a[..., 3] == b[..., 3]).all() and (a[a[..., 3] > 0] == b[a[..., 3] > 0]).all()
               for a, b in zip(one, other, strict=True))


def agree(path):
    """Whether Pillow reads what the three others, which have to agree, read."""
    expected = by_av(path)
    assert same(by_opencv(path), expected) and same(by_vips(path), expected)
    return same(list(by_pillow(path)), expected)


# A frame that clears itself, two bars that stay, one after the other, and a last frame elsewhere.
nothing = np.zeros((HEIGHT, WIDTH), np.uint8)
bar, dot = np.full((HEIGHT, 2), 5, np.uint8), np.full((1, 1), 9, np.uint8)
for disposals, right in (((2, 0, 0, 0), False), ((3, 0, 0, 0), False), ((1, 0, 0, 0), True), ((2, 1, 1, 1), True),
                         ((0, 0, 0, 0), True)):
    first, *rest = disposals
    write("bars.gif", [(0, 0, nothing, 1), (0, 0, dot, first),
                       *((2 * at + 1, 0, bar, disposal) for at, disposal in enumerate(rest))])
    pillow, others = (int((list(read("bars.gif"))[-1][..., 3] > 0).sum()) for read in (by_pillow, by_av))
    print(f"  disposals {disposals}: at the end {others} pixels are painted for the others, {pillow} for Pillow")
    assert agree("bars.gif") is right and (pillow == others) is right

differing = 0
for seed in range(300):
    rng = np.random.default_rng(seed)
    frames = [(0, 0, nothing, 1)]
    for _ in range(rng.integers(2, 6)):
        width, height = rng.integers(2, 6, 2)
        frames.append((int(rng.integers(0, WIDTH - width + 1)), int(rng.integers(0, HEIGHT - height % 5)),
                       rng.integers(0, 16, (height % 5 or 1, width), dtype=np.uint8), int(rng.integers(0, 4))))
    write("random.gif", frames)
    differing += not agree("random.gif")
print("behaviour:", differing, "of 300 random animations are another one for Pillow")
assert differing > 30
PY
