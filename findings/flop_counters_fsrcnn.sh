#!/usr/bin/env bash
# FSRCNN's published Multi-Adds (6.0, 5.0, 4.6 G at x2, x3, x4) are a counting error that tools repeat.
#
# Setting: tables of super-resolution papers compare networks by multiply-adds for a 1280x720 result.
# CARN's table (Ahn, Kang, Sohn, 2018), copied into nearly every later one, gives FSRCNN 6.0, 5.0 and 4.6 G.
#
# What one would guess: counting convolutions is trivial; the tables are right, tools agree with them
# to a percent, and FSRCNN hardly gains from larger factors.
#
# What happens: FSRCNN ends in a transposed convolution of stride s. Each of its 81 taps meets one
# input pixel in s*s outputs only; counted per output pixel it is charged s*s times too much. By hand,
# FSRCNN takes 2.87, 1.28 and 0.72 G; the published figures come out to the digit when the mistake is made.
# thop and torchinfo make it to this day, so anybody who checks the table with them finds it confirmed;
# PyTorch's FlopCounterMode, fvcore and ptflops do not. FSRCNN x4 is 6.4 times cheaper than tables say.
# The other way round, attention written with PyTorch's fused function counts as nothing in thop,
# torchinfo, fvcore and ptflops' default way, and a convolution called as a function (F.conv2d) as nothing
# in thop, torchinfo and ptflops' default: only FlopCounterMode and ptflops' "aten" way are right throughout.
#
# Seen with torch 2.13.0, thop 0.1.1.post2209072238, torchinfo 1.8.0, fvcore 0.1.5.post20221221,
# ptflops 0.7.5.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check 'setuptools<81' wheel
"$dir/venv/bin/pip" install -q --disable-pip-version-check 'torch==2.13.0' 'numpy==2.3.5' 'thop==0.1.1.post2209072238' \
    'torchinfo==1.8.0' 'fvcore==0.1.5.post20221221' 'ptflops==0.7.5'
OMP_NUM_THREADS=1 "$dir/venv/bin/python" - <<'PY'
import logging
import sys
import warnings

warnings.filterwarnings("ignore")
logging.disable(logging.CRITICAL)

import fvcore.nn
import ptflops
import thop
import torch
import torch.nn.functional as F
import torchinfo
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

print("torch", torch.__version__, "torchinfo", torchinfo.__version__)
print("guess: the tables are right, and all tools agree with them to a percent")
PUBLISHED = {2: 6.0, 3: 5.0, 4: 4.6}


def fsrcnn(scale, d=56, s=12, m=4):
    body = [nn.Conv2d(1, d, 5, 1, 2), nn.PReLU(d), nn.Conv2d(d, s, 1), nn.PReLU(s)]
    for _ in range(m):
        body += [nn.Conv2d(s, s, 3, 1, 1), nn.PReLU(s)]
    body += [nn.Conv2d(s, d, 1), nn.PReLU(d), nn.ConvTranspose2d(d, 1, 9, scale, 4, output_padding=scale - 1)]
    return nn.Sequential(*body)


class Windows(nn.Module):
    """Attention over 8x8 windows of 60 channels, with PyTorch's own function."""

    def forward(self, x):
        t = x.flatten(2).transpose(1, 2).reshape(-1, 64, 60)
        return F.scaled_dot_product_attention(t, t, t)


class Functional(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.rand(60, 60, 3, 3))

    def forward(self, x):
        return F.conv2d(x, self.weight, padding=1)


def flop_counter(net, x):
    with FlopCounterMode(display=False) as mode:
        net(x)
    return mode.get_total_flops() / 2


def by_ptflops(way):
    return lambda net, x: ptflops.get_model_complexity_info(
        net, tuple(x.shape[1:]), as_strings=False, print_per_layer_stat=False, verbose=False, backend=way)[0]


TOOLS = {
    "FlopCounterMode": flop_counter,
    "ptflops aten": by_ptflops("aten"),
    "ptflops pytorch": by_ptflops("pytorch"),
    "fvcore": lambda n, x: fvcore.nn.FlopCountAnalysis(n, x).unsupported_ops_warnings(False).uncalled_modules_warnings(False).total(),
    "thop": lambda n, x: thop.profile(n, inputs=(x,), verbose=False)[0],
    "torchinfo": lambda n, x: torchinfo.summary(n, input_data=x, verbose=0).total_mult_adds,
}
ratio, by_hand, mistaken = {}, {}, {}


def compare(case, build, x, true):
    for tool, count in TOOLS.items():
        ratio[case, tool] = count(build().eval(), x) / true
    print(f"{case}, counted / true: " + ", ".join(f"{t} {ratio[case, t]:.3f}" for t in TOOLS))


for scale, published in PUBLISHED.items():
    pixels = 1280 * 720 / scale**2
    before = 25 * 56 + 56 * 12 + 4 * 9 * 12 * 12 + 12 * 56
    by_hand[scale] = pixels * (before + 81 * 56) / 1e9
    mistaken[scale] = pixels * (before + 81 * 56 * scale**2) / 1e9
    print(f"FSRCNN x{scale} for 1280x720: {by_hand[scale]:.2f} G by hand; with the last layer counted per output "
          f"pixel {mistaken[scale]:.2f} G; published {published} G")
    compare(f"FSRCNN x{scale}", lambda: fsrcnn(scale), torch.rand(1, 1, 48, 48), by_hand[scale] * 1e9 / pixels * 48 * 48)
compare("attention", Windows, torch.rand(1, 60, 64, 64), 2 * 64 * 64 * 64 * 60)
compare("F.conv2d", Functional, torch.rand(1, 60, 64, 64), 64 * 64 * 9 * 60 * 60)

blind = [t for t in TOOLS if ratio["attention", t] < 0.01]
checks = {
    "the published figures are the mistaken ones, to the digit": all(
        abs(mistaken[s] - p) < 0.06 for s, p in PUBLISHED.items()),
    "by hand x4 is less than a sixth of them": by_hand[4] < PUBLISHED[4] / 6,
    "thop and torchinfo confirm the mistake": all(
        abs(ratio[f"FSRCNN x{s}", t] * by_hand[s] / p - 1) < 0.02 for s, p in PUBLISHED.items() for t in ("thop", "torchinfo")),
    "FlopCounterMode, ptflops and fvcore do not": all(
        abs(ratio[f"FSRCNN x{s}", t] - 1) < 0.05 for s in PUBLISHED
        for t in ("FlopCounterMode", "ptflops aten", "ptflops pytorch", "fvcore")),
    "four of six count fused attention as nothing": set(blind) == {"ptflops pytorch", "fvcore", "thop", "torchinfo"},
    "three count F.conv2d as nothing": all(ratio["F.conv2d", t] < 0.01 for t in ("ptflops pytorch", "thop", "torchinfo")),
}
for name, holds in checks.items():
    print("holds  " if holds else "CHANGED", name)
sys.exit(not all(checks.values()))
PY
