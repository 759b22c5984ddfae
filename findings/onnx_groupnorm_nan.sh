#!/usr/bin/env bash
# ONNX GroupNormalization returns NaN where InstanceNormalization of the same numbers is exact.
#
# Setting: networks that normalise over groups of channels (RealPLKSR, diffusion upscalers), written
# with the operator made for it (GroupNormalization, opset 21) in place of the old way round, a
# reshape and InstanceNormalization.
#
# What one would guess: the new operator is the safer one: it even has `stash_type`, the precision of
# its statistics, float32 by default. Both ways agree to about 1e-5.
#
# What happens: ONNX Runtime's CPU provider has no kernel for it and inlines the function body of the
# ONNX standard, which takes the variance as E[x*x] - E[x]^2 in float32. With features whose mean is
# large beside their spread it cancels: wrong by several percent at mean 10 (std 0.1), by the order of
# the spread itself at mean 30, and where the difference comes out below -epsilon the square root makes
# the whole group, that is the whole picture, NaN. The old way on the same tensor is right to about
# 1e-3 everywhere. ONNX's own reference evaluator runs the same body and is no reference here either
# (off by 0.1 to 0.5 at mean 100, less than the runtime only because numpy sums in pairs).
#
# Seen with onnxruntime 1.32.0, onnx 1.23.2, numpy 2.3.5.
set -euo pipefail
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
print("guess: GroupNormalization and reshape + InstanceNormalization agree to about 1e-5")
CHANNELS, EPS = 4, 1e-5


def model(nodes, weights, opset=21):
    shape = [1, CHANNELS, "h", "w"]
    graph = helper.make_graph(
        nodes, "norm",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(value, name) for name, value in weights.items()])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    made.ir_version = 10
    onnx.checker.check_model(made, full_check=True)
    return made


new = model(
    [helper.make_node("GroupNormalization", ["x", "scale", "bias"], ["y"], num_groups=1, epsilon=EPS)],
    {"scale": np.ones(CHANNELS, np.float32), "bias": np.zeros(CHANNELS, np.float32)})
old = model(
    [helper.make_node("Shape", ["x"], ["shape"]),
     helper.make_node("Reshape", ["x", "flat"], ["rows"]),
     helper.make_node("InstanceNormalization", ["rows", "one", "zero"], ["normal"], epsilon=EPS),
     helper.make_node("Reshape", ["normal", "shape"], ["y"])],
    {"flat": np.array([1, 1, -1]), "one": np.ones(1, np.float32), "zero": np.zeros(1, np.float32)})


def session(m):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(m.SerializeToString(), options, providers=["CPUExecutionProvider"])


def worst(y, exact):
    """NaN counts as infinitely far."""
    far = np.abs(y - exact).max()
    return float("inf") if np.isnan(far) else float(far)


new_session, old_session = session(new), session(old)
rng = np.random.default_rng(0)
found = {}
for mean in (1, 10, 30, 100):
    far_new, far_old, far_ref = [], [], []
    for side in (64, 128, 256, 512):
        x = (rng.standard_normal((1, CHANNELS, side, side)) * 0.1 + mean).astype(np.float32)
        d = x.astype(np.float64)
        exact = (d - d.mean()) / np.sqrt(d.var() + EPS)
        far_new.append(worst(new_session.run(None, {"x": x})[0], exact))
        far_old.append(worst(old_session.run(None, {"x": x})[0], exact))
        with np.errstate(all="ignore"):
            far_ref.append(worst(ReferenceEvaluator(new).run(None, {"x": x})[0], exact))
    found[mean] = max(far_new), max(far_old), max(far_ref)
    print(f"mean {mean:3}, std 0.1; sides 64, 128, 256, 512, worst error (inf: NaN): "
          f"GroupNormalization {', '.join(f'{v:.2g}' for v in far_new)}; "
          f"reference evaluator {', '.join(f'{v:.2g}' for v in far_ref)}; "
          f"through InstanceNormalization {max(far_old):.1g}")

checks = {
    "the old way is right to 0.01 everywhere": all(f[1] < 0.01 for f in found.values()),
    "both agree at mean 1 (to 0.01)": found[1][0] < 0.01,
    "the operator is off by more than 0.005 at mean 10": found[10][0] > 0.005,
    "by more than 0.05 at mean 30": found[30][0] > 0.05,
    "by more than half the spread at mean 100": found[100][0] > 0.5,
    "and the reference evaluator by more than a twentieth": found[100][2] > 0.05,
}
for name, holds in checks.items():
    print("holds  " if holds else "CHANGED", name)
sys.exit(not all(checks.values()))
PY
