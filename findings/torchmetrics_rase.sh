#!/usr/bin/env bash
# torchmetrics' RASE is too large by the square of its window: 320% for an error of 5%.
#
# Setting: RASE (relative average spectral error) is reported for pansharpening and multispectral
# super-resolution (Sentinel-2), beside ERGAS and SAM: 100 / mean * RMSE over the bands, in percent.
#
# What one would guess: on a flat picture of 100 that is 5 too bright, every definition gives 5. The
# window (8 by default) decides where values are taken, not how large they are.
#
# What happens: torchmetrics' local means, already divided by the window's area, are divided by
# it once more, so the figure is window^2 times too large: 80, 320, 1280 for windows of 4, 8, 16. Its
# ranking of networks stays nearly right, so nothing looks odd until the figure stands beside a published
# one. sewar, which has the same function in numpy, gives 5. ERGAS and SAM of the same package are right.
#
# Seen with torchmetrics 1.9.0, torch 2.13.0, sewar 0.4.10.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check 'torch==2.13.0' 'numpy==2.3.5' 'torchmetrics==1.9.0' \
    'sewar==0.4.10' 'scipy==1.17.1' 'pillow==13.0.0'
OMP_NUM_THREADS=1 "$dir/venv/bin/python" - <<'PY'
import sys

import numpy as np
import sewar.full_ref
import torch
import torchmetrics
from torchmetrics.functional.image import (
    error_relative_global_dimensionless_synthesis as ergas,
    relative_average_spectral_error as rase,
)

print("torchmetrics", torchmetrics.__version__, "torch", torch.__version__)
print("guess: 5, with any window")
flat = torch.full((1, 3, 64, 64), 100.0)
brighter = flat + 5
torch.manual_seed(0)
noisy = torch.rand(1, 4, 128, 128) * 1000 + 1000
estimate = noisy + torch.randn_like(noisy) * 40
plain = float(100 / noisy.double().mean() * (estimate - noisy).double().square().mean((2, 3)).mean().sqrt())

windows = (4, 8, 16)
on_flat = {w: float(rase(brighter, flat, window_size=w)) for w in windows}
on_noise = {w: float(rase(estimate, noisy, window_size=w)) / plain for w in windows}
other = float(sewar.full_ref.rase(*(x[0].permute(1, 2, 0).numpy().astype(np.float64) for x in (flat, brighter))))
for w in windows:
    print(f"window {w:2}: flat picture, 5% too bright: {on_flat[w]:.1f}; noise: {on_noise[w]:.1f} times the definition")
total = float(ergas(brighter, flat))
print(f"sewar, window 8, the flat picture: {other:.2f}; torchmetrics' ERGAS (ratio 4): {total:.2f} (100 / 4 * 0.05 = 1.25)")

checks = {
    "5 * window^2 on the flat picture": all(abs(v / (5 * w * w) - 1) < 0.01 for w, v in on_flat.items()),
    "about window^2 on noise": all(abs(v / w**2 - 1) < 0.1 for w, v in on_noise.items()),
    "sewar gives 5": abs(other - 5) < 0.1,
    "ERGAS is right": abs(total - 1.25) < 0.01,
}
for name, holds in checks.items():
    print("holds  " if holds else "CHANGED", name)
sys.exit(not all(checks.values()))
PY
