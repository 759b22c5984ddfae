#!/usr/bin/env bash
# PyAV / FFmpeg 8: the `scale` filter puts H.264's colours half a pixel from where `reformat` puts them.
#
# Guess:     both are libswscale, both get the same decoded frame with its chroma location ("left", which the
#            decoder sets for H.264 and MPEG-2); 4:2:0 becomes 4:4:4 or RGB alike. The filter, whose options
#            in_chroma_loc and out_chroma_loc default to "auto", is the careful one of the two.
# Behaviour: frame.reformat() (and so to_ndarray) heeds the frame's location: chroma is exact. The same frame
#            through the filter graph's `scale`, or through the conversion that a lone `format` inserts,
#            is taken as sited in the middle: colour lies 0.5 luma pixels away from the light it belongs
#            to. The frame still carries "left" (a `null` filter and then reformat is exact), and
#            in_chroma_loc=left on the filter gives the right answer.
#            For JPEG-like video without a tag both take the middle, so the difference shows only with
#            ordinary video. Nothing is logged. ffmpeg's command line has the same half pixel.
# Matters:   frames taken by a filter chain (scale, then the network) have fringes at saturated edges: at x4 a
#            colour edge is two pixels off the luma edge. Mixing both ways in training pairs trains it in.
# Standard:  ITU-T H.264 annex E, chroma_sample_loc_type 0 (the default when absent): 4:2:0 chroma lies on
#            the left luma column of its pair, horizontally.
# Packages:  av 18.1.0 (its wheel's FFmpeg 8: libswscale 9.5), imageio-ffmpeg 0.8.1, numpy 2.4.6;
#            Python 3.11 or later.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check 'av==18.1.0' \
    'imageio-ffmpeg==0.8.1' 'numpy==2.4.6'
cd "$work"
venv/bin/python - <<'PY'
import subprocess

import av
import imageio_ffmpeg
import numpy as np
from av.video.reformatter import Interpolation
from av import library_versions

WIDTH, HEIGHT = 64, 32
STEP = 4  # chroma levels a chroma pixel

print("guess: reformat and the scale filter place the chroma of one frame alike")
print(f"av {av.__version__}, libswscale {'.'.join(map(str, library_versions['libswscale']))}")


def picture():
    """Luma 128, Cb 128, Cr a ramp along x."""
    frame = av.VideoFrame(WIDTH, HEIGHT, "yuv420p")
    ramp = 64 + STEP * np.arange(WIDTH // 2)
    for plane, row in zip(frame.planes, (np.full(WIDTH, 128), np.full(WIDTH // 2, 128), ramp), strict=True):
        rows = np.zeros((plane.height, plane.line_size), np.uint8)
        rows[:, : plane.width] = row
        plane.update(rows.tobytes())
    return frame


def decoded(codec, name, options):
    with av.open(name, "w") as file:
        stream = file.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        frame = picture()
        frame.pts = 0
        file.mux(stream.encode(frame))
        file.mux(stream.encode())
    with av.open(name) as file:
        return next(file.decode(video=0))


def filtered(frame, *filters):
    graph = av.filter.Graph()
    last = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format.name, time_base="1/25")
    for name, options in (*filters, ("buffersink", "")):
        following = graph.add(name, options)
        last.link_to(following)
        last = following
    graph.configure()
    graph.push(frame)
    return graph.pull()


def off(frame):
    """How far Cr lies from its place in left-sited video, in luma pixels; chroma i lies on luma 2 i."""
    plane = frame.planes[2]
    row = np.frombuffer(bytes(plane), np.uint8).reshape(-1, plane.line_size)[HEIGHT // 2, :WIDTH].astype(float)
    return (((row - 64) / STEP * 2) - np.arange(WIDTH))[16:48].mean()


def full(frame):
    return frame.reformat(format="yuv444p", interpolation=Interpolation.BICUBIC)


for codec, name, options, tagged in (("libx264", "a.mp4", {"qp": "0"}, True),
                                     ("mpeg2video", "a.mpg", {"q:v": "1"}, True),
                                     ("ffv1", "a.mkv", {}, False)):
    frame = decoded(codec, name, options)
    ways = {
        "reformat": full(frame),
        "null filter, reformat": full(filtered(frame, ("null", ""))),
        "scale filter": filtered(frame, ("scale", "flags=bicubic"), ("format", "yuv444p")),
        "format filter alone": filtered(frame, ("format", "yuv444p")),
        "scale, in_chroma_loc=left": filtered(frame, ("scale", "in_chroma_loc=left:flags=bicubic"),
                                              ("format", "yuv444p")),
    }
    found = {way: off(result) for way, result in ways.items()}
    print(f"  {codec:10} " + "; ".join(f"{way} {value + 0.0:+.2f}" for way, value in found.items()) + " luma px")
    middle = -0.5
    for way, wanted in zip(ways, (0 if tagged else middle, 0 if tagged else middle, middle, middle, 0), strict=True):
        assert abs(found[way] - wanted) < 0.06, (codec, way, found[way])
program = imageio_ffmpeg.get_ffmpeg_exe()
for options, wanted in (("flags=bicubic", -0.5), ("in_chroma_loc=left:flags=bicubic", 0)):
    command = [program, "-v", "error", "-i", "a.mp4", "-vf", f"scale={options},format=yuv444p", "-f", "rawvideo", "-"]
    planes = np.frombuffer(subprocess.run(command, capture_output=True, check=True).stdout, np.uint8)
    row = planes.reshape(3, HEIGHT, WIDTH)[2, HEIGHT // 2].astype(float)
    value = (((row - 64) / STEP * 2) - np.arange(WIDTH))[16:48].mean()
    print(f"  ffmpeg {imageio_ffmpeg.get_ffmpeg_version().split('-')[0]} -vf scale={options}: {value + 0.0:+.2f} luma px")
    assert abs(value - wanted) < 0.06
print("behaviour: for H.264 and MPEG-2 the filter is half a luma pixel from reformat, and from the standard")
PY
