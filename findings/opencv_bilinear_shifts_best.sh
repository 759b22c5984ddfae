#!/usr/bin/env bash
# In OpenCV 5, bilinear is the only warp that moves a picture by the fraction of a pixel asked for.
#
# Setting: burst and video super-resolution lives on shifts of fractions of a pixel; frames are
# aligned, and training pairs made, with warpAffine or remap, at best with a longer kernel.
#
# What one would guess: the longer the kernel, the truer the shift: LANCZOS4 before CUBIC before
# LINEAR, which only blurs. And one rule for all: either they place pixels on OpenCV's old grid of
# 1/32, or OpenCV 5 did away with it.
#
# What happens (a wave of 32 pixels, moved; the shift done is read from its phase): in 5.0 and 5.1
# LINEAR moves it by what was asked, to 0.0005 pixels. CUBIC misses by up to 0.04: its constant, -0.75,
# does not keep a slope, so whatever is smooth moves by the wrong amount, for every shift but 0 and
# 1/2. LANCZOS4 misses by up to 0.024, and it alone is still on the grid of 1/32: a shift by 0.01 gives
# the very bytes of no shift, and at exactly 1/64 warpAffine and remap round to different sides. In
# 4.14 all three are on the grid; so an upgrade moves the pictures of two kernels of three.
#
# Seen with opencv-python-headless 4.14.0.94 and 5.0.0.93; opencv-contrib-python 5.1.0.95 does as 5.0.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cat >"$dir/shift.py" <<'PY'
import sys

import cv2
import numpy as np

print("OpenCV", cv2.__version__)
KERNELS = {"LINEAR": cv2.INTER_LINEAR, "CUBIC": cv2.INTER_CUBIC, "LANCZOS4": cv2.INTER_LANCZOS4}
SIDE = 96
rng = np.random.default_rng(0)
noise = rng.random((SIDE, SIDE), dtype=np.float32)
inner = np.s_[16:-16, 16:-16]


def warp(src, shift, kernel):
    matrix = np.float32([[1, 0, shift], [0, 1, 0]])
    return cv2.warpAffine(src, matrix, (SIDE, SIDE), flags=kernel | cv2.WARP_INVERSE_MAP)[inner]


def remap(src, shift, kernel):
    x, y = np.meshgrid(np.arange(SIDE, dtype=np.float32), np.arange(SIDE, dtype=np.float32))
    return cv2.remap(src, x + np.float32(shift), y, kernel)[inner]


def steps(move, kernel):
    """How many different pictures 64 shifts within one pixel give."""
    return len({move(noise, k / 64 + 1 / 256, kernel).tobytes() for k in range(64)})


WAVE = 32  # pixels; the inner part holds two of them


def done(move, shift, kernel):
    """The shift that a wave has really been moved by, from its phase."""
    x = np.arange(SIDE)
    src = np.tile(np.sin(2 * np.pi * x / WAVE), (SIDE, 1)).astype(np.float32)
    kept = x[16:-16]
    phase = np.angle((move(src, shift, kernel)[0] * np.exp(-2j * np.pi * kept / WAVE)).sum())
    start = np.angle((src[0][16:-16] * np.exp(-2j * np.pi * kept / WAVE)).sum())
    return float((phase - start) * WAVE / (2 * np.pi))


count, error = {}, {}
asked = (0.01, 0.1, 0.33, 0.455, 0.7, 0.985)
for name, kernel in KERNELS.items():
    count[name] = steps(warp, kernel), steps(remap, kernel)
    error[name] = max(abs(done(m, s, kernel) - s) for s in asked for m in (warp, remap))
    print(f"  {name:8}: 64 shifts within a pixel give {count[name][0]} pictures (warpAffine), "
          f"{count[name][1]} (remap); a shift is off by up to {error[name]:.4f} pixels")
lanczos = cv2.INTER_LANCZOS4
frozen = bool(np.array_equal(warp(noise, 0.01, lanczos), warp(noise, 0, lanczos)))
sides = float(np.abs(warp(noise, 1 / 64, lanczos) - remap(noise, 1 / 64, lanczos)).max())
print(f"  LANCZOS4: shift by 0.01 equals no shift: {frozen}; "
      f"warpAffine and remap by 1/64 differ by {sides:.3f} of 1")

if cv2.__version__.startswith("4."):
    checks = {"4.x: every kernel has at most 33 positions": all(max(c) <= 33 for c in count.values())}
else:
    checks = {
        "5.x: LINEAR and CUBIC move by every one of 64 steps": all(count[k] == (64, 64) for k in ("LINEAR", "CUBIC")),
        "5.x: LANCZOS4 has at most 33 positions": max(count["LANCZOS4"]) <= 33,
        "5.x: LANCZOS4's shift by 0.01 is none": frozen,
        "5.x: warpAffine and remap round 1/64 to different sides": sides > 0.01,
        "5.x: LINEAR moves by what was asked": error["LINEAR"] < 0.001,
        "5.x: LANCZOS4 is twenty times worse": error["LANCZOS4"] > 0.015 > 20 * error["LINEAR"],
        "5.x: CUBIC is the worst": error["CUBIC"] > 0.03 > error["LANCZOS4"],
    }
for name, holds in checks.items():
    print("holds  " if holds else "CHANGED", name)
sys.exit(not all(checks.values()))
PY
echo "guess: the longer the kernel, the truer the shift; and one rule for all kernels of a version"
status=0
for package in 'opencv-python-headless==4.14.0.94' 'opencv-python-headless==5.0.0.93'; do
    python3 -m venv --clear "$dir/venv"
    "$dir/venv/bin/pip" install -q --disable-pip-version-check "$package" 'numpy==2.3.5'
    "$dir/venv/bin/python" "$dir/shift.py" || status=1
done
exit $status
