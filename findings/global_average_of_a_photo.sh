#!/usr/bin/env bash
# The global average pool of a large photo is wrong by percents in OpenCV's and ONNX Runtime's engines.
#
# Setting: networks with channel attention (RCAN, NAFNet, HAT, squeeze-and-excitation) take each
# channel's mean over the whole picture; the picture is given whole just so that the gate is right.
#
# What one would guess: a mean of n float32 numbers in [0, 1] is good to 1e-6 or so; libraries sum
# in lanes, blocks or trees, since a plain float32 sum is known to stall.
#
# What happens: OpenCV's GlobalAveragePool adds the pixels up one after the other in one float32.
# At 2^24 = 16.8 million the sum stands still: each further pixel below 1 is lost. Of a flat picture of
# 0.9 and 48 megapixels it returns 0.35; of uniform noise, 0.35 in place of 0.5. A flat picture of two
# megapixels is 1.9% off already, one of twelve 8.5% (rounding always to the same side). ONNX Runtime sums in as many lanes as the processor has, so it fails later
# and by how much depends on the processor: percents for flat (sky, paper, black-and-white) pictures,
# next to nothing for noise, so that a test on random input shows nothing. ReduceMean, which exporters
# also write for the same layer, gives yet another number. No warning; nothing overflows.
#
# Seen with opencv-python-headless 5.0.0.93, onnxruntime 1.32.0, onnx 1.23.2, numpy 2.3.5.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check 'opencv-python-headless==5.0.0.93' 'onnxruntime==1.32.0' \
    'onnx==1.23.2' 'numpy==2.3.5'
cd "$dir"
OMP_NUM_THREADS=1 venv/bin/python - <<'PY'
import sys

import cv2
import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

print("OpenCV", cv2.__version__, "onnxruntime", ort.__version__)
print("guess: every mean is right to about 1e-6")


def save(name, node, weights=()):
    graph = helper.make_graph(
        [node], name,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, "h", "w"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, 1, 1])],
        [numpy_helper.from_array(value, key) for key, value in weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
    model.ir_version = 10
    onnx.checker.check_model(model)
    onnx.save(model, name + ".onnx")


save("pool", helper.make_node("GlobalAveragePool", ["x"], ["y"]))
save("reduce", helper.make_node("ReduceMean", ["x", "axes"], ["y"], keepdims=1), [("axes", np.array([2, 3]))])
options = ort.SessionOptions()
options.intra_op_num_threads = 1
sessions = {n: ort.InferenceSession(n + ".onnx", options, providers=["CPUExecutionProvider"]) for n in ("pool", "reduce")}


def opencv(x):
    net = cv2.dnn.readNetFromONNX("pool.onnx")
    net.setInput(x)
    return float(net.forward().ravel()[0])


rng = np.random.default_rng(0)
pictures = {
    "flat 0.9": lambda shape: np.full(shape, 0.9, np.float32),
    "noise 0..1": lambda shape: rng.random(shape, np.float32),
}
off = {}
for kind, make in pictures.items():
    for h, w in ((1080, 1920), (3000, 4000), (6000, 8000)):
        x = make((1, 1, h, w))
        true = float(x.mean(dtype=np.float64))
        got = {"OpenCV pool": opencv(x)} | {
            f"ORT {n}": float(s.run(None, {"x": x})[0].ravel()[0]) for n, s in sessions.items()}
        megapixels = round(h * w / 1e6)
        for name, value in got.items():
            off[kind, megapixels, name] = abs(value / true - 1)
        print(f"{kind}, {megapixels:2} megapixels: true {true:.4f}; "
              + ", ".join(f"{n} {v:.4f} ({100 * (v / true - 1):+.2f}%)" for n, v in got.items()))

ort_flat = max(off["flat 0.9", 48, "ORT pool"], off["flat 0.9", 48, "ORT reduce"])
checks = {
    "OpenCV: two megapixels flat, wrong by 1% or more": off["flat 0.9", 2, "OpenCV pool"] > 0.01,
    "OpenCV: 48 megapixels flat, less than half the mean": off["flat 0.9", 48, "OpenCV pool"] > 0.5,
    "OpenCV: 48 megapixels of noise, wrong by a quarter or more": off["noise 0..1", 48, "OpenCV pool"] > 0.25,
    "ONNX Runtime: 48 megapixels flat, wrong by 0.1% or more": ort_flat > 1e-3,
    "ONNX Runtime: noise hides it": ort_flat > 5 * off["noise 0..1", 48, "ORT pool"],
}
for name, holds in checks.items():
    print("holds  " if holds else "CHANGED", name)
sys.exit(not all(checks.values()))
PY
