#!/usr/bin/env bash
# Two processes that each run OpenVINO on one thread share one core, whatever else is idle.
#
# Setting: several workers on one machine, each limited to its share of the cores with
# INFERENCE_NUM_THREADS, as for any other runtime.
#
# What one would guess: the operating system places the two threads on two cores, as it does for
# PyTorch, ONNX Runtime and every other library with one thread.
#
# What happens: with the default properties, the plugin for CPUs pins threads for inference, the calling
# thread among them, to cores counted from the first that the process may use. It knows nothing of
# other processes: each pins itself to the same core, and two workers are as fast as one. Affinity is
# given back after the call, so nothing shows between calls. ENABLE_CPU_PINNING False ends it.
#
# Needs two cores. Seen with openvino 2026.4.1, Linux, x86-64.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check 'openvino==2026.4.1' 'numpy==2.3.5' 'onnx==1.23.2'
cat > "$dir/worker.py" <<'PY'
import os
import sys
import threading
import time
from pathlib import Path

import numpy as np
import onnx
import openvino as ov
from onnx import TensorProto, helper, numpy_helper

pinning = sys.argv[1] == "default"
weights = numpy_helper.from_array(np.ones((64, 64, 3, 3), np.float32) / 576, "w")
nodes = [helper.make_node("Conv", [f"t{n}", "w"], [f"t{n + 1}"], pads=[1] * 4) for n in range(8)]
value = [helper.make_tensor_value_info(t, TensorProto.FLOAT, [1, 64, 128, 128]) for t in ("t0", "t8")]
graph = helper.make_graph(nodes, "g", value[:1], value[1:], [weights])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
properties = {"INFERENCE_NUM_THREADS": 1, **({} if pinning else {"ENABLE_CPU_PINNING": False})}
core = ov.Core()
request = core.compile_model(core.read_model(model.SerializeToString()), "CPU", properties).create_infer_request()
x = np.zeros((1, 64, 128, 128), np.float32)
seen = set()
running = True


def watch():
    while running:
        seen.add(tuple(sorted(os.sched_getaffinity(os.getpid()))))  # of the main thread
        time.sleep(0.001)


watcher = threading.Thread(target=watch)
watcher.start()
request.infer({0: x})
began, calls = time.monotonic(), 0
while time.monotonic() - began < 4:
    request.infer({0: x})
    calls += 1
running = False
watcher.join()
fewest = min(seen, key=len)
Path(sys.argv[2]).write_text(f"{','.join(map(str, fewest))} {calls / (time.monotonic() - began):.1f}")
PY
python3 -c "import os, sys; sys.exit('needs two cores' if len(os.sched_getaffinity(0)) < 2 else 0)"
"$dir/venv/bin/python" -c "import openvino; print('openvino', openvino.__version__)"
echo "guess: two workers with one thread each use two cores"
for mode in default unpinned; do
  "$dir/venv/bin/python" "$dir/worker.py" "$mode" "$dir/$mode.1" &
  "$dir/venv/bin/python" "$dir/worker.py" "$mode" "$dir/$mode.2" &
  wait
  for n in 1 2; do
    read -r cores speed < "$dir/$mode.$n" || true
    echo "$mode: worker $n may run on core(s) $cores; $speed calls a second"
  done
done
read -r first _ < "$dir/default.1" || true
read -r second _ < "$dir/default.2" || true
read -r free _ < "$dir/unpinned.1" || true
[ "$first" = "$second" ] && [[ "$first" != *,* ]] && [[ "$free" == *,* ]] \
  || { echo "the behaviour has changed"; exit 1; }
echo "both workers pinned themselves to core $first"
