#!/usr/bin/env bash
# Pillow 13.0.0 opening JPEG 2000 with more than 8 bits in colour: white comes out black.
#
# Guess:     Pillow has no 16-bit RGB, so a 10-, 12- or 16-bit colour JPEG 2000 is brought down to
#            8 bits, and the brightest value becomes 255.
# Behaviour: the brightest half step becomes 0 instead. At 16 bits every sample from 65408 up, at
#            12 bits from 4088, at 10 bits from 1022, and at 9 bits (511) even in gray. The
#            shift to 8 bits rounds to nearest and the result, 256, does not fit. An alpha channel
#            suffers as well: what is fully opaque becomes fully transparent.
#            Gray of 10 to 16 bits is not affected (it stays 16-bit).
# Matters:   scans, satellite pictures and digital cinema frames are JPEG 2000 of 10 to 16 bits. Blown
#            highlights turn into black holes before any upscaler sees them; no warning.
# Standard:  ISO/IEC 15444-1 gives each component its own depth (SIZ marker, A.5.1); all values up
#            to 2^depth - 1 are valid, and the codestreams here are lossless: OpenJPEG in
#            imagecodecs returns each value as it was.
# Packages:  pillow 13.0.0 (its OpenJPEG 2.5.4), imagecodecs 2026.3.6, numpy 2.4.6; Python 3.11 or later.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    'pillow==13.0.0' 'imagecodecs==2026.3.6' 'numpy==2.4.6'
cd "$work"
venv/bin/python - <<'PY'
import io

import imagecodecs
import numpy as np
import PIL
from PIL import Image, features

print("guess: the brightest value of a 10- to 16-bit colour JPEG 2000 becomes 255")
print(f"pillow {PIL.__version__} (OpenJPEG {features.version('jpg_2000')}), "
      f"imagecodecs {imagecodecs.__version__}")

for bits, first in ((9, 511), (10, 1022), (12, 4088), (16, 65408)):
    top = 2**bits - 1
    values = np.resize(np.arange(top + 1), (-(-(top + 1) // 64), 64)).astype(np.uint16)
    for channels, mode in ((3, "RGB"), (4, "RGBA")):
        pixels = np.repeat(values[..., None], channels, -1)
        data = imagecodecs.jpeg2k_encode(pixels, bitspersample=bits, reversible=True)
        assert np.array_equal(imagecodecs.jpeg2k_decode(data), pixels), "not lossless"
        image = Image.open(io.BytesIO(data))
        got = np.asarray(image).astype(int)
        assert image.mode == mode
        wrapped = values[(got[..., 0] == 0) & (values > top // 2)]
        print(f"  {bits:2} bits {mode:4}: {len(wrapped)} of the values above the middle read as 0, "
              f"from {wrapped.min()} up; just below it {got[values == first - 1][0, 0]}; "
              f"the maximum {top} reads as {got[values == top][0].tolist()}")
        assert wrapped.min() == first and len(wrapped) == top + 1 - first
        assert (got[values == top] == 0).all()

data = imagecodecs.jpeg2k_encode(np.full((64, 64), 65535, np.uint16), reversible=True)
gray = np.asarray(Image.open(io.BytesIO(data)))
nine = imagecodecs.jpeg2k_encode(np.full((64, 64), 511, np.uint16), bitspersample=9, reversible=True)
dark = np.asarray(Image.open(io.BytesIO(nine)))
print(f"   9 bits gray: the maximum reads as {dark.max()} of {dark.dtype}")
assert dark.dtype == np.uint8 and (dark == 0).all()
print(f"  16 bits gray: the maximum reads as {gray.max()} of {gray.dtype}")
assert gray.dtype == np.uint16 and (gray == 65535).all()

# A clipped sky in a picture of 12 bits: the brightest part is the darkest afterwards.
row = np.minimum(np.linspace(0, 1.25, 256), 1) * 4095
sky = np.repeat(np.repeat(row.astype(np.uint16)[None], 64, 0)[..., None], 3, -1)
seen = np.asarray(Image.open(io.BytesIO(imagecodecs.jpeg2k_encode(sky, bitspersample=12, reversible=True))))
share = (seen[..., 0][sky[..., 0] == 4095] == 0).mean()
print(f"behaviour: of the clipped highlights of a 12-bit ramp {share:.0%} are read as black")
assert share == 1
PY
