#!/usr/bin/env bash
# FFmpeg's lut3d and lut1d: a .cube file's domain counts only when it starts at 0 and is wider than 1.
#
# Guess:     DOMAIN_MIN and DOMAIN_MAX say which inputs the table's first and last entries belong to. FFmpeg reads
#            both lines, so it looks values up between them, as OpenColorIO and colour-science do.
# Behaviour: DOMAIN_MAX 2 is right. DOMAIN_MIN is never subtracted: it only enters the width of the
#            domain, so that -0.5 to 1 looks every value up a third of the table too low, and black gets the
#            entry for -0.5. A domain narrower than 1 (0.25 to 0.75) counts as 0 to 1. Nothing is logged.
# Matters:   tables for camera logs and wide or HDR ranges start below 0 (so that undershoots survive); through
#            FFmpeg the whole picture gets too dark, here by a third of the range, in any player or batch that
#            applies the table to frames before or after they are enlarged. A table tried with DOMAIN_MAX
#            alone shows that domains are heeded.
# Standard:  Adobe, Cube LUT Specification 1.0, DOMAIN_MIN and DOMAIN_MAX: the first entry of the table is for the
#            lower bounds, the last one for the upper bounds, the rest in proportion between them.
# Packages:  imageio-ffmpeg 0.8.1 (its FFmpeg 9.0.2), av 18.1.0 (its FFmpeg 8.1.2), opencolorio 2.6.0,
#            colour-science 0.4.7, numpy 2.4.6; Python 3.11 or later.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check 'imageio-ffmpeg==0.8.1' \
    'av==18.1.0' 'opencolorio==2.6.0' 'colour-science==0.4.7' 'numpy==2.4.6'
cd "$work"
venv/bin/python -W ignore - <<'PY'
import itertools
import subprocess

import av
import colour
import imageio_ffmpeg
import numpy as np
import PyOpenColorIO as ocio

print("guess: FFmpeg, OpenColorIO and colour-science look up alike")
print(f"FFmpeg {imageio_ffmpeg.get_ffmpeg_version()} and PyAV {av.__version__}, OpenColorIO {ocio.GetVersion()}, "
      f"colour-science {colour.__version__}")
INPUT = np.array([0.25, 0.375, 0.5, 0.625, 0.75, 0, 1, 0.125])
PIXELS = np.repeat((INPUT * 65535).round().astype("<u2"), 3).reshape(1, 8, 3).repeat(8, 0)


def write(path, low, high, dimensions):
    """A table that maps its domain onto 0 to 1, in a straight line, with entries that are exact."""
    ramp = [f"{value:.6f}" for value in np.linspace(0, 1, 9)]
    rows = [(r, g, b) for b, g, r in itertools.product(ramp, repeat=3)] if dimensions == 3 else zip(ramp, ramp, ramp)
    with open(path, "w") as file:
        print(f"LUT_{dimensions}D_SIZE 9\nDOMAIN_MIN {low} {low} {low}\nDOMAIN_MAX {high} {high} {high}", file=file)
        print(*map(" ".join, rows), sep="\n", file=file)


def by_ffmpeg(path, name):
    raw = ["-f", "rawvideo", "-pix_fmt", "rgb48le"]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "warning", *raw, "-s", "8x8", "-i", "-", "-vf", f"{name}={path}",
               *raw, "-"]
    done = subprocess.run(command, input=PIXELS.tobytes(), capture_output=True, check=True)
    assert not done.stderr, done.stderr
    return np.frombuffer(done.stdout, "<u2")[:24:3] / 65535


def by_av(path, name):
    graph = av.filter.Graph()
    graph.link_nodes(graph.add_buffer(width=8, height=8, format="rgb48le", time_base="1/25"), graph.add(name, path),
                     graph.add("format", "rgb48le"), graph.add("buffersink")).configure()
    graph.push(av.VideoFrame.from_ndarray(PIXELS, format="rgb48le"))
    return graph.pull().to_ndarray()[0, :, 0] / 65535


def by_ocio(path):
    transform = ocio.FileTransform(path, interpolation=ocio.INTERP_LINEAR)
    processor = ocio.Config.CreateRaw().getProcessor(transform).getDefaultCPUProcessor()
    return np.array([processor.applyRGB([value] * 3)[0] for value in INPUT])


def by_colour(path):
    return np.clip(colour.read_LUT(path).apply(np.stack([INPUT] * 3, -1))[:, 0], 0, 1)


worst = {}
for (low, high), dimensions in itertools.product(((0, 1), (0, 2), (-0.5, 1), (-1, 3), (0.25, 0.75)), (3, 1)):
    path = f"{low}_{high}_{dimensions}d.cube"
    write(path, low, high, dimensions)
    right = np.clip((INPUT - low) / (high - low), 0, 1)
    for read in (by_ocio, by_colour):
        assert abs(read(path) - right).max() < 1e-4, (read, path)
    got = by_ffmpeg(path, f"lut{dimensions}d")
    assert abs(by_av(path, f"lut{dimensions}d") - got).max() < 1e-4, "both FFmpegs alike"
    assert abs(got - np.clip(INPUT * min(1 / (high - low), 1), 0, 1)).max() < 1e-4, "the minimum is not subtracted"
    worst[low, high] = round(float(abs(got - right).max()), 3)
    print(f"  {dimensions}D, domain {low} to {high}: inputs {INPUT[[0, 2, 4]]} should be {right[[0, 2, 4]].round(3)}, "
          f"FFmpeg gives {got[[0, 2, 4]].round(3)}")
print("behaviour: largest error for each domain", worst)
assert worst == {(0, 1): 0, (0, 2): 0, (-0.5, 1): 0.333, (-1, 3): 0.25, (0.25, 0.75): 0.25}
PY
