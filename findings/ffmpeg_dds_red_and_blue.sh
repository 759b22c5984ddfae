#!/usr/bin/env bash
# FFmpeg 8 (PyAV) reading DDS: with the header of Direct3D 10, red and blue change places; half floats become integers.
#
# Guess:     the DXGI format says how a pixel lies in memory: R8G8B8A8 starts with red, B8G8R8A8 with blue. FFmpeg
#            decodes the old headers right (by their masks), and so the new ones, or refuses.
# Behaviour: both come with red and blue exchanged, UNORM and SRGB, and R16G16B16A16_UNORM, too: (217, 163, 130)
#            becomes (130, 163, 217). The same pixels under an old header are right. R16G16B16A16_FLOAT is decoded as
#            16-bit integers: 0.5 becomes 56 of 255 and 1.0 becomes 60, with red and blue exchanged, too.
#            OpenImageIO has the colours of both headers, Pillow 13 of those that it knows. Nothing is said.
# Matters:   game textures: current tools write the new header whenever sRGB is to be marked, so that some textures of a
#            folder have blue skin. Enlarged and written as DDS by another tool, they stay so.
# Standard:  Microsoft, DXGI_FORMAT enumeration: components are named from the least significant byte on; 28 and 29
#            are R8G8B8A8 UNORM and SRGB, 87 and 91 B8G8R8A8, 10 and 11 R16G16B16A16 FLOAT and UNORM.
# Packages:  av 18.1.0 (its FFmpeg 8.1.2), openimageio 3.2.2.0, pillow 13.0.0, numpy 2.4.6; Python 3.11 or later.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check 'av==18.1.0' 'openimageio==3.2.2.0' \
    'pillow==13.0.0' 'numpy==2.4.6'
cd "$work"
venv/bin/python - <<'PY'
import struct

import av
import numpy as np
import OpenImageIO as oiio
import PIL
from PIL import Image

print("guess: red is red under either header")
print(f"PyAV {av.__version__}, OpenImageIO {oiio.VERSION_STRING}, Pillow {PIL.__version__}")
SIZE = 8
COLOUR = np.array([217, 163, 130, 255], np.uint8)
BGRA = [2, 1, 0, 3]


def write(path, texel, dxgi=None, masks=None):
    """A flat texture, by a DXGI format or by an old header's masks."""
    texels = np.broadcast_to(texel, (SIZE, SIZE, 4))
    if masks:
        pixel_format = struct.pack("<II4sI4I", 32, 0x41, b"", 32, *masks)
    else:
        pixel_format = struct.pack("<II4sI4I", 32, 0x4, b"DX10", 0, 0, 0, 0, 0)
    pitch = SIZE * texels.dtype.itemsize * 4
    header = struct.pack("<4s7I44x", b"DDS ", 124, 0x100F, SIZE, SIZE, pitch, 0, 1)
    header += pixel_format + struct.pack("<5I", 0x1000, 0, 0, 0, 0)
    if dxgi:
        header += struct.pack("<5I", dxgi, 3, 0, 1, 0)
    with open(path, "wb") as file:
        file.write(header + texels.tobytes())


def by_av(path):
    with av.open(path) as container:
        return next(container.decode(video=0)).to_ndarray(format="rgba")[4, 4, :3].tolist()


def by_oiio(path):
    return oiio.ImageBuf(path).get_pixels(oiio.UINT8)[4, 4, :3].tolist()


def by_pillow(path):
    with Image.open(path) as image:
        return np.asarray(image)[4, 4, :3].tolist()


RED, GREEN, BLUE, ALPHA = 0xFF, 0xFF00, 0xFF0000, 0xFF000000
write("old_rgba.dds", COLOUR, masks=(RED, GREEN, BLUE, ALPHA))
write("old_bgra.dds", COLOUR[BGRA], masks=(BLUE, GREEN, RED, ALPHA))
write("28_rgba.dds", COLOUR, 28)
write("29_rgba_srgb.dds", COLOUR, 29)
write("87_bgra.dds", COLOUR[BGRA], 87)
write("91_bgra_srgb.dds", COLOUR[BGRA], 91)
write("11_rgba_16.dds", COLOUR.astype("<u2") * 257, 11)
right = COLOUR[:3].tolist()
for path in ("old_rgba", "old_bgra", "28_rgba", "29_rgba_srgb", "87_bgra", "91_bgra_srgb", "11_rgba_16"):
    # The others do not know 16 bits, and Pillow not blue first under this header; they refuse.
    readers = [by_av] if path[:2] == "11" else [by_av, by_oiio] if "bgra" in path else [by_av, by_oiio, by_pillow]
    seen = {read.__name__[3:]: read(f"{path}.dds") for read in readers}
    print(f"  {path}:", seen)
    assert all(pixel == right for name, pixel in seen.items() if name != "av"), path
    wanted = right if path.startswith("old") else right[::-1]
    assert max(abs(np.subtract(seen["av"], wanted))) <= 1, path

write("10_rgba_half.dds", np.array([0.5, 0.25, 1, 1], "<f2"), 10)
got = by_av("10_rgba_half.dds")
print("behaviour: red and blue exchanged for every DXGI format; half floats (0.5, 0.25, 1.0) are", got, "of 255")
assert max(abs(np.subtract(got, (60, 52, 56)))) <= 1
PY
