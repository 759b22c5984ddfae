#!/usr/bin/env bash
# Fast-SSIM: a 16-bit picture whose lower half is black scores SSIM 1.0; RGBA scores higher than its channels.
#
# Setting: Fast-SSIM 1.4.0 (2026) computes SSIM and PSNR of numpy arrays many times faster than scikit-image, for
# benchmarks of upscalers and encoders.
#
# What one would guess: 8 bits and float32 agree with scikit-image (they do, to 1e-5, for gray and RGB). uint16 either
# agrees as well, or raises the TypeError that the documentation promises for "an unsupported dtype" (float64 does).
# More channels are averaged, as three are.
#
# What happens: - whatever is not float is handed to the code for bytes, together with the number of pixels. Of a
#   16-bit picture the first half of the buffer is compared, low and high bytes as pixels of their own: what is
#   below the middle does not count. With the lower half replaced by black, SSIM is 1.0 and PSNR 196 dB.
#   (For noise over the whole picture the figure looks plausible, and the PSNR is nearly right.)
# - at 2, 4, 5 and 6 channels `ssim` is too high (0.973 for 0.963 at four), while `ssim_slow` of the same package
#   and `ssim` of each channel alone agree with scikit-image. 1 and 3, which everybody tests with, are right.
#
# Matters: a test of 16-bit or RGBA output passes with half of the picture lost, or ranks RGBA above RGB of the
# same pixels.
# Documentation: ssim(): "Raises: TypeError: If an unsupported dtype or typecode is provided."
#
# Seen with Fast-SSIM 1.4.0 (x86-64, with AVX2 and with SSIM_FORCE_SSE=1), scikit-image 0.26.0, numpy 2.4.6.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check 'Fast-SSIM==1.4.0' 'scikit-image==0.26.0' 'numpy==2.4.6'
OMP_NUM_THREADS=1 "$dir/venv/bin/python" - <<'PY'
import sys

import fast_ssim
import numpy as np
import skimage
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

print("Fast-SSIM 1.4.0, scikit-image", skimage.__version__)
print("guess: 16 bits give the figures of scikit-image, or the documented TypeError; RGBA as RGB")
rng = np.random.default_rng(0)
checks = {}

whole = rng.integers(0, 65536, (128, 96)).astype(np.uint16)
half = whole.copy()
half[64:] = 0
figures = [(fast_ssim.ssim(whole, half, data_range=65535), fast_ssim.psnr(whole, half, data_range=65535)),
           (structural_similarity(whole, half, data_range=65535),
            peak_signal_noise_ratio(whole, half, data_range=65535))]
for name, (ssim, psnr) in zip(("Fast-SSIM", "scikit-image"), figures):
    print(f"uint16, lower half black: SSIM {ssim:.4f}, PSNR {psnr:.1f} dB ({name})")
checks["16 bits: half of the picture black, SSIM is 1, PSNR above 90 dB"] = figures[0][0] == 1 and figures[0][1] > 90
checks["which scikit-image calls 0.5 and less than 12 dB"] = figures[1][0] < 0.55 and figures[1][1] < 12
upper = np.frombuffer(whole.tobytes()[:whole.size], np.uint8).reshape(whole.shape)
lower = whole.copy()
lower[:64] ^= 3  # the lowest two bits of the upper half
other = np.frombuffer(lower.tobytes()[:lower.size], np.uint8).reshape(lower.shape)
same = fast_ssim.ssim(whole, lower) == fast_ssim.ssim(upper.copy(), other.copy()) < 1
print("the figure is that of the first half of the buffer, taken as bytes:", same)
checks["16 bits are read as bytes, as many as there are pixels"] = same

print("channels: the package's `ssim`, its `ssim_slow`, scikit-image, at its window of 7; `ssim` of each channel alone")
for channels in range(1, 7):
    a = (rng.random((40, 40, channels)).repeat(4, 0).repeat(4, 1) * 200 + 20).astype(np.uint8)
    b = np.clip(a + rng.normal(0, 12, a.shape), 0, 255).astype(np.uint8)
    fast, slow = fast_ssim.ssim(a, b), fast_ssim.ssim_slow(a, b)
    truth = structural_similarity(a, b, channel_axis=2)
    alone = np.mean([fast_ssim.ssim(a[..., i].copy(), b[..., i].copy()) for i in range(channels)])
    print(f"{channels}: {fast:.4f} {slow:.4f} {truth:.4f}; {alone:.4f}")
    right = max(abs(slow - truth), abs(alone - truth)) < 1e-5
    checks[f"{channels} channels: ssim_slow and each channel alone are right"] = right
    if channels in (1, 3):
        checks[f"{channels} channels: ssim is right"] = abs(fast - truth) < 1e-5
    else:
        checks[f"{channels} channels: ssim is too high"] = fast > truth + 0.002
for name, holds in checks.items():
    print("holds  " if holds else "CHANGED", name)
sys.exit(not all(checks.values()))
PY
