#!/usr/bin/env bash
# FFmpeg (PyAV, OpenCV): video without colour (4:0:0) in studio range stays in it: black 16, white 235.
#
# Guess:     a stream tagged as limited range, 16 to 235, is expanded to 0 to 255 when it becomes RGB, with or without
#            colour planes; if a converter were unsure, naming both ranges would settle it.
# Behaviour: the same picture in the same codec (H.265, lossless, tagged limited, which the decoded frame repeats)
#            comes as 0 to 255 from 4:2:0 and as 16 to 235 from 4:0:0: gray and washed out, at 8 as at 10 bits, in
#            PyAV, OpenCV's VideoCapture and the command line. libswscale takes each gray format for full range; the
#            tag counts for nothing, and neither do src_color_range and dst_color_range in PyAV or in_range
#            and out_range of the scale filter, which return the same numbers without a word. The filter zscale, in
#            the same program, expands correctly. H.264 shows nothing: its 4:0:0 is decoded as 4:2:0.
# Matters:   thermal, medical, film-scan and depth video is monochrome. Upscaled through RGB and written as RGB or
#            full-range video it has lost a seventh of its contrast; training pairs with one side in H.264
#            and the other in H.265 differ by 20 levels at both ends.
# Standard:  ITU-T H.265, E.3.1, video_full_range_flag 0: luma 16 is black, 235 white (at 8 bits), whatever
#            chroma_format_idc is.
# Packages:  av 18.1.0 (its FFmpeg 8.1.2), opencv-python-headless 5.0.0.93, imageio-ffmpeg 0.8.1 (FFmpeg 9.0.2), numpy
#            2.4.6; Python 3.11 or later.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check 'av==18.1.0' \
    'opencv-python-headless==5.0.0.93' 'imageio-ffmpeg==0.8.1' 'numpy==2.4.6'
cd "$work"
venv/bin/python - <<'PY'
import subprocess

import av
import cv2
import imageio_ffmpeg
import numpy as np
from av.video.reformatter import ColorRange

print("guess: black, gray and white are 0, 129 and 255 from each of them")
print(f"PyAV {av.__version__}, OpenCV {cv2.__version__}, FFmpeg {imageio_ffmpeg.get_ffmpeg_version()}")
SIZE = 96


def write(path, pixels, levels):
    """Three bars: black, middle gray and white of studio range."""
    luma = np.repeat(levels, SIZE // 3)[None].repeat(SIZE, 0)
    middle = np.full((SIZE // 2, SIZE), 128)
    planes = luma if "gray" in pixels else np.concatenate([luma, middle])
    with av.open(path, "w") as container:
        options = {"x265-params": "lossless=1:log-level=none"}
        stream = container.add_stream("libx265", rate=25, options=options)
        stream.width = stream.height = SIZE
        stream.pix_fmt = pixels
        stream.codec_context.color_range = ColorRange.MPEG
        frame = av.VideoFrame.from_ndarray(planes.astype(np.uint16 if "10" in pixels else np.uint8), format=pixels)
        frame.color_range = ColorRange.MPEG
        container.mux(stream.encode(frame))
        container.mux(stream.encode())


def bars(rgb):
    return [int(rgb[SIZE // 2, SIZE // 6 + bar * SIZE // 3, 0]) for bar in range(3)]


def by_command(path, filters):
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", path, "-vf", filters + "format=rgb24", "-f",
               "rawvideo", "-"]
    done = subprocess.run(command, capture_output=True, check=True)
    assert not done.stderr, done.stderr
    return bars(np.frombuffer(done.stdout, np.uint8).reshape(SIZE, SIZE, 3))


for pixels, levels in (("yuv420p", (16, 127, 235)), ("gray", (16, 127, 235)), ("gray10le", (64, 508, 940))):
    path = pixels + ".mkv"
    write(path, pixels, levels)
    with av.open(path) as container:
        frame = next(container.decode(video=0))
    assert frame.format.name == pixels and frame.color_range == ColorRange.MPEG
    assert [int(frame.to_ndarray(format=pixels)[48, x]) for x in (16, 48, 80)] == list(levels), "stored right"
    named = frame.reformat(format="rgb24", src_color_range=ColorRange.MPEG, dst_color_range=ColorRange.JPEG)
    video = cv2.VideoCapture(path)
    seen = {
        "PyAV": bars(frame.to_ndarray(format="rgb24")),
        "PyAV, ranges named": bars(named.to_ndarray()),
        "OpenCV": bars(video.read()[1]),
        "command": by_command(path, ""),
        "scale, ranges named": by_command(path, "scale=in_range=limited:out_range=full,"),
        "zscale": by_command(path, "zscale=rangein=limited:range=full,"),
    }
    print(f"  {pixels}, {levels} stored:", seen)
    right = seen.pop("zscale")
    assert right[0] == 0 and right[1] in (129, 130) and right[2] == 255
    for name, got in seen.items():
        wanted = (16, 127, 235) if "gray" in pixels else (0, 129, 255)
        assert max(abs(np.subtract(got, wanted))) <= 1, (name, got)
print("behaviour: 4:0:0 is left at 16 to 235 by all but zscale")
PY
