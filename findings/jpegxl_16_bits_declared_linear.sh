#!/usr/bin/env bash
# JPEG XL from imagecodecs or Pillow's JXL plug-in: 16 bits a sample changes the declared colours.
#
# Guess:     without a profile the encoder assumes sRGB, for 8 as for 16 bits. libjxl's documentation of
#            JxlEncoderAddImageFrame says so: integer samples (8 and 16 bits) are taken as nonlinear
#            sRGB, floats as linear.
# Behaviour: the same pixels are declared as sRGB when they are uint8, and as *linear* light when they
#            are uint16 (also with 10 bits in them), in imagecodecs.jpegxl_encode as in Pillow's
#            "I;16" saved by pillow-jxl-plugin. The embedded transfer function is CICP 8, not 13.
#            The numbers come back unchanged, so a round trip in Python shows nothing; any viewer that
#            heeds the file shows middle gray 128 as 188: everything is far too bright.
# Matters:   who keeps 16 bits through an upscaler and stores the result as JXL publishes
#            washed-out pictures, while each check of the numbers passes.
# Standard:  ISO/IEC 18181-1, image metadata: the codestream's colour encoding (here an enumerated one)
#            says what its samples mean; CICP values as in ITU-T H.273 table 3 (8: linear, 13: sRGB).
# Packages:  imagecodecs 2026.3.6 (libjxl 0.11.2), pillow-jxl-plugin 1.3.8, pillow 13.0.0, openimageio
#            3.2.2.0 (libjxl 0.12, as the reader that tells CICP), numpy 2.4.6; Python 3.11 or later.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check 'imagecodecs==2026.3.6' \
    'pillow-jxl-plugin==1.3.8' 'pillow==13.0.0' 'openimageio==3.2.2.0' 'numpy==2.4.6'
cd "$work"
venv/bin/python - <<'PY'
import io

import imagecodecs
import numpy as np
import OpenImageIO as oiio
import pillow_jxl
import PIL
from PIL import Image, ImageCms

SRGB, LINEAR = 13, 8

print("guess: without a profile, 8 and 16 bits are both declared as sRGB")
print(f"imagecodecs {imagecodecs.__version__} ({imagecodecs.jpegxl_version()}), "
      f"pillow {PIL.__version__}, OpenImageIO {oiio.VERSION_STRING}")

rng = np.random.default_rng(1)
y, x = np.mgrid[0:64, 0:64]
eight = np.clip(np.stack([x * 4, y * 4, x + y], -1) + rng.integers(-3, 4, (64, 64, 3)), 0, 255).astype(np.uint8)
eight[0, 0] = 128
sixteen = eight.astype(np.uint16) * 257


def declared(data):
    """CICP's transfer function, as OpenImageIO reads it, and the name of the profile Pillow is given."""
    with open("picture.jxl", "wb") as file:
        file.write(data)
    reader = oiio.ImageInput.open("picture.jxl")
    cicp = {a.name: a.value for a in reader.spec().extra_attribs}["CICP"]
    reader.close()
    image = Image.open(io.BytesIO(data))
    profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
    return cicp[1], ImageCms.getProfileDescription(profile).strip(), image, profile


def saved(image):
    stream = io.BytesIO()
    image.save(stream, "JXL", lossless=True)
    return stream.getvalue()


cases = [
    ("imagecodecs uint8", imagecodecs.jpegxl_encode(eight, lossless=True), SRGB),
    ("imagecodecs uint16", imagecodecs.jpegxl_encode(sixteen, lossless=True), LINEAR),
    ("imagecodecs uint16 of 10 bits",
     imagecodecs.jpegxl_encode(sixteen >> 6, lossless=True, bitspersample=10), LINEAR),
    ("imagecodecs uint16, lossy", imagecodecs.jpegxl_encode(sixteen, distance=1.0), LINEAR),
    ("pillow-jxl-plugin L", saved(Image.fromarray(eight[..., 0])), SRGB),
    ("pillow-jxl-plugin I;16", saved(Image.fromarray(sixteen[..., 0])), LINEAR),
]
for name, data, expected in cases:
    transfer, profile, *_ = declared(data)
    print(f"  {name:30}: CICP transfer {transfer:2}, profile {profile}")
    assert transfer == expected, name

assert np.array_equal(imagecodecs.jpegxl_decode(cases[1][1]), sixteen), "the numbers come back"
_, _, image, profile = declared(cases[1][1])
shown = ImageCms.profileToProfile(image.convert("RGB"), profile, ImageCms.createProfile("sRGB"))
gray = shown.getpixel((0, 0))
print(f"behaviour: gray 128 of the 16-bit file is shown as {gray} by what heeds the file's profile")
assert all(abs(v - 188) <= 2 for v in gray)
PY
