#!/usr/bin/env bash
# PyAV on an animated AVIF: `decode(video=0)` gives one frame of six, though the file plays.
#
# Guess:     an animation is a video; container.decode(video=0), as in every PyAV example, gives all frames
#            with their times, as it does for the same animation as GIF or APNG.
# Behaviour: one frame, and then the end, without a word. FFmpeg presents the primary still picture (the
#            `meta` box) as stream 0 with one frame, and the moving pictures (the `moov` box) as stream 1.
#            streams.best("video") picks stream 1, streams.video[0] stream 0. The container's duration
#            is that of the animation, which hides it further. Both Pillow's and OpenCV's files do it.
#            imageio's pyav plugin counts one frame for the same reason; Pillow reads all six.
# Matters:   "upscale each frame" yields a still; the rest is dropped and the exit code is 0.
# Standard:  AV1 Image File Format 1.1, section 3 (image sequences): the pictures are a track; a file that
#            is to be readable as a still as well has a primary item beside it.
# Packages:  av 18.1.0, pillow 13.0.0 (its libavif), opencv-python-headless 5.0.0.93, imageio 2.38.1,
#            numpy 2.4.6; Python 3.11 or later.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check 'av==18.1.0' 'pillow==13.0.0' \
    'opencv-python-headless==5.0.0.93' 'imageio==2.38.1' 'numpy==2.4.6'
cd "$work"
venv/bin/python - <<'PY'
import av
import cv2
import imageio.v3 as imageio
import numpy as np
import PIL
from PIL import Image
from av import library_versions

print("guess: decode(video=0) gives all frames of an animated AVIF, as of a GIF or APNG")
print(f"av {av.__version__} (libavformat {'.'.join(map(str, library_versions['libavformat']))}), "
      f"Pillow {PIL.__version__}, OpenCV {cv2.__version__}")

DURATIONS = [70, 100, 40, 120, 1000, 50]
STARTS = [0, 70, 170, 210, 330, 1330]
frames = []
for index in range(6):
    frame = np.full((48, 64, 3), 40 * index, np.uint8)
    frame[10:30, 5 + 6 * index : 20 + 6 * index] = (200, 30, 60)
    frames.append(frame)
pictures = [Image.fromarray(frame) for frame in frames]
rest = {"save_all": True, "append_images": pictures[1:], "duration": DURATIONS, "loop": 0}
pictures[0].save("pillow.gif", **rest)
pictures[0].save("pillow.png", **rest)
pictures[0].save("pillow.avif", quality=90, **rest)
animation = cv2.Animation()
animation.frames = [frame[..., ::-1].copy() for frame in frames]
animation.durations = DURATIONS
assert cv2.imwriteanimation("opencv.avif", animation)


def times(name, pick):
    with av.open(name) as file:
        stream = pick(file)
        return [round(float(frame.pts * frame.time_base) * 1000) for frame in file.decode(stream)]


def first(file):
    return file.streams.video[0]


def best(file):
    return file.streams.best("video")


for name in ("pillow.gif", "pillow.png", "pillow.avif", "opencv.avif"):
    usual, other = times(name, first), times(name, best)
    plugin = sum(1 for _ in imageio.imiter(name, plugin="pyav"))
    in_pillow = Image.open(name).n_frames
    with av.open(name) as file:
        streams = [stream.frames for stream in file.streams]
    print(f"  {name:12} streams of {streams} frames; decode(video=0): {len(usual)} frame(s); "
          f"best stream: at {other} ms; imageio's pyav plugin {plugin}; Pillow {in_pillow}")
    assert in_pillow == 6 and other == STARTS
    if name.endswith("avif"):
        assert usual == [0] and plugin == 1 and streams == [1, 6]
    else:
        assert usual == STARTS and plugin == 6
print("behaviour: five of the six frames of an AVIF are silently left out by decode(video=0)")
PY
