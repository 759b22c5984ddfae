#!/usr/bin/env bash
# libvips 8.18.7 (its libultrahdr) and iPhone HDR photos: the headroom, a ratio, is taken for its logarithm.
#
# Guess:     a JPEG with Apple's gain map whose HDRGainMapHeadroom is 4 becomes at most 4 times as bright as SDR
#            white, as on the phone.
# Behaviour: uhdr2scRGB makes it 16 times as bright: 2 to the power of the headroom. A headroom of 2 gives 4, one of
#            8 gives 256. Nothing is said, the SDR picture is right, and gainmap-max-content-boost has the
#            same wrong number, so that saving the picture with uhdrsave makes it permanent.
# Matters:   highlights of iPhone photos are far too bright, by up to five stops. Core Image and Chromium use the
#            ratio.
# Standard:  Apple, "Applying Apple HDR effect to your photos": the headroom is the ratio of the brightest white to
#            SDR white; from the maker note it is 2 to the power of the stops. In photos that have both, the
#            XMP's number equals that power: for HDRHeadroom 1.01 and HDRGain 0.2693 the stops are 2.2214,
#            2^2.2214 = 4.6635, and the XMP says 4.663514.
# Packages:  pyvips 3.2.0 with pyvips-binary 8.18.7, pillow 13.0.0, numpy 2.4.6; Python 3.11 or later.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check 'pyvips==3.2.0' 'pyvips-binary==8.18.7' 'numpy==2.4.6' \
    'pillow==13.0.0'
cd "$work"
venv/bin/python - <<'PY'
import io
import struct

import numpy as np
import pyvips
from PIL import Image

pyvips.cache_set_max(0)
print("guess: HDRGainMapHeadroom 4 makes white at most 4 times as bright")
print(f"libvips {'.'.join(str(pyvips.version(i)) for i in range(3))}")


def segment(marker, content):
    return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2, "big") + content


def jpeg(pixels, extra=b""):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=98, extra=extra)
    return file.getvalue()


def iphone(headroom):
    """White and mid-gray; the gain map is at its top in the left half, and empty in the right."""
    base = np.full((96, 128, 3), 255, np.uint8)
    base[48:] = 128
    gain = np.zeros((48, 64), np.uint8)
    gain[:, :32] = 255
    xmp = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:apdi="http://ns.apple.com/pixeldatainfo/1.0/" '
        'xmlns:HDRGainMap="http://ns.apple.com/HDRGainMap/1.0/"><apdi:NativeFormat>1278226488</apdi:NativeFormat>'
        "<apdi:AuxiliaryImageType>urn:com:apple:photo:2020:aux:hdrgainmap</apdi:AuxiliaryImageType>"
        "<apdi:StoredFormat>1278226488</apdi:StoredFormat><HDRGainMap:HDRGainMapVersion>131072</HDRGainMap:HDRGainMapVersion>"
        f"<HDRGainMap:HDRGainMapHeadroom>{headroom:.6f}</HDRGainMap:HDRGainMapHeadroom>"
        "</rdf:Description></rdf:RDF></x:xmpmeta>"
    ).encode()
    second = jpeg(gain, segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + xmp))
    first = jpeg(base)
    # The index of the two images (CIPA DC-007), after the first segment.
    place, size = 4 + int.from_bytes(first[4:6], "big"), 90
    block = b"MM\0*" + struct.pack(">I H HHI4s HHII HHII I", 8, 3, 0xB000, 7, 4, b"0100", 0xB001, 4, 1, 2, 0xB002, 7, 32, 50, 0)
    block += struct.pack(">IIIHH", 0x030000, len(first) + size, 0, 0, 0)
    block += struct.pack(">IIIHH", 0, len(second), len(first) + size - place - 8, 0, 0)
    index = segment(0xE2, b"MPF\0" + block)
    assert len(index) == size
    return first[:place] + index + first[place:] + second


for headroom in (2.0, 4.0, 8.0):
    picture = pyvips.Image.new_from_buffer(iphone(headroom), "")
    boost = picture.get("gainmap-max-content-boost")[1]
    light = picture.uhdr2scRGB().numpy()[..., 1]
    white, plain = np.median(light[8:40, 8:56]), np.median(light[8:40, 72:120])
    print(f"  headroom {headroom:g}: white with full gain {white:.2f}, without gain {plain:.2f}; content boost {boost:.2f}")
    assert abs(plain - 1) < 0.02
    assert abs(np.log2(white) - headroom) < 0.05 and abs(np.log2(boost) - headroom) < 0.05
print("behaviour: 4, 16 and 256 times as bright instead of 2, 4 and 8")
PY
