#!/usr/bin/env bash
# A network with adaptive pooling, exported to ONNX with free sizes, is silently wrong at other sizes.
#
# Setting: SAFMN and its kin take features down with F.adaptive_max_pool2d(x, (h // 8, w // 8)); others use
# adaptive_avg_pool2d to a small grid or F.interpolate(mode="area"). They are exported once with
# dynamic height and width, which torch.onnx.export accepts without a word, and checked at one size.
#
# What one would guess: ONNX has no adaptive pooling, so the exporter either refuses free sizes or writes
# the computing of the windows' borders into the graph. What passes the export is right at each size.
#
# What happens: for an example size that the grid divides, adaptive pooling is turned into plain
# pooling with the example's window, and sizes stay free. At every size with a remainder the windows lie
# elsewhere: the result has the right shape and is wrong by up to half the range of values. Pooling to
# a fixed grid of 4x4 from an example of 20x24 becomes a window of 5x6: at 64x64 the output is 12x10,
# not 4x4. For 5x5 the shape is kept and every cell is wrong. The check at the example's
# size, at its double, at any "nice" size, passes.
#
# Seen with torch 2.13.0 and 2.14.1, onnx 1.23.2, onnxscript 0.7.2, onnxruntime 1.32.0.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check 'torch==2.13.0' 'numpy==2.3.5' 'onnx==1.23.2' \
    'onnxscript==0.7.2' 'onnxruntime==1.32.0'
OMP_NUM_THREADS=1 "$dir/venv/bin/python" - <<'PY'
import io
import logging
import sys
import warnings

import numpy as np
import onnxruntime as ort
import torch
import torch.nn.functional as F

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)
print("torch", torch.__version__, "onnxruntime", ort.__version__)
print("guess: what exports with free sizes is right at every size")


class Net(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def gate(x):
    """SAFMN's way: a coarse maximum, brought back to the size of its input."""
    h, w = x.shape[-2:]
    return x * F.interpolate(F.adaptive_max_pool2d(x, (h // 8, w // 8)), size=(h, w), mode="nearest")


CASES = {
    "adaptive_max_pool2d to (h // 8, w // 8)": (gate, (32, 48)),
    "interpolate(scale_factor=0.5, mode='area')": (lambda x: F.interpolate(x, scale_factor=0.5, mode="area"), (32, 48)),
    "adaptive_avg_pool2d to 4x4": (lambda x: F.adaptive_avg_pool2d(x, 4), (20, 24)),
    "adaptive_avg_pool2d to 5x5": (lambda x: F.adaptive_avg_pool2d(x, 5), (20, 24)),
}
SIZES = ((32, 48), (64, 96), (61, 83), (75, 50))
torch.manual_seed(0)
pictures = {s: torch.rand(1, 3, *s) for s in SIZES}
found = {}
for name, (function, example) in CASES.items():
    file = io.BytesIO()
    stdout, sys.stdout = sys.stdout, io.StringIO()
    try:
        torch.onnx.export(Net(function).eval(), (torch.rand(1, 3, *example),), dynamo=True,
                          dynamic_shapes=({2: torch.export.Dim.AUTO, 3: torch.export.Dim.AUTO},), verbose=False).save(file)
    finally:
        sys.stdout = stdout
    session = ort.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
    (entry,) = session.get_inputs()
    assert all(isinstance(side, str) for side in entry.shape[2:]), "the sizes are not free"
    row = []
    for size, x in pictures.items():
        ours, theirs = function(x).numpy(), session.run(None, {entry.name: x.numpy()})[0]
        if ours.shape != theirs.shape:
            found[name, size] = f"{theirs.shape[2]}x{theirs.shape[3]} for {ours.shape[2]}x{ours.shape[3]}"
        else:
            found[name, size] = float(np.abs(ours - theirs).max())
        shown = found[name, size]
        row.append(f"{size[0]}x{size[1]}: " + (shown if isinstance(shown, str) else f"{shown:.2g}"))
    print(f"{name}, exported at {example[0]}x{example[1]}: {'; '.join(row)}")

smooth, area, four, five = CASES
checks = {
    "SAFMN's pooling is exact at multiples of 8": max(found[smooth, s] for s in SIZES[:2]) < 1e-6,
    "and wrong by more than 0.02 elsewhere": min(found[smooth, s] for s in SIZES[2:]) > 0.02,
    "so is 'area'": max(found[area, s] for s in SIZES[:2]) < 1e-6 and found[area, (61, 83)] > 0.05,
    "4x4 comes out in other shapes": all(isinstance(found[four, s], str) for s in SIZES[1:]),
    "5x5 keeps its shape and is wrong": all(
        isinstance(found[five, s], float) and found[five, s] > 0.05 for s in SIZES),
}
for name, holds in checks.items():
    print("holds  " if holds else "CHANGED", name)
sys.exit(not all(checks.values()))
PY
