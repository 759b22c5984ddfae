#!/usr/bin/env bash
# OpenCV 5 and PAM files: red and blue change places, in reading and in writing.
#
# Guess:     cv2.imread gives BGR or BGRA for every format, PAM (the netpbm format that has alpha) included, and
#            cv2.imwrite stores RGB.
# Behaviour: from a PAM, imread gives the samples in stored order: RGB and RGBA where BGR and BGRA are promised, at
#            8 as at 16 bits (RGB also with IMREAD_COLOR). imwrite stores B, G, R and names no tuple type,
#            so that OpenCV's own round trip is right and every other program sees blue faces.
#            PPM and PNG of the same picture are right.
# Matters:   ffmpeg and netpbm hand frames with alpha on as PAM; the usual BGRA to RGBA conversion after imread
#            swaps what was right, silently, and the enlarged picture is stored that way.
# Standard:  Netpbm's pam(5): tuple types RGB and RGB_ALPHA hold red, green, blue (and opacity) in this order.
# Packages:  opencv-python-headless 5.0.0.93, av 18.1.0 (FFmpeg writes the files), numpy 2.4.6; Python 3.11 or later.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check 'opencv-python-headless==5.0.0.93' \
    'av==18.1.0' 'numpy==2.4.6'
cd "$work"
venv/bin/python - <<'PY'
import av
import cv2
import numpy as np

print("guess: BGR or BGRA from every format, RGB in every file")
print(f"OpenCV {cv2.__version__}, av {av.__version__}")
RGBA = np.array([200, 100, 50, 128])


def by_ffmpeg(codec, layout, name):
    deep = "16" in layout or "48" in layout or "64" in layout
    pixels = np.full((16, 16, 4 if "rgba" in layout else 3), RGBA[: 4 if "rgba" in layout else 3])
    frame = av.VideoFrame.from_ndarray(pixels.astype(np.uint16) * 257 if deep else pixels.astype(np.uint8), format=layout)
    with av.open(name, "w", format="image2", options={"update": "1"}) as file:
        stream = file.add_stream(codec, rate=1)
        stream.width, stream.height, stream.pix_fmt = 16, 16, layout
        file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return 257 if deep else 1


UNCHANGED, COLOUR = cv2.IMREAD_UNCHANGED, cv2.IMREAD_COLOR
for codec, layout, flags in (("pam", "rgb24", (UNCHANGED, COLOUR)), ("pam", "rgba", (UNCHANGED,)),
                             ("pam", "rgb48be", (UNCHANGED, COLOUR)), ("pam", "rgba64be", (UNCHANGED,)),
                             ("png", "rgb24", (UNCHANGED, COLOUR)), ("png", "rgba", (UNCHANGED,)),
                             ("ppm", "rgb24", (UNCHANGED, COLOUR))):
    name = f"picture.{codec}"
    unit = by_ffmpeg(codec, layout, name)
    for flag in flags:
        got = cv2.imread(name, flag)[5, 5]
        first = got[:3].astype(int) // (unit if got.dtype == np.uint16 else 1)
        order = "RGB" if first.tolist() == RGBA[:3].tolist() else "BGR"
        assert first.tolist() == (RGBA[:3] if order == "RGB" else RGBA[2::-1]).tolist()
        word = "unchanged" if flag == UNCHANGED else "colour"
        print(f"  {codec:4} {layout:8} {word:9}: {got.tolist()} is {order}")
        assert (order == "RGB") == (codec == "pam")

blue_green_red = np.full((16, 16, 3), RGBA[2::-1], np.uint8)
for name, expected in (("written.pam", [50, 100, 200]), ("written.ppm", [200, 100, 50])):
    cv2.imwrite(name, blue_green_red)
    data = open(name, "rb").read()
    print(f"  {name} by imwrite of red {RGBA[0]}, green {RGBA[1]}, blue {RGBA[2]}: the file ends in {list(data[-3:])}")
    assert list(data[-3:]) == expected and (b"TUPLTYPE" in data) is False
print("behaviour: PAM is read as RGB and written as BGR, against OpenCV's and the format's word")
PY
