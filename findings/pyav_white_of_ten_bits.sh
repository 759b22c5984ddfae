#!/usr/bin/env bash
# PyAV: the white of an ordinary 10-bit video is 253 in rgb24, 0.996 in float RGB and 0.918 in float gray.
#
# Guess:     studio-range white (940 of 1023) is 255 in rgb24, 65535 in rgb48, 1.0 in gbrpf32 and in grayf32, to within
#            half a step of the format: more bits in and out mean less error, and every format has one range.
# Behaviour: - rgb24 from 10 bits is up to 2.5 levels too dark, never too bright: white is 253, where the same video in 8
#              bits gives 255. Flags of interpolation change nothing.
#            - rgb48 and gbrpf32, which one asks for to keep the bits, have white at 65283 and 0.9962 from 10 bits, at
#              65021 (8-bit level 253) and 0.9962 from 8 bits.
#            - gray and gray16 are expanded to the full range, exactly: 0 to 255 and 0 to 65535. grayf32 is not:
#              it stays at 0.0625 to 0.918, the studio range of the input, as if it were another
#              kind of gray. Nothing tells.
#            OpenCV's VideoCapture makes (255, 253, 255) of the 10-bit white: gray video gets a tint of magenta.
#            libswscale can do it: the scale filter with flags=accurate_rnd+full_chroma_int gives 255.
# Matters:   "HDR or 10 bits, so float frames for the network" feeds it pictures without white; luma taken as grayf32
#            has black at 16/256 and less contrast than the same luma taken as gray16 / 65535, so PSNR and training
#            on luma depend on which of the two is asked for. Black lifted and white lowered looks plausible.
# Standard:  ITU-R BT.709, section 3.5 and BT.2100, table 9: at n bits white is 235 * 2^(n-8), R = G = B = 1.
# Packages:  av 18.1.0 (its FFmpeg 8.1.2, libswscale 9.5), opencv-python-headless 5.0.0.93, numpy 2.4.6; Python 3.11 or
#            later, x86-64.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check 'av==18.1.0' \
    'opencv-python-headless==5.0.0.93' 'numpy==2.4.6'
cd "$work"
venv/bin/python - <<'PY'
import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange

print("guess: black 0 and white 1 of each format's range, to within half a step")
print(f"PyAV {av.__version__} (libswscale {av.library_versions['libswscale']}), OpenCV {cv2.__version__}")
WIDTH, HEIGHT = 128, 64
TOPS = {"rgb24": 255, "gray": 255, "rgb48le": 65535, "gray16le": 65535, "gbrpf32le": 1, "grayf32le": 1}


def write(path, pixels, bits):
    """A ramp from black to white, without colour, stored losslessly."""
    scale = 2 ** (bits - 8)
    ramp = np.linspace(16 * scale, 235 * scale, WIDTH).round()
    planes = np.concatenate([ramp[None].repeat(HEIGHT, 0), np.full((HEIGHT // 2, WIDTH), 128 * scale)])
    with av.open(path, "w") as container:
        stream = container.add_stream("libx265", rate=25, options={"x265-params": "lossless=1:log-level=none"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pixels
        stream.codec_context.color_range = ColorRange.MPEG
        frame = av.VideoFrame.from_ndarray(planes.astype(np.uint8 if bits == 8 else np.uint16), format=pixels)
        frame.color_range = ColorRange.MPEG
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return ramp / scale


whites, errors = {}, {}
for bits, pixels in ((8, "yuv420p"), (10, "yuv420p10le")):
    path = f"{bits}.mkv"
    ramp = write(path, pixels, bits)
    right = (ramp - 16) / 219 * 255
    with av.open(path) as container:
        frame = next(container.decode(video=0))
    assert frame.format.name == pixels and frame.color_range == ColorRange.MPEG
    for name, top in TOPS.items():
        row = frame.to_ndarray(format=name)[HEIGHT // 2].reshape(WIDTH, -1)[:, 0].astype(float)
        error = row / top * 255 - right
        whites[bits, name], errors[bits, name] = round(row[-1], 4), (round(error.min(), 1), round(error.max(), 1))
        print(f"  {bits} bits as {name:<9} white {whites[bits, name]:<8g} error {error.min():+.2f} to {error.max():+.2f} "
              "levels of 255")
    for way in ("POINT", "BICUBIC", "LANCZOS"):
        assert frame.reformat(format="rgb24", interpolation=way).to_ndarray()[32, -1, 0] == whites[bits, "rgb24"]
    by_opencv = cv2.VideoCapture(path).read()[1][32, -1].tolist()
    assert by_opencv == ([255, 253, 255] if bits == 10 else [255, 255, 255]), by_opencv
    with av.open(path) as container:
        graph = av.filter.Graph()
        graph.link_nodes(graph.add_buffer(template=container.streams.video[0]),
                         graph.add("scale", "flags=accurate_rnd+full_chroma_int"), graph.add("format", "rgb24"),
                         graph.add("buffersink")).configure()
        graph.push(frame)
        assert graph.pull().to_ndarray()[32, -1].tolist() == [255, 255, 255]
print("behaviour: whites of 10 bits", {name: whites[10, name] for name in TOPS})
assert [whites[8, name] for name in TOPS] == [255, 255, 65021, 65535, 0.9962, 0.918]
assert [whites[10, name] for name in TOPS] == [253, 255, 65283, 65535, 0.9962, 0.918]
assert errors[10, "rgb24"][0] <= -2.4 and errors[10, "rgb24"][1] <= 0.1
assert errors[10, "gray16le"] == (0, 0) and errors[10, "grayf32le"] == (-20.9, 15.9)
PY
