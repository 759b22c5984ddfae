#!/usr/bin/env bash
# OpenCV's VideoCapture since 4.13: HDR and wide-gamut video is turned into BT.709 SDR by itself.
#
# Guess:     VideoCapture converts Y'CbCr to BGR and nothing else: the frame of a PQ video holds PQ values, that of a
#            Display P3 or BT.2020 video holds P3 or BT.2020 values, as from PyAV, and as up to 4.12.
# Behaviour: in 5.0 (and from 4.13 on, with FFmpeg 8) the frame's tags start a colour conversion inside FFmpeg:
#            - PQ and HLG are tone mapped: of a gray PQ ramp, 144/255 comes as 238, and all from 180 up as 255:
#              the highlights, the reason for HDR, are clipped to white before any program sees them;
#            - primaries are mapped into BT.709, saturated colours by a perceptual rule: P3's red (255, 0, 0) comes
#              as (255, 61, 0), BT.2020's green as (0, 223, 98), a plain (200, 100, 50) as (246, 76, 6).
#            BT.709 and BT.601 video, gray BT.2020, and other SDR transfer functions are left alone, so that tests
#            with ordinary video show nothing. No flag or property was needed, none says that it happened.
# Matters:   frames read by OpenCV, upscaled, and written with the source's tags (or compared with frames from PyAV) have
#            been converted twice; HDR training data silently becomes clipped SDR after an upgrade of OpenCV.
# Standard:  ITU-T H.273: ColourPrimaries 9 (BT.2020), 12 (P3 D65); TransferCharacteristics 16 (PQ), 18 (HLG). They
#            describe the samples; a decoder's output is these samples.
# Packages:  opencv-python-headless 5.0.0.93 and, beside it, 4.12.0.88 with numpy 2.2.6; av 18.1.0 (writes the files and
#            is the other reader); numpy 2.4.6; Python 3.11 or later.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check 'opencv-python-headless==5.0.0.93' \
    'av==18.1.0' 'numpy==2.4.6'
python3 -m venv "$work/former"
"$work/former/bin/pip" install --quiet --disable-pip-version-check 'opencv-python-headless==4.12.0.88' 'numpy==2.2.6'
cd "$work"
cat >former.py <<'PY'
"""The first frame's bars as OpenCV reads them, as JSON."""
import json
import sys

import cv2

ok, pixels = cv2.VideoCapture(sys.argv[1]).read()
assert ok
print(json.dumps([cv2.__version__, pixels[32, 8::16, ::-1].tolist()]))
PY
venv/bin/python - <<'PY'
import json
import subprocess

import av
import cv2
import numpy as np
from av import library_versions

print("guess: the values that are coded in the video, whatever its primaries and transfer")
print(f"OpenCV {cv2.__version__}, av {av.__version__}, libswscale {'.'.join(map(str, library_versions['libswscale']))}")
WEIGHTS = {1: (0.2126, 0.0722), 9: (0.2627, 0.0593)}
GRAYS = np.repeat(np.arange(8)[:, None] * 36, 3, 1)
COLOURS = np.array([(255, 255, 255), (128, 128, 128), (255, 0, 0), (0, 255, 0), (0, 0, 255), (200, 100, 50), (60, 60, 60), (0, 0, 0)])
WIDTH, HEIGHT = 16 * 8, 64


def write(bars, primaries, transfer, matrix):
    red, blue = WEIGHTS[matrix]
    luma = bars / 255 @ [red, 1 - red - blue, blue]
    cb = (bars[:, 2] / 255 - luma) / (2 * (1 - blue))
    cr = (bars[:, 0] / 255 - luma) / (2 * (1 - red))
    planes = np.round(4 * np.stack([16 + 219 * luma, 128 + 224 * cb, 128 + 224 * cr])).astype(np.uint16)
    with av.open("video.mkv", "w") as file:
        stream = file.add_stream("libx264", rate=25, options={"qp": "0"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv444p10le"
        context = stream.codec_context
        context.colorspace, context.color_range = matrix, 1
        context.color_primaries, context.color_trc = primaries, transfer
        for number in range(3):
            frame = av.VideoFrame(WIDTH, HEIGHT, "yuv444p10le")
            frame.pts, frame.colorspace, frame.color_range = number, matrix, 1
            for plane, row in zip(frame.planes, planes, strict=True):
                rows = np.zeros((HEIGHT, plane.line_size // 2), np.uint16)
                rows[:, :WIDTH] = np.repeat(row, 16)
                plane.update(rows.tobytes())
            file.mux(stream.encode(frame))
        file.mux(stream.encode())


def read(primaries, transfer, matrix):
    with av.open("video.mkv") as file:
        frame = next(file.decode(video=0))
        assert (frame.color_primaries, frame.color_trc, frame.colorspace) == (primaries, transfer, matrix)
        by_av = frame.to_ndarray(format="rgb24")[32, 8::16].astype(int)
    capture = cv2.VideoCapture("video.mkv")
    ok, pixels = capture.read()
    capture.release()
    assert ok
    answer = subprocess.run(["former/bin/python", "former.py", "video.mkv"], capture_output=True, check=True)
    version, former = json.loads(answer.stdout)
    return by_av, pixels[32, 8::16, ::-1].astype(int), np.array(former), version


for name, tags, gray_stays, colours_stay in (
    ("BT.709", (1, 1, 1), True, True),
    ("BT.709, linear transfer", (1, 8, 1), True, True),
    ("Display P3", (12, 13, 1), True, False),
    ("BT.2020 SDR", (9, 14, 9), True, False),
    ("BT.2020 PQ", (9, 16, 9), False, False),
    ("BT.2020 HLG", (9, 18, 9), False, False),
):
    write(GRAYS, *tags)
    by_av, by_cv, former, version = read(*tags)
    print(f"  {name}: grays {GRAYS[:, 0].tolist()} as {by_cv[:, 0].tolist()} ({version}: {former[:, 0].tolist()})")
    assert abs(by_av - GRAYS).max() <= 2 and abs(former - GRAYS).max() <= 2
    assert (abs(by_cv - GRAYS).max() <= 2) == gray_stays
    if tags[1] == 16:
        assert (by_cv[5:] >= 254).all() and by_cv[4, 0] > 220
    write(COLOURS, *tags)
    by_av, by_cv, former, version = read(*tags)
    print(f"    red, green, blue and (200, 100, 50) as {', '.join(str(tuple(c)) for c in by_cv[2:6].tolist())}")
    assert abs(by_av - COLOURS).max() <= 2
    assert (abs(by_cv - COLOURS).max() <= 2) == colours_stay
    if not colours_stay:
        assert abs(by_cv - COLOURS).max() > 45
print("behaviour: P3, BT.2020, PQ and HLG come as tone- and gamut-mapped BT.709; PyAV leaves them, and so did 4.12")
PY
