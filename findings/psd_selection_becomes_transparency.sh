#!/usr/bin/env bash
# Flattened PSD with a saved selection: psd-tools and Pillow make it transparent, psd-tools with other colours.
#
# Guess:     a PSD without layers is opaque. A fourth channel, where Photoshop keeps a saved selection ("Alpha 1"), is
#            left out or given apart; readers tell it from transparency by the sign of the layer count.
# Behaviour: psd-tools and Pillow 13 return RGBA with the selection as alpha: what was not selected is invisible.
#            psd-tools, moreover, takes white out of the colours, as if they had been blended with it: of
#            (200, 100, 50) under a selection of 128 topil() makes (145, 0, 0), and numpy() numbers below 0, -0.6 for
#            what is stored as 0.2. FFmpeg and OpenImageIO give the three channels as they are. From a file that does
#            have transparency (a layer count of -1) all four give alpha; there Pillow and FFmpeg leave the white in.
#            To Pillow, line art (mode Bitmap) is a negative besides: the other three show 1 as black.
# Matters:   cut-outs, masks and spot areas are saved as selections: the upscaled picture has holes and, through
#            psd-tools, wrong colours at every soft edge.
# Standard:  Adobe Photoshop File Formats Specification, "Layer info": if the layer count is negative, the first alpha
#            channel contains the transparency data for the merged result; otherwise channels beyond the
#            colours are alpha channels of their own (image resources 1006 and 1053 name them).
# Packages:  psd-tools 1.26.0, pillow 13.0.0, openimageio 3.2.2.0, av 18.1.0, numpy 2.4.6; Python 3.11 or later.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check 'psd-tools==1.26.0' 'pillow==13.0.0' \
    'openimageio==3.2.2.0' 'av==18.1.0' 'numpy==2.4.6'
cd "$work"
venv/bin/python - <<'PY'
import struct

import av
import numpy as np
import OpenImageIO as oiio
import PIL
import psd_tools
from PIL import Image
from psd_tools import PSDImage

print("guess: (200, 100, 50), opaque")
print(f"psd-tools {psd_tools.__version__}, Pillow {PIL.__version__}, OpenImageIO {oiio.VERSION_STRING}, PyAV {av.__version__}")
WIDTH, HEIGHT = 8, 6


def block(data):
    return struct.pack(">I", len(data)) + data


def write(path, mode, depth, planes, layers=b"", resources=b""):
    header = struct.pack(">4sH6xHIIHH", b"8BPS", 1, len(planes), HEIGHT, WIDTH, depth, mode)
    with open(path, "wb") as file:
        file.write(header + block(b"") + block(resources) + block(layers) + b"\x00\x00" + b"".join(planes))


def resource(number, data):
    return b"8BIM" + struct.pack(">HH", number, 0) + block(data) + b"\x00" * (len(data) % 2)


def flat(*values):
    return [bytes([value]) * (WIDTH * HEIGHT) for value in values]


# The names of the alpha channels: a saved selection, in the one file; "Transparency", in the other.
selection, transparency = (resource(1006, bytes([len(name)]) + name) for name in (b"Alpha 1", b"Transparency"))
write("selection.psd", 3, 8, flat(200, 100, 50, 128), resources=selection)
# One empty layer, counted as -1.
channels = b"".join(struct.pack(">hI", number, 2) for number in (-1, 0, 1, 2))
record = struct.pack(">4iH", 0, 0, 0, 0, 4) + channels + b"8BIMnorm\xff\x00\x00\x00"
record += block(block(b"") + block(b"") + b"\x03one")
layer = struct.pack(">h", -1) + record + b"\x00\x00" * 4
write("transparency.psd", 3, 8, flat(228, 178, 153, 128), block(layer + b"\x00" * (-len(layer) % 4)) + block(b""), transparency)
write("bitmap.psd", 0, 1, [b"\xff" * HEIGHT])


def by_pillow(path):
    with Image.open(path) as image:
        return image.convert("RGB").getpixel((1, 1)) if image.mode == "1" else image.getpixel((1, 1))


def by_psd_tools(path):
    image = PSDImage.open(path).topil()
    return image.convert("RGB").getpixel((1, 1)) if image.mode == "1" else image.getpixel((1, 1))


def by_oiio(path):
    return tuple(oiio.ImageBuf(path).get_pixels(oiio.UINT8)[1, 1].tolist())


def by_av(path):
    with av.open(path) as container:
        frame = next(container.decode(video=0))
        alpha = len(frame.format.components) == 4
        return tuple(frame.to_ndarray(format="rgba" if alpha else "rgb24")[1, 1].tolist())


seen = {}
for path in ("selection.psd", "transparency.psd", "bitmap.psd"):
    for read in (by_psd_tools, by_pillow, by_oiio, by_av):
        seen[path, read.__name__[3:]] = read(path)
    print(f"  {path}:", {name: pixel for (where, name), pixel in seen.items() if where == path})
for name in ("oiio", "av"):
    assert seen["selection.psd", name] == (200, 100, 50), name
    assert len(seen["transparency.psd", name]) == 4 and seen["transparency.psd", name][3] == 128, name
for name in ("oiio", "av", "psd_tools"):
    assert seen["bitmap.psd", name] == (0, 0, 0), name
assert seen["selection.psd", "pillow"] == (200, 100, 50, 128) and seen["bitmap.psd", "pillow"] == (255, 255, 255)
assert seen["selection.psd", "psd_tools"] == (145, 0, 0, 128)
numbers = PSDImage.open("selection.psd").numpy()[1, 1]
print("behaviour: psd-tools makes", seen["selection.psd", "psd_tools"], "and, as numpy,", numbers.round(2).tolist())
assert np.allclose(numbers, (0.57, -0.211, -0.602, 0.502), atol=0.002)
PY
