#!/usr/bin/env bash
# PFM (float maps: depth, disparity, HDR): four readers, three scales, two ways up.
#
# Guess:     the header's number gives the byte order by its sign and a factor by its size, which readers either
#            all ignore (1.0 is usual) or all apply; rows are stored from the bottom up, and everybody
#            turns them.
# Behaviour: for a header scale of -2.5 and a stored 1.0 Pillow gives 1.0, OpenCV 5 and PyAV (FFmpeg) give
#            0.4 (they divide), OpenImageIO gives 2.5 (it multiplies): a factor of 6.25 between two readers.
#            At any scale OpenImageIO gives the rows in stored order, so its picture is upside down beside
#            the other three. It does write them from the bottom up, so that its own round trip turns the
#            picture over.
# Matters:   depth and disparity maps that guide or judge upscaling: a disparity 6.25 times as large is still
#            a plausible one, and a flipped map of a landscape, too.
# Standard:  none; the format's description by its author (P. Debevec, "PFM", also Netpbm's pfm(5)): samples left to
#            right, rows bottom to top; negative means little-endian.
# Packages:  pillow 13.0.0, opencv-python-headless 5.0.0.93, av 18.1.0, openimageio 3.2.2.0, numpy 2.4.6;
#            Python 3.11 or later.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check 'pillow==13.0.0' \
    'opencv-python-headless==5.0.0.93' 'av==18.1.0' 'openimageio==3.2.2.0' 'numpy==2.4.6'
cd "$work"
venv/bin/python - <<'PY'
import av
import cv2
import numpy as np
import OpenImageIO as oiio
import PIL
from PIL import Image

print("guess: all readers agree on the values and on which way is up")
print(f"Pillow {PIL.__version__}, OpenCV {cv2.__version__}, av {av.__version__}, OpenImageIO {oiio.VERSION_STRING}")

# Rows as seen: the top one is 1.0, below it 2.0 and so on; the file begins with the bottom row.
seen = np.repeat(np.arange(1, 17, dtype="<f4")[:, None], 16, 1)


def by_oiio(name):
    reader = oiio.ImageInput.open(name)
    pixels = reader.read_image("float")
    reader.close()
    return np.asarray(pixels)[..., 0]


def by_av(name):
    with av.open(name) as file:
        return next(file.decode(video=0)).to_ndarray()


readers = {
    "Pillow": lambda name: np.asarray(Image.open(name)),
    "OpenCV": lambda name: cv2.imread(name, cv2.IMREAD_UNCHANGED),
    "PyAV": by_av,
    "OpenImageIO": by_oiio,
}
factors = {"Pillow": 1, "OpenCV": 1 / 2.5, "PyAV": 1 / 2.5, "OpenImageIO": 2.5}

for scale in (-1.0, -2.5):
    with open("map.pfm", "wb") as file:
        file.write(f"Pf\n16 16\n{scale}\n".encode() + seen[::-1].tobytes())
    print(f"  header scale {scale}, stored from top to bottom 1, 2 ... 16:")
    for name, reader in readers.items():
        got = np.asarray(reader("map.pfm"), np.float64)
        print(f"    {name:12} top row {got[0, 0]:g}, second {got[1, 0]:g}, bottom row {got[-1, 0]:g}")
        rows = seen[::-1] if name == "OpenImageIO" else seen
        assert np.allclose(got, rows * (factors[name] if scale == -2.5 else 1), rtol=1e-6), name

writer = oiio.ImageOutput.create("written.pfm")
writer.open("written.pfm", oiio.ImageSpec(16, 16, 1, "float"))
writer.write_image(np.ascontiguousarray(seen[..., None]))
writer.close()
tops = {name: float(np.asarray(reader("written.pfm"))[0, 0]) for name, reader in readers.items()}
print(f"  written by OpenImageIO with 1 in the top row: read as {tops}")
assert tops == {"Pillow": 1, "OpenCV": 1, "PyAV": 1, "OpenImageIO": 16}
print("behaviour: 1, 0.4 and 2.5 for one stored number, and OpenImageIO stands on its head")
PY
