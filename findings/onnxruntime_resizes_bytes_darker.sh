#!/usr/bin/env bash
# ONNX Runtime: a linear Resize of uint8 makes the picture half a level darker; with antialias=1 it does not.
#
# Setting: the picture goes into the graph as bytes, and is resized there before the cast to float: a quarter of
# the memory, and ONNX's Resize admits uint8 and int8.
#
# What one would guess: the float result rounded to whole numbers, as Pillow, OpenCV and PyTorch do for bytes; off by up
# to half a level here and there, on average by nothing.
#
# What happens: the fraction is cut off. On average the picture is 0.5 levels too dark, no pixel is ever too bright;
# int8 goes towards zero, so that contrast shrinks from both sides. antialias=1 of the same node takes another
# path, which rounds: a switch that should do nothing when enlarging makes the picture brighter. ONNX's reference
# evaluator rounds (its result has no bias), OpenVINO 2026.4.1 as well.
#
# Matters: a bias of half a level caps PSNR at 53 dB where rounding caps it at 59, bands in skies
# move, and a chain of resizes (pyramids, feedback from frame to frame) darkens by half a level for each.
# Standard: ONNX operators, Resize: T1 admits uint8 and int8; no word on rounding, so the reference evaluator and the
# operator's own filtered path are the measure.
#
# Seen with onnxruntime 1.32.0 (CPU provider, x86-64), onnx 1.23.2, numpy 2.4.6.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check 'onnxruntime==1.32.0' 'onnx==1.23.2' 'numpy==2.4.6'
OMP_NUM_THREADS=1 "$dir/venv/bin/python" - <<'PY'
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

print("onnxruntime", onnxruntime.__version__, "onnx", onnx.__version__)
print("guess: the float result rounded to whole numbers, off by 1 here and there, on average by 0")
SIDE = 64
rng = np.random.default_rng(0)
TYPES = {"float": TensorProto.FLOAT, "uint8": TensorProto.UINT8, "int8": TensorProto.INT8}


def resize(kind, side, antialias=0):
    sizes = numpy_helper.from_array(np.array([1, 3, side, side]), "sizes")
    node = helper.make_node("Resize", ["x", "", "", "sizes"], ["y"], mode="linear", antialias=antialias)
    graph = helper.make_graph([node], "resize", [helper.make_tensor_value_info("x", TYPES[kind], [1, 3, SIDE, SIDE])],
                              [helper.make_tensor_value_info("y", TYPES[kind], [1, 3, side, side])], [sizes])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)])
    model.ir_version = 9
    onnx.checker.check_model(model, full_check=True)
    return model


def run(model, x):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0].astype(np.float64)


picture = rng.integers(0, 256, (1, 3, SIDE, SIDE))
checks = {}
for side in (150, 40):
    exact = run(resize("float", side), picture.astype(np.float32))
    plain = run(resize("uint8", side), picture.astype(np.uint8)) - exact
    reference = ReferenceEvaluator(resize("uint8", side)).run(None, {"x": picture.astype(np.uint8)})[0] - exact
    low = exact - 128
    signed = run(resize("int8", side), (picture - 128).astype(np.int8)) - low
    print(f"{SIDE} to {side}, mean error: uint8 {plain.mean():+.2f} (ONNX's reference {reference.mean():+.2f}), "
          f"int8 {signed[low > 1].mean():+.2f} above and {signed[low < -1].mean():+.2f} below zero")
    filtered = run(resize("uint8", side, 1), picture.astype(np.uint8)) - run(
        resize("float", side, 1), picture.astype(np.float32))
    print(f"  the same with antialias=1: uint8 {filtered.mean():+.2f}")
    dark = -0.6 < plain.mean() < -0.4 and plain.max() < 0.01
    checks[f"{side}: uint8 is too dark by half a level, never too bright"] = dark
    checks[f"{side}: the reference rounds"] = abs(reference.mean()) < 0.02
    checks[f"{side}: int8 goes towards zero"] = signed[low > 1].mean() < -0.4 and signed[low < -1].mean() > 0.4
    checks[f"{side}: with antialias=1 it rounds"] = abs(filtered.mean()) < 0.1

for name, holds in checks.items():
    print("holds  " if holds else "CHANGED", name)
sys.exit(not all(checks.values()))
PY
