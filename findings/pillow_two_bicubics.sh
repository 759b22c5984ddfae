#!/usr/bin/env bash
# Pillow's BICUBIC is two different filters: resize() has a = -0.5, transform() and rotate() a = -1.
#
# Setting: pairs for super-resolution are made with Pillow: shifted, rotated or sheared with
# Resampling.BICUBIC, then reduced with Resampling.BICUBIC; papers write "bicubic" for both.
#
# What one would guess: one constant, one kernel: Keys' cubic with a = -0.5, as resize() has it.
#
# What happens: the geometric transforms interpolate with a = -1, which resize() never uses. Half a
# pixel away the weights are -1/8, 5/8, 5/8, -1/8 in place of -1/16, 9/16, 9/16, -1/16. It does not
# reproduce a straight ramp any more (of Keys' family only a = -0.5 does): a smooth picture that is to
# move by 0.25 pixels moves by 0.16. It overshoots edges twice as far. The same half-pixel shift of the same picture with the same constant gives two pictures; a network
# trained on rotated crops sees sharper edges than on the others. OpenCV's cubic is a third (-0.75).
#
# Seen with Pillow 13.0.0 (modes L, RGB and F alike), numpy 2.3.5.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check 'pillow==13.0.0' 'numpy==2.3.5'
"$dir/venv/bin/python" - <<'PY'
import math
import sys

import numpy as np
import PIL
from PIL import Image

BICUBIC = Image.Resampling.BICUBIC
print("Pillow", PIL.__version__)
print("guess: resize() and transform() with BICUBIC use the same weights (a = -0.5)")


def keys(t, a):
    t = abs(t)
    if t < 1:
        return (a + 2) * t**3 - (a + 3) * t**2 + 1
    return a * (t**3 - 5 * t**2 + 8 * t - 4) if t < 2 else 0.0


def by_transform(im, shift):
    return im.transform(im.size, Image.Transform.AFFINE, (1, 0, shift, 0, 1, 0), BICUBIC)


def by_resize(im, shift):
    w, h = im.size
    return im.resize((w - 1, h), BICUBIC, box=(shift, 0, w - 1 + shift, h))


def floats(values):
    return Image.fromarray(np.tile(np.asarray(values, np.float32), (9, 1)))


impulse = np.zeros(17)
impulse[8] = 1
fits = {}
for shift in (0.25, 0.5, 0.8):
    for name, move in (("resize", by_resize), ("transform", by_transform)):
        got = np.asarray(move(floats(impulse), shift))[4, 4:12]
        errors = {a: max(abs(got[i] - keys(i + 4 + shift - 8, a)) for i in range(8)) for a in (-0.5, -0.75, -1.0)}
        fits[name, shift] = min(errors, key=errors.get), min(errors.values())
        print(f"impulse, shift {shift}: {name:9} {np.round(got[2:6], 4)} fits a = {fits[name, shift][0]}")

ramp = 10.0 * np.arange(17)
bent = {}
for name, move in (("resize", by_resize), ("transform", by_transform)):
    got = np.asarray(move(floats(ramp), 0.25))[4, 4:12]
    bent[name] = float(np.abs(got - 10 * (np.arange(4, 12) + 0.25)).max())
    moved = float(got.mean() - 10 * np.arange(4, 12).mean()) / 10
    print(f"a straight ramp, to move by 0.25 pixels: {name:9} moves it by {moved:.4f}")

edge = Image.fromarray(np.tile(np.where(np.arange(16) < 8, 60, 200).astype(np.uint8), (9, 1)))
over = {name: int(np.asarray(move(edge, 0.5)).max()) - 200
        for name, move in (("resize", by_resize), ("transform", by_transform))}
print("overshoot of an edge from 60 to 200, in levels:", over)

wave = np.arange(64)
rgb = np.stack([128 + 100 * np.sin(2 * math.pi * wave / p) for p in (3, 4, 6)], -1).round().astype(np.uint8)
rgb = Image.fromarray(np.tile(rgb, (9, 1, 1)))
a, b = (np.asarray(m(rgb, 0.5), int)[4, 4:-4] for m in (by_resize, by_transform))
far = np.abs(a[:50] - b[:50]).max(0)
print("waves of 3, 4 and 6 pixels, amplitude 100: the two differ by up to", far.tolist(), "levels")

turned = floats(impulse).rotate(20, BICUBIC)
plain = np.asarray(floats(impulse))
lowest = float(np.asarray(turned).min())
print(f"rotate() by 20 degrees of a white line on black: lowest value {lowest:.3f} (a = -0.5: above -0.08)")

checks = {
    "resize() is a = -0.5": all(f[0] == -0.5 and f[1] < 1e-3 for (n, _), f in fits.items() if n == "resize"),
    "transform() is a = -1": all(f[0] == -1.0 and f[1] < 1e-3 for (n, _), f in fits.items() if n == "transform"),
    "only resize() keeps a ramp straight": bent["resize"] < 0.01 < 0.5 < bent["transform"],
    "about twice the overshoot": over["transform"] >= 1.8 * over["resize"] > 0,
    "the wave of 3 pixels moves by more than 10 levels": far[0] > 10,
    "rotate() is transform()'s": lowest < -0.12,
}
for name, holds in checks.items():
    print("holds  " if holds else "CHANGED", name)
sys.exit(not all(checks.values()))
PY
