#!/usr/bin/env bash
# x264 with AVX-512: the same frames and options give other bytes from run to run.
#
# Guess:     x264 is deterministic (its --non-deterministic is off): same input, same stream.
# Behaviour: on a CPU with AVX-512, its macroblock tree (mbtree, on in every preset but ultrafast) reads memory
#            that was never written to. The first group of pictures of an encoder differs in
#            some runs, with one thread, too. glibc's MALLOC_PERTURB_, which fills new memory, makes it
#            plain: another value, another stream. With asm=avx2, asm=0 or mbtree=0, all
#            streams are the same.
# Matters:   a job that is resumed is not the one that ran through; caches and tests by hash fail at random;
#            and the quantisers of these frames are not those that were decided.
# Standard:  x264 --fullhelp: "--non-deterministic: Slightly improve quality of SMP, at the cost of repeatability".
# Packages:  av 18.1.0 (its x264 core 165), numpy 2.4.6; Python 3.11 or later, Linux with glibc, AVX-512.
set -euo pipefail
if ! grep -q avx512bw /proc/cpuinfo; then
    echo "this CPU has no AVX-512: nothing to show"
    exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check 'av==18.1.0' 'numpy==2.4.6'
cat > "$work/encode.py" <<'PY'
import hashlib
import sys
from fractions import Fraction

import av
import numpy as np

rows, columns = np.mgrid[0:300, 0:400]
texture = np.random.default_rng(1).integers(0, 256, (300, 400)).astype(np.float32)
for axis in (0, 1, 0, 1):
    texture = sum(np.roll(texture, step, axis) for step in range(-3, 4)) / 7
texture = ((texture - texture.min()) / np.ptp(texture) * 219 + 16).astype(np.uint8)
encoder = av.CodecContext.create("libx264", "w")
encoder.width, encoder.height, encoder.pix_fmt = 320, 240, "yuv420p"
encoder.time_base, encoder.framerate, encoder.thread_count = Fraction(1, 25), 25, 1
encoder.options = {"preset": "veryfast", "crf": "16", "x264-params": sys.argv[1]}
packets = []
for index in range(45):
    luma = texture[index : index + 240, index : index + 320]
    planes = np.concatenate([luma, np.full((120, 320), 128, np.uint8)])
    frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
    frame.pts = index
    packets += encoder.encode(frame)
packets += encoder.encode(None)
print(hashlib.sha256(b"".join(map(bytes, packets))).hexdigest()[:8])
PY
streams() {
    for value in 1 170; do MALLOC_PERTURB_=$value "$work/venv/bin/python" "$work/encode.py" "$1"; done | xargs
}
different() { tr ' ' '\n' <<< "$1" | sort -u | wc -l; }
echo "guess: the same frames, options and thread count give the same stream"
for options in asm=auto asm=avx2 asm=auto:mbtree=0; do
    found=$(streams "$options")
    echo "  av 18.1.0, veryfast, one thread, $options, MALLOC_PERTURB_ 1 and 170: $found"
    expected=1
    [[ $options == asm=auto ]] && expected=2
    [[ $(different "$found") == "$expected" ]]
done
echo "behaviour: what is in new memory decides about the stream"
