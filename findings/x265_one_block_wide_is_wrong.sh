#!/usr/bin/env bash
# x265 on frames as wide as one coding tree unit: "lossless" streams hold wrong frames, in some runs.
#
# Guess:     with lossless=1, every decoded frame is the frame that was given, always.
# Behaviour: at widths of 32 and 64 (x265 takes its unit of 64 down to 32 for the former), preset fast, flat
#            frames that change colour: most streams decode to frames that are off by up to 194 levels, other
#            frames in each run. Heights do not matter, nor do threads, pools or SIMD (asm=0). At 48, 66, 96
#            and 128 all streams are right, and at 32 and 64 with ctu=16. Lossy streams of 32x32 are wrong,
#            too (115 levels at crf=19). FFmpeg's decoder gives the same for the same stream, every time.
# Matters:   thumbnails, icons and test clips are of such sizes; a lossless archive is checked on them.
# Standard:  ITU-T H.265, 7.4.9.14 (cu_transquant_bypass_flag): such a block is reproduced exactly.
# Packages:  av 18.1.0 (its x265 4.2+1-e444744), numpy 2.4.6; Python 3.11 or later.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check 'av==18.1.0' 'numpy==2.4.6'
"$work/venv/bin/python" - <<'PY'
from fractions import Fraction

import av
import numpy as np

RUNS = 20
# Y, Cb and Cr of eleven colours, BT.709, limited range.
COLOURS = [
    *((16, 128, 128), (235, 128, 128), (68, 123, 208), (161, 93, 37), (61, 215, 111)),
    *((126, 128, 128), (63, 102, 240), (211, 107, 119), (41, 193, 162), (66, 212, 205), (229, 96, 129)),
]


def encoded(width, options):
    encoder = av.CodecContext.create("libx265", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, 64, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, 25), 25
    encoder.options = {"preset": "fast", "x265-params": "log-level=none:lossless=1" + options}
    frames = []
    for index, colour in enumerate(COLOURS):
        planes = [np.full(n, v, np.uint8) for n, v in zip((64 * width, 16 * width, 16 * width), colour)]
        frames.append(np.concatenate(planes).reshape(96, width))
    packets = []
    for index, pixels in enumerate(frames):
        frame = av.VideoFrame.from_ndarray(pixels, format="yuv420p")
        frame.pts = index
        packets += encoder.encode(frame)
    return frames, [bytes(p) for p in packets + encoder.encode(None)]


def decoded(packets):
    decoder = av.CodecContext.create("hevc", "r")
    frames = [f for p in packets for f in decoder.decode(av.Packet(p))]
    return [f.to_ndarray() for f in frames + decoder.decode(None)]


def wrong_runs(width, options=""):
    wrong = most = 0
    for _ in range(RUNS):
        frames, packets = encoded(width, options)
        result = decoded(packets)
        assert all(map(np.array_equal, result, decoded(packets))) and len(result) == len(frames)
        off = max(int(np.abs(a.astype(int) - b).max()) for a, b in zip(frames, result))
        wrong, most = wrong + (off > 0), max(most, off)
    print(f"  width {width:3}{options:8} wrong in {wrong:2} of {RUNS} runs, by up to {most} levels")
    return wrong


print("guess: a lossless stream decodes to the frames that were given")
print(f"av {av.__version__}, preset fast, lossless=1")
assert all(wrong_runs(width) == 0 for width in (48, 66, 96, 128))
assert all(wrong_runs(width) > 0 for width in (32, 64))
assert all(wrong_runs(width, ":ctu=16") == 0 for width in (32, 64))
print("behaviour: frames as wide as one coding tree unit come out wrong, in some runs and not in others")
PY
