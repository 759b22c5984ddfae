"""How fast exported files are: ratios to the engine, each side timed in turn.

    python benchmarks/export.py [--models edsr rcan srresnet] [--size 256] [--openvino]

`engine` is the network as `sr upscale` runs it, in its fastest precision; `naive` its paper's form,
exported with `torch.onnx.export` as users do it; `fp32` and `int8` are files of `sr export`, int8
whatever it costs. All but `engine` run in ONNX Runtime; `openvino` and `openvino-int8` are the
files `fp32` and `int8` in OpenVINO, the former in its own choice of precision. Every side runs in a
process of its own, in rounds, one side after the other; the median counts. Files are made once, in
a temporary folder.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from speed import median_seconds

SIDES = ("engine", "naive", "fp32", "int8")
OPENVINO = {"openvino": "fp32.onnx", "openvino-int8": "int8.onnx"}
SCALE = 4


def make_files(name: str, folder: Path) -> None:
    """The files of all sides for one network."""
    import torch

    from sr_cli.export.export import export_model
    from sr_cli.export.request import ExportRequest
    from sr_cli.registry.ref import load_model

    for precision in ("fp32", "int8"):
        path = folder / f"{precision}.onnx"
        export_model(ExportRequest(name, path, SCALE, precision=precision, force=True))
    network = load_model(name, scale=SCALE).network
    axes = dict.fromkeys((0, 2, 3), torch.export.Dim.DYNAMIC)
    torch.onnx.export(
        network,
        (torch.rand(2, network.channels, 24, 32),),
        folder / "naive.onnx",
        dynamo=True,
        input_names=["lr"],
        output_names=["sr"],
        dynamic_shapes=(axes,),
        verbose=False,
    )


def measure(side: str, name: str, size: int, folder: Path) -> float:
    """Seconds for one side on one network, in this process."""
    import torch

    from sr_cli.registry.ref import load_model

    torch.manual_seed(0)
    if side == "engine":
        return measure_engine(load_model(name, scale=SCALE).network, size)
    channels = load_model(name, scale=SCALE).network.channels
    lr = torch.rand(1, channels, size, size).numpy()
    if side in OPENVINO:
        import openvino as ov

        request = ov.compile_model(folder / OPENVINO[side], "CPU").create_infer_request()
        return median_seconds(lambda: request.infer({0: lr}))
    import onnxruntime

    session = onnxruntime.InferenceSession(folder / f"{side}.onnx")
    return median_seconds(lambda: session.run(None, {"lr": lr}))


def measure_engine(model: Any, size: int) -> float:
    """Seconds for the network as the engine prepares it."""
    import torch

    from sr_cli.engine.device import pick_precision, prepare_cpu
    from sr_cli.engine.probe import prepare

    prepare_cpu()
    device = torch.device("cpu")
    net = prepare(model, pick_precision(device), device)
    side = size + 2 * model.margin
    x = torch.rand(1, model.channels, side, side).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        return median_seconds(lambda: net(x))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=["edsr", "rcan", "srresnet"])
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--openvino", action="store_true")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        seconds = measure(options.side, options.models[0], options.size, options.folder)
        print(json.dumps(seconds))
        return
    sides = [*SIDES, *OPENVINO] if options.openvino else list(SIDES)
    print(f"x{SCALE}, {options.size}x{options.size} lr; ratio to the engine (seconds)")
    for name in options.models:
        with tempfile.TemporaryDirectory() as folder:
            make_files(name, Path(folder))
            print_ratios(name, sides, options.size, options.rounds, folder)


def print_ratios(name: str, sides: list[str], size: int, rounds: int, folder: str) -> None:
    """Time all sides in turn, and print one line."""
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(rounds):
        for side in sides:
            command = [sys.executable, __file__, "--models", name, "--size", str(size)]
            done = subprocess.run(
                [*command, "--side", side, "--folder", folder],
                capture_output=True,
                text=True,
                check=True,
            )
            seconds[side].append(float(done.stdout.splitlines()[-1]))
    median = {side: statistics.median(s) for side, s in seconds.items()}
    cells = [f"{side} {median['engine'] / s:.2f} ({s:.3f})" for side, s in median.items()]
    print(f"{name:9s} " + "  ".join(cells), flush=True)


if __name__ == "__main__":
    main()
