#!/usr/bin/env bash
# imageio's PyAV plugin: imread(index=50) is another frame than the 50th of imiter, when a video starts after 0 s.
#
# Guess:     imread(path, index=k) gives the k-th frame of imiter(path). For a constant frame rate it may jump by
#            time; where that is not sure, it counts, as its documentation has it (constant_framerate).
# Behaviour: k is turned into the time k / rate, counted from 0, not from the start of the stream. In a file that starts
#            at 2 s (25 frames a second) indices 7, 33 and 50 all give frame 0 and index 90 gives 40: in MP4, MOV
#            and Matroska alike. FLV with B-frames starts at 0.08 s by itself: 7 gives 5 and 50 gives 48.
#            Files with variable rate in MP4 count as constant: 77 gives 37. Nothing is said;
#            shapes and counts are right, index 0 is, too. constant_framerate=False gives the right frame.
#            OpenCV, in its files of constant rate, jumps to the right one.
# Matters:   recordings cut without recoding, segments of streams and second parts start late. Pairs of low and high
#            resolution taken by the same index are of different moments, as are scores by frame.
# Standard:  imageio's documentation of the plugin: index is "the index of the frame"; FFmpeg's AVStream.start_time is
#            the time of the first frame. ISO/IEC 14496-12, 8.6.6 (edit list): an empty edit delays a track.
# Packages:  imageio 2.38.1, av 18.1.0, opencv-python-headless 5.0.0.93, numpy 2.4.6; Python 3.11 or later.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check 'imageio==2.38.1' 'av==18.1.0' \
    'opencv-python-headless==5.0.0.93' 'numpy==2.4.6'
cd "$work"
venv/bin/python - <<'PY'
from fractions import Fraction

import av
import cv2
import imageio
import imageio.v3 as iio
import numpy as np

print("guess: index k is the k-th frame")
print(f"imageio {imageio.__version__}, PyAV {av.__version__}, OpenCV {cv2.__version__}")
SIZE, COUNT, STEP = 64, 100, 40
INDICES = (0, 7, 33, 50, 77, 90)


def numbered(number):
    """A frame that shows its number as eight black or white stripes."""
    stripes = [255 * (number >> bit & 1) for bit in range(8)]
    return np.repeat(np.array(stripes, np.uint8), SIZE // 8)[None, :, None].repeat(SIZE, 0).repeat(3, 2)


def number_of(frame):
    return sum(int(frame[SIZE // 2, SIZE // 8 * bit + 4, 0] > 127) << bit for bit in range(8))


def write(path, milliseconds):
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"bf": "2", "g": "30", "threads": "1"})
        stream.width = stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for number, time in enumerate(milliseconds):
            frame = av.VideoFrame.from_ndarray(numbered(number), format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def by_index(path, **options):
    with iio.imopen(path, "r", plugin="pyav") as file:
        return [number_of(file.read(index=index, **options)) for index in INDICES]


def by_opencv(path):
    video = cv2.VideoCapture(path)
    numbers = []
    for index in INDICES:
        video.set(cv2.CAP_PROP_POS_FRAMES, index)
        numbers.append(number_of(video.read()[1]))
    return numbers


even = [STEP * number for number in range(COUNT)]
uneven = np.cumsum([0, *np.random.default_rng(0).choice([20, 40, 80, 120], COUNT - 1)]).tolist()
files = {f"late.{kind}": [time + 2000 for time in even] for kind in ("mp4", "mov", "mkv")}
files |= {"plain.mp4": even, "plain.mkv": even, "frames.flv": even, "uneven.mp4": uneven}
seen = {}
for path, times in files.items():
    write(path, times)
    with av.open(path) as container:
        stream = container.streams.video[0]
        start = float(stream.start_time * stream.time_base)
    assert [number_of(frame) for frame in iio.imiter(path, plugin="pyav")] == list(range(COUNT)), "in order, all right"
    assert by_index(path, constant_framerate=False) == list(INDICES)
    if times is not uneven:
        assert by_opencv(path) == list(INDICES)
    seen[path] = by_index(path)
    print(f"  {path} starts at {start:g} s: indices {INDICES} give", seen[path])
print("behaviour: right only where the video starts at 0 and its rate is constant")
assert seen["plain.mp4"] == seen["plain.mkv"] == list(INDICES)
for path in files:
    if path.startswith("late"):
        assert seen[path] == [0, 0, 0, 0, 27, 40], path
    elif not path.startswith("plain"):
        assert seen[path][0] == 0 and seen[path] != list(INDICES), path
PY
