#!/usr/bin/env bash
# PReLU in half precision on a channels_last tensor is ten to twenty times slower, but not with 64
# channels (PyTorch, CPU).
#
# Setting: FSRCNN (56 and 12 channels), SRResNet (64) and Real-ESRGAN's small networks have a PReLU with
# one slope a channel after every convolution. On CPUs with bf16, networks are put into bf16 and
# channels_last, in which convolutions are fastest.
#
# What one would guess: PReLU is a pass over memory. In bf16 it moves half the bytes: it takes as long as in
# float32 or less, as LeakyReLU does, in any layout and with any number of channels.
#
# What happens: in NCHW that is so. In channels_last, bf16 and fp16 take nine times as long as float32 with
# 56 channels and twenty times with 12 (float32 is as fast in both layouts); with 64 they do not.
# The slopes repeat after each pixel, so one pixel's channels are vectorised at a time, 32 of them, and
# the rest go one by one: time a channel is 8 with 32, 64, 96 and 128 channels, 60 with 48, 72 with
# 56, 85 with 63, and 145 to 166 with fewer than 32. A network of 56 and 12 channels spends most of
# its time there, and who measures PReLU with the usual 64 sees nothing.
#
# Seen with torch 2.13.0 and 2.14.1 on x86-64 with AVX-512; one thread, CPU time, minima of 15.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check 'torch==2.13.0' 'numpy==2.3.5'
export OMP_NUM_THREADS=1
"$dir/venv/bin/python" - <<'PY'
import sys
import time

import torch
import torch.nn.functional as F

torch.set_num_threads(1)
print("torch", torch.__version__, torch.backends.cpu.get_cpu_capability())
print("guess: bf16 takes at most as long as float32, in every layout, for every number of channels")


def milliseconds(call):
    call()
    times = []
    for _ in range(15):
        began = time.process_time()
        call()
        times.append(time.process_time() - began)
    return min(times) * 1e3


ratio = {}
for name, layout in (("NCHW", torch.contiguous_format), ("channels_last", torch.channels_last)):
    for channels in (12, 56, 64):
        x = torch.randn(1, channels, 256, 256).contiguous(memory_format=layout)
        slopes = torch.full((channels,), 0.25)
        half, half_slopes = x.bfloat16(), slopes.bfloat16()
        assert torch.equal(F.prelu(half, half_slopes), F.leaky_relu(half, 0.25))
        full = milliseconds(lambda: F.prelu(x, slopes))
        prelu = milliseconds(lambda: F.prelu(half, half_slopes))
        leaky = milliseconds(lambda: F.leaky_relu(half, 0.25))
        ratio[name, channels] = prelu / full
        print(f"{name:14} {channels} channels: PReLU float32 {full:.2f} ms, bf16 {prelu:.2f} ms, "
              f"LeakyReLU bf16 {leaky:.2f} ms")

checks = {
    "NCHW is no slower in bf16": all(ratio["NCHW", c] < 2 for c in (12, 56, 64)),
    "channels_last is more than 4 times slower with 12 and 56 channels":
        min(ratio["channels_last", 12], ratio["channels_last", 56]) > 4,
    "and less than 3 times with 64": ratio["channels_last", 64] < 3,
}
for name, holds in checks.items():
    print("holds  " if holds else "CHANGED", name)
sys.exit(not all(checks.values()))
PY
