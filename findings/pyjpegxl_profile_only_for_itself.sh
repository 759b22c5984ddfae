#!/usr/bin/env bash
# JPEG XL from pyjpegxl: the ICC profile is stored where only pyjpegxl looks for it.
#
# Guess:     encode_from_numpy(pixels, icc=profile) embeds the profile, as in any other format: its
#            description promises to "preserve and embed ICC color profiles".
# Behaviour: the codestream is declared as sRGB, and the profile goes into a box of type 'prof', which
#            ISO/IEC 18181-2 does not know. pyjpegxl itself finds it there and returns it, so that a round
#            trip in Python shows nothing; OpenImageIO and Pillow's plug-in (both on libjxl) read sRGB.
#            pylibjxl, of the same author, embeds the same profile as it should.
# Matters:   pictures in Display P3, Adobe RGB or a scanner's space are shown with wrong colours by every
#            viewer, while each check through the library passes.
# Standard:  ISO/IEC 18181-1, image metadata: the colour encoding, or the ICC profile in its place, is part
#            of the codestream's header; 18181-2 lists the boxes of the container.
# Packages:  pyjpegxl 0.3.0, pylibjxl 0.5.0, pillow-jxl-plugin 1.3.8, pillow 13.0.0, openimageio 3.2.2.0
#            (libjxl 0.12), numpy 2.4.6; Python 3.11 or later.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check 'pyjpegxl==0.3.0' 'pylibjxl==0.5.0' \
    'pillow-jxl-plugin==1.3.8' 'pillow==13.0.0' 'openimageio==3.2.2.0' 'numpy==2.4.6'
cd "$work"
venv/bin/python - <<'PY'
import io
from importlib.metadata import version

import numpy as np
import OpenImageIO as oiio
import pillow_jxl
import pyjpegxl
import pylibjxl
from PIL import Image, ImageCms

print("guess: the profile is embedded, and every reader finds it")
print(f"pyjpegxl {version('pyjpegxl')}, pylibjxl {version('pylibjxl')}, "
      f"pillow-jxl-plugin {version('pillow-jxl-plugin')}, OpenImageIO {oiio.VERSION_STRING}")

# A valid profile that nobody takes for sRGB: its red and blue are exchanged.
profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
at = {bytes(profile[p:p + 4]): p for p in range(132, 132 + 12 * profile[131], 12)}
red, blue = at[b"rXYZ"], at[b"bXYZ"]
profile[red:red + 4], profile[blue:blue + 4] = b"bXYZ", b"rXYZ"
profile = bytes(profile)
ImageCms.ImageCmsProfile(io.BytesIO(profile))

pixels = np.random.default_rng(1).integers(0, 256, (64, 64, 3)).astype(np.uint8)


def boxes(data):
    position, found = 0, []
    while data[:2] != b"\xff\x0a" and position < len(data):
        size = int.from_bytes(data[position:position + 4], "big")
        found.append(data[position + 4:position + 8].decode())
        position += size or len(data)
    return found


def seen(data):
    """The profile as OpenImageIO and as Pillow's plug-in find it."""
    with open("picture.jxl", "wb") as file:
        file.write(data)
    reader = oiio.ImageInput.open("picture.jxl")
    by_oiio = np.asarray(reader.spec().getattribute("ICCProfile"), np.uint8).tobytes()
    cicp = reader.spec().getattribute("CICP")
    reader.close()
    return by_oiio, Image.open(io.BytesIO(data)).info["icc_profile"], cicp


good = pylibjxl.encode(pixels, lossless=True, icc=profile)
by_oiio, by_pillow, cicp = seen(good)
print(f"  pylibjxl: boxes {boxes(good)}, all readers find the profile")
assert by_oiio == by_pillow == profile and cicp is None

bad = pyjpegxl.encode_from_numpy(pixels, lossless=True, icc=profile)
by_oiio, by_pillow, cicp = seen(bad)
own, back = pyjpegxl.decode_to_numpy(bad)
print(f"  pyjpegxl: boxes {boxes(bad)}, its own reader finds the profile: {own.icc == profile}; "
      f"OpenImageIO: {by_oiio == profile}, Pillow's plug-in: {by_pillow == profile}; CICP {tuple(cicp)}")
assert own.icc == profile and np.array_equal(back, pixels), "a round trip shows nothing"
assert "prof" in boxes(bad)
assert by_oiio != profile and by_pillow != profile and tuple(cicp[:2]) == (1, 13)
print("behaviour: everybody else is told sRGB, and shows red where the picture is blue")
PY
