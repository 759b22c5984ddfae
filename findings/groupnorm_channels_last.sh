#!/usr/bin/env bash
# GroupNorm on a channels_last tensor loses the variance (PyTorch on CPU).
#
# Setting: RealPLKSR, SCUNet-like and diffusion upscalers normalise whole feature maps with
# nn.GroupNorm; on CPUs networks are put into channels_last because convolutions are faster there.
#
# What one would guess: the memory format is layout only. GroupNorm's variance was made safe in 2021
# (Welford and cascade sums: pytorch issue 54293, pull request 54921), so both layouts agree to
# about 1e-6, at any picture size.
#
# What happens: only the NCHW kernel was made safe. The channels_last kernel of the same operator sums
# x and x*x one after the other in float32 and takes E[x*x] - E[x]^2. The error grows with the
# picture, and with |mean| / std: features of mean 10 and std 0.1 are off by 0.002 standard
# deviations at 64x64, 0.03 at 256x256, 0.2 at 1024x1024; at 4096x4096, features of mean 0.9 and
# std 0.1 (a bright sky) are multiplied by about 30 and shifted, finite and without a warning.
# F.instance_norm and F.layer_norm on the same tensor are not affected.
#
# Seen with torch 2.13.0 and 2.14.1, on x86-64, the same with AVX2 and with AVX-512 kernels.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check 'torch==2.13.0' 'numpy==2.3.5'
export OMP_NUM_THREADS=1
"$dir/venv/bin/python" - <<'PY'
import sys

import torch
import torch.nn.functional as F

print("torch", torch.__version__)
print("guess: NCHW and channels_last agree to about 1e-6 at every size")
torch.manual_seed(0)


def exact(x, eps=1e-5):
    x = x.double()
    return (x - x.mean()) / (x.var(unbiased=False) + eps).sqrt()


def worst(y, ref):
    return float((y.double() - ref).abs().max())


rows = {}
for side, mean, std in ((64, 10, 0.1), (256, 10, 0.1), (1024, 10, 0.1), (1024, 0.9, 0.1), (4096, 0.9, 0.1)):
    x = torch.randn(1, 4, side, side) * std + mean
    last = x.contiguous(memory_format=torch.channels_last)
    assert torch.equal(x, last)
    ref = exact(x)
    plain, other = F.group_norm(x, 1), F.group_norm(last, 1)
    spread = float(other.double().std())
    rows[side, mean] = worst(plain, ref), worst(other, ref), spread
    print(f"{side:5}^2 x 4, mean {mean}, std {std}: worst error NCHW {rows[side, mean][0]:.1e}, "
          f"channels_last {rows[side, mean][1]:.1e}; its output's std {spread:.3f} (should be 1)")

x = torch.randn(1, 4, 256, 256) * 0.1 + 10
last = x.contiguous(memory_format=torch.channels_last)
per_channel = (last.double() - last.double().mean((2, 3), keepdim=True)) / (
    last.double().var((2, 3), unbiased=False, keepdim=True) + 1e-5).sqrt()
instance = worst(F.instance_norm(last), per_channel)
layer = worst(F.layer_norm(last, last.shape[1:]), exact(x))
print(f"  256^2, mean 10: instance_norm channels_last {instance:.1e}, layer_norm channels_last {layer:.1e}")

checks = {
    "NCHW stays below 0.01": all(r[0] < 0.01 for r in rows.values()),
    "channels_last is off by more than 0.05 at 1024^2, mean 10": rows[1024, 10][1] > 0.05,
    "and a hundred times worse than NCHW": rows[1024, 10][1] > 100 * rows[1024, 10][0],
    "it grows with the picture": rows[1024, 10][1] > 5 * rows[64, 10][1],
    "at 4096^2 a sky is wrong by more than 5 standard deviations": rows[4096, 0.9][1] > 5,
    "instance_norm and layer_norm are fine": instance < 1e-3 and layer < 1e-3,
}
for name, holds in checks.items():
    print("holds  " if holds else "CHANGED", name)
sys.exit(not all(checks.values()))
PY
