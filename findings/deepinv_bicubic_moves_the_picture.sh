#!/usr/bin/env bash
# deepinv's "bicubic" Downsampling is centred at x2 and moves the picture by a pixel at x4.
#
# Setting: deepinv.physics.Downsampling(filter="bicubic", factor=4) makes the low-resolution picture of
# super-resolution experiments; its documentation calls bicubic "a sensible default".
#
# What one would guess: the bicubic of everybody (MATLAB, Pillow, PyTorch with antialias): small pixel j lies in the
# middle of the large pixels 4j to 4j + 3, with each filter and at each factor. If there were a shift, then
# (factor - 1) / 2 for all, from taking every fourth sample of a centred blur.
#
# What happens: the filters have an even number of taps, are put half a pixel off the middle, and then
# every factor-th sample is taken. At x2 both halves cancel out and the picture lies where it should; at x3 it is
# half a pixel off, at x4 a whole pixel (of the large picture), for bicubic, bilinear and sinc. "gaussian", of an odd
# length, is off by 0.5, 1 and 1.5. So who checks at x2 finds nothing, and changing the filter moves the
# picture. The package's other operator, DownsamplingMatlab, is centred. A_adjoint and A_dagger take the same
# shift back, so that reconstruction within the package shows nothing.
#
# Matters: a published network for bicubic x4 (or bicubic enlarging as the baseline) applied to these pictures gives
# a result one pixel away from the truth: about 2 dB less, with nothing wrong to be seen. Weights trained on
# these pairs shift real pictures back by a pixel.
# Documentation: Downsampling: y = S(h * x), "h is a low-pass filter and S is a subsampling operator"; no shift named.
#
# Seen with deepinv 0.5.0, torch 2.14.1, numpy 2.4.6.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check 'deepinv==0.5.0' 'torch==2.14.1' 'numpy==2.4.6'
OMP_NUM_THREADS=1 "$dir/venv/bin/python" - <<'PY'
import sys

import deepinv
import torch
import torch.nn.functional as F
from deepinv.physics import Downsampling, DownsamplingMatlab

print("deepinv", deepinv.__version__, "torch", torch.__version__)
print("guess: every filter is centred, at every factor; 'bicubic' is the bicubic of everybody")
torch.manual_seed(0)
SIDE = 144  # a multiple of 2, 3 and 4
spot = torch.exp(-((torch.arange(SIDE) - (SIDE - 1) / 2) / 14).square() / 2)
spot = (spot[:, None] * spot)[None, None]
texture = F.avg_pool2d(torch.rand(1, 1, SIDE + 6, SIDE + 6), 7, stride=1)
texture = (texture - texture.mean()) / texture.std() * 0.15 + 0.5


def moved(small, factor):
    """By how many pixels of the large picture the spot has moved; a small pixel covers factor large ones."""
    column = small[0, 0].double().sum(0)
    centre = float((column * torch.arange(len(column))).sum() / column.sum())
    return centre * factor + (factor - 1) / 2 - (SIDE - 1) / 2


def kept(small, inner=16):
    """PSNR of the small picture enlarged again, inside the border."""
    large = F.interpolate(small, size=(SIDE, SIDE), mode="bicubic", align_corners=False)
    error = (large - texture)[..., inner:-inner, inner:-inner].square().mean()
    return float(-10 * error.log10())


shifts, psnr = {}, {}
for factor in (2, 3, 4):
    ways = {name: Downsampling(filter=name, factor=factor, img_size=(1, SIDE, SIDE), padding="circular")
            for name in ("bicubic", "bilinear", "sinc", "gaussian")}
    ways["DownsamplingMatlab"] = DownsamplingMatlab(factor=factor)
    small = {name: (way.A(spot), way.A(texture)) for name, way in ways.items()}
    small["F.interpolate, antialias"] = tuple(
        F.interpolate(x, size=(SIDE // factor,) * 2, mode="bicubic", antialias=True) for x in (spot, texture))
    for name, (dot, picture) in small.items():
        shifts[factor, name] = moved(dot, factor)
        psnr[factor, name] = kept(picture)
        print(f"x{factor} {name:25} moved by {shifts[factor, name]:+.2f} pixels; "
              f"enlarged again {psnr[factor, name]:.1f} dB")

checks = {
    "bicubic: centred at x2, 0.5 off at x3, 1 pixel at x4":
        all(abs(shifts[f, "bicubic"] - s) < 0.02 for f, s in ((2, 0), (3, 0.5), (4, 1))),
    "bilinear and sinc the same": all(
        abs(shifts[f, n] - shifts[f, "bicubic"]) < 0.02 for f in (2, 3, 4) for n in ("bilinear", "sinc")),
    "gaussian: 0.5, 1 and 1.5 pixels off":
        all(abs(shifts[f, "gaussian"] - s) < 0.02 for f, s in ((2, 0.5), (3, 1), (4, 1.5))),
    "the package's DownsamplingMatlab and PyTorch are centred": all(
        abs(shifts[f, n]) < 0.02 for f in (2, 3, 4) for n in ("DownsamplingMatlab", "F.interpolate, antialias")),
    "at x2 'bicubic' is as good as the other two": psnr[2, "bicubic"] > psnr[2, "DownsamplingMatlab"] - 0.3,
    "at x4 it is more than 1.5 dB worse": psnr[4, "bicubic"] < psnr[4, "DownsamplingMatlab"] - 1.5,
}
for name, holds in checks.items():
    print("holds  " if holds else "CHANGED", name)
sys.exit(not all(checks.values()))
PY
