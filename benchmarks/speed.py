"""How fast the engine is: ratios to plain PyTorch and to OpenVINO, each side timed in turn.

    python benchmarks/speed.py [--models edsr srresnet espcn rcan rrdb] [--size 256] [--openvino]
                               [--against FOLDER]

Every side runs in a process of its own (the allocator's settings are per process), in rounds,
one side after the other; the median of the rounds counts. The networks have their shipped weights,
or random ones where none ship. `plain` is the network as its paper has it, float32, NCHW; `before`
is the engine of another checkout, and `openvino ours` OpenVINO on the network as it is rewritten.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SIDES = ("plain", "fp32", "auto", "engine")
SCALE = 4


def median_seconds(run: Callable[[], Any], least: float = 1.5) -> float:
    """The median over at least three runs and `least` seconds, after a warm-up."""
    run()
    times: list[float] = []
    while len(times) < 3 or sum(times) < least:
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def build(name: str) -> Any:
    """A network; `rrdb` is Real-ESRGAN's with random weights, which comes through spandrel."""
    from sr_cli.networks import create_model
    from sr_cli.registry.loaded import as_loaded
    from sr_cli.registry.manifest import load_manifest
    from sr_cli.registry.ref import load_model

    if any(e.scale == SCALE and not e.url for e in load_manifest().family(name)):
        return load_model(name, scale=SCALE)
    if name != "rrdb":
        return as_loaded(create_model(name, scale=SCALE).eval())
    from spandrel import ModelLoader
    from spandrel.architectures.ESRGAN import ESRGAN

    from sr_cli.registry.foreign import ForeignModel

    return as_loaded(ForeignModel(ModelLoader().load_from_state_dict(ESRGAN().state_dict()).eval()))


def measure(side: str, name: str, size: int) -> float:
    """Seconds for one side on one network, in this process."""
    import numpy as np

    if side not in ("plain", "openvino", "openvino ours"):
        from sr_cli.engine.device import prepare_cpu

        prepare_cpu()
    import torch

    from sr_cli.engine.device import pick_precision
    from sr_cli.engine.probe import prepare
    from sr_cli.engine.upscaler import Upscaler

    torch.manual_seed(0)
    loaded = build(name)
    model = loaded.network
    x = torch.rand(1, model.channels, size, size)
    with torch.inference_mode():
        if side == "plain":
            return median_seconds(lambda: model(x))
        if side == "openvino":
            return measure_openvino(model, x)
        if side == "openvino ours":
            return measure_openvino(model.for_inference(), x)
        if side in ("engine", "before"):
            upscaler = Upscaler(loaded)
            pixels = np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)
            return median_seconds(lambda: upscaler(pixels))
        dtype = torch.float32 if side == "fp32" else pick_precision(torch.device("cpu"))
        net = prepare(model, dtype, torch.device("cpu"))
        x = x.contiguous(memory_format=torch.channels_last)
        return median_seconds(lambda: net(x))


def measure_openvino(model: Any, x: Any) -> float:
    """OpenVINO with bf16 as inference precision, latency mode."""
    import openvino as ov

    compiled = ov.compile_model(
        ov.convert_model(model, example_input=x, input=list(x.shape)),
        "CPU",
        {"INFERENCE_PRECISION_HINT": "bf16", "PERFORMANCE_HINT": "LATENCY"},
    )
    request, data = compiled.create_infer_request(), x.numpy()
    return median_seconds(lambda: request.infer({0: data}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=["edsr", "srresnet", "espcn", "rcan"])
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--openvino", action="store_true")
    parser.add_argument("--against", type=Path, help="another checkout, timed as the side `before`")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        print(json.dumps(measure(options.side, options.models[0], options.size)))
        return
    sides = [*SIDES, *(["openvino", "openvino ours"] if options.openvino else [])]
    sides += ["before"] if options.against else []
    print(f"x{SCALE}, {options.size}x{options.size} lr; ratio to plain fp32 NCHW PyTorch (seconds)")
    for name in options.models:
        seconds: dict[str, list[float]] = {side: [] for side in sides}
        for _ in range(options.rounds):
            for side in sides:
                command = [sys.executable, __file__, "--models", name, "--size", str(options.size)]
                changed = {"PYTHONPATH": str(options.against)} if side == "before" else {}
                done = subprocess.run(
                    [*command, "--side", side],
                    capture_output=True,
                    text=True,
                    check=True,
                    env=os.environ | changed,
                )
                seconds[side].append(float(done.stdout.splitlines()[-1]))
        median = {side: statistics.median(s) for side, s in seconds.items()}
        cells = [f"{side} {median['plain'] / s:.2f} ({s:.3f})" for side, s in median.items()]
        print(f"{name:9s} " + "  ".join(cells), flush=True)


if __name__ == "__main__":
    main()
