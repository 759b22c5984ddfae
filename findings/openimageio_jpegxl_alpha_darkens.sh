#!/usr/bin/env bash
# OpenImageIO: a transparent PNG copied to JPEG XL becomes darker where it is half transparent.
#
# Guess:     OpenImageIO holds colours multiplied by alpha, and its readers and writers convert from and to
#            what a file holds (its documentation, "oiio:UnassociatedAlpha"). Copying a PNG to PNG gives back
#            every sample to within one level, and so should copying it to lossless JPEG XL.
# Behaviour: the JPEG XL writer stores the multiplied colours, and declares them as not multiplied; the reader
#            takes what is there without multiplying. A PNG with red 200 at alpha 128 becomes a JPEG XL with
#            red 100 at alpha 128, which every viewer multiplies once more. From JPEG XL to PNG, colours are
#            divided by an alpha that they were never multiplied by: 100 at 128 becomes 199.
#            Copying JPEG XL to JPEG XL changes nothing, so that a round trip within the format shows nothing.
# Matters:   soft edges, shadows and glass get dark or bright fringes in any conversion by oiiotool or ImageBuf.
# Standard:  ISO/IEC 18181-1, extra channel information: alpha_associated says whether colours are multiplied;
#            PNG (W3C, third edition), section 4.4: alpha is not premultiplied.
# Packages:  openimageio 3.2.2.0 (libjxl 0.12), pylibjxl 0.5.0 (the reader and writer to compare with),
#            pillow 13.0.0, numpy 2.4.6; Python 3.11 or later.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check 'openimageio==3.2.2.0' 'pylibjxl==0.5.0' \
    'pillow==13.0.0' 'numpy==2.4.6'
cd "$work"
venv/bin/python - <<'PY'
from importlib.metadata import version
from pathlib import Path

import numpy as np
import OpenImageIO as oiio
import pylibjxl
from PIL import Image

print("guess: a lossless copy of a transparent image has its samples")
print(f"OpenImageIO {oiio.VERSION_STRING}, pylibjxl {version('pylibjxl')}")

pixels = np.random.default_rng(1).integers(1, 255, (64, 64, 4)).astype(np.uint8)
pixels[..., 3] = 255
pixels[:32, :32] = 200, 100, 40, 128
Image.fromarray(pixels).save("a.png")
Path("a.jxl").write_bytes(pylibjxl.encode(pixels, lossless=True))


def copied(source, target):
    buffer = oiio.ImageBuf(source)
    assert buffer.write(target), buffer.geterror()
    if target.endswith(".png"):
        return tuple(int(v) for v in np.asarray(Image.open(target))[5, 5])
    return tuple(int(v) for v in pylibjxl.decode(Path(target).read_bytes())[5, 5])


def near(found, wanted):
    return all(abs(a - b) <= 2 for a, b in zip(found, wanted, strict=True))


same = {pair: copied(*pair) for pair in (("a.png", "b.png"), ("a.jxl", "b.jxl"))}
for (source, target), found in same.items():
    print(f"  {source} -> {target}: {found}")
    assert near(found, (200, 100, 40, 128))
darker = copied("a.png", "c.jxl")
brighter = copied("a.jxl", "c.png")
print(f"  a.png -> c.jxl: {darker}")
print(f"  a.jxl -> c.png: {brighter}")
assert near(darker, (100, 50, 20, 128))
assert near(brighter, (255, 199, 80, 128))
print("behaviour: half as bright in JPEG XL, twice as bright in PNG")
PY
