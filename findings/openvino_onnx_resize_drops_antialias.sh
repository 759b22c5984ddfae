#!/usr/bin/env bash
# OpenVINO reading ONNX: a Resize with antialias=1 is run without the filter, and other attributes are dropped.
#
# Setting: networks (and exported preprocessing) reduce the picture inside the graph. torch.onnx.export turns
# F.interpolate(..., antialias=True) into ONNX's Resize with antialias=1, as the standard has it since opset 18.
#
# What one would guess: a runtime either filters or refuses. OpenVINO does refuse a Resize that it lacks
# (coordinate_transformation_mode half_pixel_symmetric), and it has reducing with a filter itself
# ("bilinear_pillow" and "bicubic_pillow" of its Interpolate, to which its reader of PyTorch modules maps).
#
# What happens: its reader of ONNX takes the model and drops the attribute. The result is, number for
# number, that of antialias=0: stripes of one pixel, a gray of 0.5 when reduced to a third, come out as stripes of
# 0 and 1 three times as wide, noise keeps its spread. keep_aspect_ratio_policy is dropped as well (a picture
# of 192 x 256 that is to fit into 64 x 64 becomes 64 x 64 and not 48 x 64: squeezed), and so is exclude_outside
# (the outermost pixels are off by a few percent). Nothing is logged. ONNX Runtime and ONNX's reference
# evaluator agree with each other to 1e-6 in all of it. A check of a network that enlarges shows nothing.
#
# Matters: the network sees moire that it did not see in training, or gives a result of another aspect ratio.
# Standard: ONNX operators, Resize, opset 18 and 19: antialias "is achieved by stretching the resampling filter by
# a factor max(1, 1 / scale)"; keep_aspect_ratio_policy and exclude_outside in the same list.
#
# Seen with openvino 2026.4.1, onnxruntime 1.32.0, onnx 1.23.2, numpy 2.4.6.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check 'openvino==2026.4.1' 'onnxruntime==1.32.0' 'onnx==1.23.2' \
    'numpy==2.4.6'
OMP_NUM_THREADS=1 "$dir/venv/bin/python" - <<'PY'
import sys

import numpy as np
import onnx
import onnxruntime
import openvino as ov
import openvino.opset11 as ops
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

print("openvino", ov.__version__, "onnxruntime", onnxruntime.__version__, "onnx", onnx.__version__)
print("guess: all three agree to about 1e-5, or OpenVINO refuses the attribute")
HEIGHT, WIDTH = 256, 192
EXACT = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}


def resize(sizes, **attributes):
    """One Resize node of opset 19, on axes 2 and 3."""
    node = helper.make_node("Resize", ["x", "", "", "sizes"], ["y"], axes=[2, 3], **attributes)
    graph = helper.make_graph(
        [node], "resize",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, HEIGHT, WIDTH])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, "height", "width"])],
        [numpy_helper.from_array(np.array(sizes, np.int64), "sizes")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)])
    model.ir_version = 9
    onnx.checker.check_model(model, full_check=True)
    return model


def three(model, x):
    data = model.SerializeToString()
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    compiled = ov.Core().compile_model(ov.Core().read_model(data), "CPU", EXACT)
    return ReferenceEvaluator(model).run(None, {"x": x})[0], session.run(None, {"x": x})[0], compiled(x)[0]


# The finest pattern there is: columns of 0 and 1 in turn. Reduced, it is a gray of 0.5, all but the edges.
stripes = np.broadcast_to(np.arange(WIDTH) % 2, (1, 1, HEIGHT, WIDTH)).astype(np.float32)
noise = np.random.default_rng(0).random((1, 1, HEIGHT, WIDTH), dtype=np.float32)
checks = {}
for mode in ("linear", "cubic"):
    model = resize([86, 64], mode=mode, antialias=1, cubic_coeff_a=-0.5)
    aliased = resize([86, 64], mode=mode, antialias=0, cubic_coeff_a=-0.5)
    for name, picture in (("stripes", stripes), ("noise", noise)):
        reference, runtime, vino = (y[..., 4:-4, 4:-4] for y in three(model, picture))
        without = three(aliased, picture)[0][..., 4:-4, 4:-4]
        print(f"{mode}, antialias=1, a third, {name}: standard deviation {reference.std():.3f} (onnx), "
              f"{runtime.std():.3f} (ONNX Runtime), {vino.std():.3f} (OpenVINO); "
              f"OpenVINO is off by up to {abs(vino - reference).max():.2f}, "
              f"and by {abs(vino - without).max():.0e} from antialias=0")
        checks[f"{mode}, {name}: ONNX Runtime is the reference's"] = abs(runtime - reference).max() < 1e-4
        checks[f"{mode}, {name}: OpenVINO is off by more than 0.3"] = abs(vino - reference).max() > 0.3
        checks[f"{mode}, {name}: it returns what antialias=0 gives"] = abs(vino - without).max() < 1e-4

source = ops.parameter([1, 1, HEIGHT, WIDTH], np.float32)
own = ops.interpolate(source, np.array([86, 64], np.int64), "bilinear_pillow", "sizes", axes=np.array([2, 3], np.int64))
filtered = ov.Core().compile_model(ov.Model([own], [source]), "CPU", EXACT)(noise)[0][..., 4:-4, 4:-4]
wanted = three(resize([86, 64], mode="linear", antialias=1), noise)[0][..., 4:-4, 4:-4]
print(f"OpenVINO's own operator with 'bilinear_pillow': off by {abs(filtered - wanted).max():.0e}")
checks["OpenVINO has the operator, and it is right"] = abs(filtered - wanted).max() < 1e-4

reference, runtime, vino = three(resize([64, 64], mode="linear", keep_aspect_ratio_policy="not_larger"), noise)
print(f"{WIDTH} x {HEIGHT} into 64 x 64, not_larger: {reference.shape[3]} x {reference.shape[2]} (onnx), "
      f"{runtime.shape[3]} x {runtime.shape[2]} (ONNX Runtime), {vino.shape[3]} x {vino.shape[2]} (OpenVINO)")
checks["keep_aspect_ratio_policy: 48 x 64"] = reference.shape == runtime.shape == (1, 1, 64, 48)
checks["OpenVINO: 64 x 64"] = vino.shape == (1, 1, 64, 64)
reference, runtime, vino = three(resize([256, 192 * 2], mode="cubic", exclude_outside=1), noise)
print(f"exclude_outside=1: OpenVINO is off by {abs(vino - reference).max():.2f}, ONNX Runtime by "
      f"{abs(runtime - reference).max():.0e}")
checks["exclude_outside is ignored, too"] = abs(vino - reference).max() > 0.01 > 1e-4 > abs(runtime - reference).max()
try:
    three(resize([86, 64], mode="linear", coordinate_transformation_mode="half_pixel_symmetric"), noise)
    refused = False
except Exception as problem:
    refused = "half_pixel_symmetric" in str(problem) or "coordinate_transformation_mode" in str(problem)
print("half_pixel_symmetric, which it lacks, is refused:", refused)
checks["what it lacks it can refuse"] = refused
for name, holds in checks.items():
    print("holds  " if holds else "CHANGED", name)
sys.exit(not all(checks.values()))
PY
