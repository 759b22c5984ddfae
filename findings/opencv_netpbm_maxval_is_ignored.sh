#!/usr/bin/env bash
# OpenCV 5: a 10- or 12-bit PGM or PPM is nearly black, since the maxval in its header is not heeded.
#
# Guess:     cv2.imread in its default way gives 8 bits with white at 255, whatever the file's depth, as it does for a
#            12-bit JPEG 2000 and for a 4-bit PNG; with IMREAD_UNCHANGED, the file's numbers or full 16 bits.
# Behaviour: every maxval from 256 up counts as 65535, every one below as 255: a white of maxval 1023 becomes 3, of 4095
#            it becomes 15, of 100 it stays 100. IMREAD_UNCHANGED gives the bare numbers, in an array that says
#            nothing of the maxval. 255 and 65535, which OpenCV itself writes, are right, so that its round
#            trip shows nothing. Pillow 13, OpenImageIO and FFmpeg scale white to white.
# Matters:   machine-vision cameras and raw converters write the maxval of their sensor; the upscaled picture is black,
#            and the PSNR of two pictures that are both nearly black is excellent.
# Standard:  Netpbm's pgm(5) and ppm(5): maxval is any number below 65536, and samples are proportional to it.
# Packages:  opencv-python-headless 5.0.0.93, pillow 13.0.0, openimageio 3.2.2.0, av 18.1.0, numpy 2.4.6;
#            Python 3.11 or later.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check 'opencv-python-headless==5.0.0.93' \
    'pillow==13.0.0' 'openimageio==3.2.2.0' 'av==18.1.0' 'numpy==2.4.6'
cd "$work"
venv/bin/python - <<'PY'
import av
import cv2
import numpy as np
import OpenImageIO as oiio
import PIL
from PIL import Image

print("guess: the brightest sample is white")
print(f"OpenCV {cv2.__version__}, Pillow {PIL.__version__}, OpenImageIO {oiio.VERSION_STRING}, PyAV {av.__version__}")


def whites(path):
    """The brightest sample of a picture by each reader, as a part of that reader's range."""
    with Image.open(path) as image:
        yield "Pillow", int(np.asarray(image).max()) / (255 if image.mode in ("L", "RGB") else 65535)
    yield "OpenImageIO", float(oiio.ImageBuf(path).get_pixels(oiio.FLOAT).max())
    with av.open(path) as container:
        frame = next(container.decode(video=0))
        depth = max(part.bits for part in frame.format.components)
        yield "PyAV", int(frame.to_ndarray().max()) / (2**depth - 1)


for kind, channels in (("P5", 1), ("P6", 3)):
    for maxval in (100, 255, 1023, 4095, 65535):
        samples = np.linspace(0, maxval, 32).round().repeat(channels)
        path = f"{maxval}.{'pgm' if channels == 1 else 'ppm'}"
        header = f"{kind}\n32 1\n{maxval}\n".encode()
        open(path, "wb").write(header + samples.astype("u1" if maxval < 256 else ">u2").tobytes())
        others = dict(whites(path))
        assert all(abs(white - 1) < 1e-6 for white in others.values()), others
        usual, unchanged = cv2.imread(path), cv2.imread(path, cv2.IMREAD_UNCHANGED)
        print(f"  {path}: others {others}, OpenCV {usual.max()} of 255 and, unchanged, {unchanged.max()} of "
              f"{np.iinfo(unchanged.dtype).max}")
        assert unchanged.max() == maxval and unchanged.dtype == (np.uint8 if maxval < 256 else np.uint16)
        assert usual.max() == (maxval if maxval < 256 else maxval // 256)

print("behaviour: white of 10 bits is", cv2.imread("1023.ppm").max(), "of 255, of 12 bits", cv2.imread("4095.pgm").max())
PY
