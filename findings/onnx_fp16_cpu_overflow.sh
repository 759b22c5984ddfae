#!/usr/bin/env bash
# A half-precision ONNX network that overflows gives perfect pictures on ONNX Runtime's CPU provider.
#
# Setting: a network is exported to ONNX in float16 (half the file) and checked on the CPU against
# the float32 one before it goes to GPUs and NPUs.
#
# What one would guess: on x86 there are no float16 kernels, so each operator is computed in float32
# and its result rounded back to float16, as the graph declares its tensors. An activation above
# 65504 then becomes inf, as it does in numpy, PyTorch and on a GPU, and the check shows it.
#
# What happens: the pairs of casts between neighbouring operators are taken out again, at every
# optimisation level, ORT_DISABLE_ALL too: a whole chain runs in float32, and no tensor in it is
# ever rounded to float16. An activation of 300000 passes. The very run that returns the clean
# picture returns inf for that activation when it is also asked for it as an output. So "the fp16
# file matches on CPU" says nothing about range (nor about rounding).
#
# Seen with onnxruntime 1.32.0, onnx 1.23.2, x86-64 (other processors have kernels of their own).
set -euo pipefail
case $(uname -m) in x86_64 | amd64 | AMD64) ;; *) echo "only x86-64 is measured here"; exit 0 ;; esac
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check 'onnxruntime==1.32.0' 'onnx==1.23.2' 'numpy==2.3.5'
"$dir/venv/bin/python" - <<'PY'
import sys

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

print("onnxruntime", ort.__version__, "onnx", onnx.__version__)
print("guess: inf or nan, because 1000 * 300 does not fit into float16")

CHANNELS = 4


def network(outputs):
    """conv (x 300), PReLU, conv (/ 300), pixel shuffle: all float16."""
    gain = np.zeros((CHANNELS, CHANNELS, 3, 3), np.float16)
    gain[range(CHANNELS), range(CHANNELS), 1, 1] = 300
    back = np.where(gain > 0, np.float16(1 / 300), np.float16(0))
    weights = {"gain": gain, "back": back, "slope": np.full((CHANNELS, 1, 1), 0.25, np.float16)}
    nodes = [
        helper.make_node("Conv", ["x", "gain"], ["features"], pads=[1, 1, 1, 1]),
        helper.make_node("PRelu", ["features", "slope"], ["active"]),
        helper.make_node("Conv", ["active", "back"], ["thin"], pads=[1, 1, 1, 1]),
        helper.make_node("DepthToSpace", ["thin"], ["picture"], blocksize=2, mode="CRD"),
    ]
    half = TensorProto.FLOAT16
    shapes = {"features": [1, CHANNELS, 8, 8], "picture": [1, CHANNELS // 4, 16, 16]}
    graph = helper.make_graph(
        nodes, "half",
        [helper.make_tensor_value_info("x", half, [1, CHANNELS, 8, 8])],
        [helper.make_tensor_value_info(name, half, shapes[name]) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in weights.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
    model.ir_version = 10
    onnx.checker.check_model(model)
    return model


def run(model, x, level):
    options = ort.SessionOptions()
    options.graph_optimization_level = level
    options.log_severity_level = 3
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})


x = np.random.default_rng(0).uniform(500, 1000, (1, CHANNELS, 8, 8)).astype(np.float16)
levels = ort.GraphOptimizationLevel
clean = []
for level in (levels.ORT_DISABLE_ALL, levels.ORT_ENABLE_ALL):
    (picture,) = run(network(["picture"]), x, level)
    clean.append(bool(np.isfinite(picture).all()) and abs(float(picture.max()) - float(x.max())) < 5)
    print(f"{str(level).split('.')[-1]}: picture {float(picture.min()):.0f} to {float(picture.max()):.0f}, "
          f"input {float(x.min()):.0f} to {float(x.max()):.0f}")
picture, features = run(network(["picture", "features"]), x, levels.ORT_ENABLE_ALL)
print(f"one run, both outputs: picture up to {float(picture.max()):.0f}, "
      f"features {int(np.isinf(features).sum())} of {features.size} inf")
with np.errstate(all="ignore"):
    (honest,) = ReferenceEvaluator(network(["picture"])).run(None, {"x": x})
print(f"ONNX's reference evaluator: {int((~np.isfinite(honest)).sum())} of {honest.size} not finite")

checks = {
    "clean picture at both optimisation levels": all(clean),
    "the same run reports its own features as inf": bool(np.isinf(features).all()) and bool(np.isfinite(picture).all()),
    "float16 arithmetic proper gives no finite pixel": not np.isfinite(honest).any(),
}
for name, holds in checks.items():
    print("holds  " if holds else "CHANGED", name)
sys.exit(not all(checks.values()))
PY
