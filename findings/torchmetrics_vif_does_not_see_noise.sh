#!/usr/bin/env bash
# torchmetrics' VIF of pictures in [0, 1] does not see noise: with noise of 20% it is 1.03, where 0.07 is right.
#
# Setting: visual information fidelity (VIF-P) is reported beside PSNR and SSIM for super-resolution and fusion;
# tensors in [0, 1] are what networks and every other image metric of the package work with.
#
# What one would guess: the figure does not depend on whether white is 1 or 255. If it did, there would be a data_range
# to give, as for the package's PSNR, SSIM and MS-SSIM.
#
# What happens: the variance of the eye's noise, sigma_n_sq = 2.0, is that of the original program, for pictures
# in [0, 255]; nothing scales it to the picture and nothing in the documentation names a range (its example
# feeds randn). In [0, 1] its standard deviation, 1.4, is more than the whole range, and drowns everything: what
# is left of the measure is the ratio of contrasts, squared. Noise costs nothing (1.00 for 2%, 1.03 for 20%, where 0.50 and 0.07
# are right), half the contrast gives 0.25 in place of 0.65, and blur looks nearly right, so that figures for
# enlarged pictures seem plausible. The ranks are turned over: a noisy picture beats one slightly blurred.
# Times 255, the same function agrees with piq (which has data_range) to three digits.
#
# Matters: networks that add grain, or leave noise in, win; whoever trains or chooses by it chooses noise.
# Reference: Sheikh and Bovik, "Image information and visual quality", 2006; the authors' program takes 8-bit values.
#
# Seen with torchmetrics 1.9.0, piq 0.8.0, torch 2.14.1.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check 'torchmetrics==1.9.0' 'piq==0.8.0' 'torch==2.14.1' \
    'torchvision==0.29.1' 'numpy==2.4.6'
OMP_NUM_THREADS=1 "$dir/venv/bin/python" - <<'PY'
import sys

import piq
import torch
import torch.nn.functional as F
import torchmetrics
from torchmetrics.functional.image import visual_information_fidelity as theirs

print("torchmetrics", torchmetrics.__version__, "piq", piq.__version__, "torch", torch.__version__)
print("guess: the same figure for [0, 1] and [0, 255], or a range that one must give; near to piq's")
torch.manual_seed(0)
SIDE = 256
picture = sum(F.interpolate(torch.rand(1, 1, n, n), size=(SIDE, SIDE), mode="bicubic") / n**0.6
              for n in (4, 8, 16, 32, 64, 128))  # coarse and fine, as photos are
picture = (picture - picture.min()) / (picture.max() - picture.min()) * 0.8 + 0.1


def noisy(std):
    return (picture + std * torch.randn_like(picture)).clamp(0, 1)


def blurred(sigma):
    taps = torch.exp(-(torch.arange(-9, 10) / sigma).square() / 2)
    taps = (taps / taps.sum())[None, None]
    padded = F.pad(picture, (9, 9, 9, 9), mode="reflect")
    return F.conv2d(F.conv2d(padded, taps[..., None, :]), taps[..., None])


rows = {
    "noise of 2%": noisy(0.02), "noise of 20%": noisy(0.2), "blur of 0.5 pixels": blurred(0.5),
    "blur of 1 pixel": blurred(1), "half the contrast": picture * 0.5 + 0.25,
}
small, large, right = {}, {}, {}
for name, other in rows.items():
    small[name] = float(theirs(other, picture))
    large[name] = float(theirs(other * 255, picture * 255))
    right[name] = float(piq.vif_p(other, picture, data_range=1.0))
    print(f"{name:18} torchmetrics on [0, 1] {small[name]:.3f}, on [0, 255] {large[name]:.3f}; piq {right[name]:.3f}")

checks = {
    "on [0, 255] it agrees with piq": all(abs(large[name] - right[name]) < 0.002 for name in rows),
    "on [0, 1] noise costs nothing": min(small["noise of 2%"], small["noise of 20%"]) > 0.99,
    "where it leaves less than a tenth": right["noise of 20%"] < 0.1,
    "so the ranks are turned over": small["noise of 20%"] > small["blur of 0.5 pixels"]
    and right["noise of 20%"] < right["half the contrast"] < right["blur of 0.5 pixels"],
    "half the contrast is a quarter": abs(small["half the contrast"] - 0.25) < 0.01,
}
for name, holds in checks.items():
    print("holds  " if holds else "CHANGED", name)
sys.exit(not all(checks.values()))
PY
