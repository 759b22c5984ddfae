"""How fast, how exact and how good exported files are.

    python benchmarks/export.py speed [--models edsr rcan srresnet] [--size 256] [--openvino]
    python benchmarks/export.py images [--models edsr rcan srresnet] [--size 256] [--openvino]
    python benchmarks/export.py int8 --sets FOLDER [--models edsr rcan photo]
    python benchmarks/export.py differences [--models edsr ...] [--formats fp32 uint8 ...]

`speed` gives ratios to the engine, each side timed in turn. `engine` is the network as `sr upscale`
runs it, in its fastest precision; `naive` its paper's form, exported with `torch.onnx.export` as
users do it; `fp32` and `int8` are files of `sr export`, int8 whatever it costs. All but `engine`
run in ONNX Runtime; `openvino` and `openvino-int8` are the files `fp32` and `int8` in OpenVINO, as
`--device openvino` runs them; `openvino-bf16` adds `--precision bf16`. Every side runs in a process
of its own, in rounds, one side after the other; the median counts. Files are made once, in a
temporary folder.

`images` gives the same for whole images, 8-bit pixels in and out, through the engine of `sr`.

`int8` gives PSNR-Y of the network in float32 and of its int8 file on the test sets in a folder (one
folder each), the largest error, and the speed of the file as `speed` measures it.

`differences` gives the largest difference from the network in PyTorch, of values in [0, 1], for
every format and size, over the whole result, and what the file itself states: for fp16, where each
value is rounded, which ONNX Runtime does not do on x86. LiteRT files are measured around the size
of their tile. Formats whose extra is missing are skipped.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from speed import median_seconds

SIDES = ("engine", "naive", "fp32", "int8")
OPENVINO = {
    "openvino": ("fp32", "fp32"),
    "openvino-bf16": ("fp32", "bf16"),
    "openvino-int8": ("int8", "fp32"),
    "openvino-int8-bf16": ("int8", "bf16"),
}
"""The file of a side in OpenVINO, and the precision of what is not int8 in it."""

SCALE = 4

FORMATS = {
    "fp32": ("onnx", "fp32", False),
    "uint8": ("onnx", "fp32", True),
    "fp16": ("onnx", "fp16", False),
    "int8": ("onnx", "int8", False),
    "pt2": ("pt2", "fp32", False),
    "litert": ("litert", "fp32", False),
    "litert-int8": ("litert", "int8", False),
}
"""For `differences`: format, precision, and whether 8-bit pixels go in and come out."""

SIZES = ((1, 1), (1, 7), (5, 3), (35, 21), (129, 127))
TILE_SIZES = ((35, 21), (128, 128), (131, 150))
"""Smaller than a tile, one tile, and four that overlap."""
NETWORKS = (
    "edsr", "rcan", "srresnet", "srgan", "espcn", "fsrcnn", "srcnn", "vdsr", "photo", "text",
)  # fmt: skip


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
        from sr_cli.engine.device import PRECISIONS
        from sr_cli.registry.onnx_graph import read_signature
        from sr_cli.registry.onnx_runtimes import Graph, OpenvinoGraph

        file, precision = OPENVINO[side]
        path = folder / f"{file}.onnx"
        graph = OpenvinoGraph(Graph(path, read_signature(path)), PRECISIONS[precision])
        return median_seconds(lambda: graph.run(lr))
    import onnxruntime

    session = onnxruntime.InferenceSession(folder / f"{side}.onnx")
    return median_seconds(lambda: session.run(None, {"lr": lr}))


def measure_image(side: str, name: str, size: int, folder: Path) -> float:
    """Seconds for one side on an image, through the engine."""
    import numpy as np

    from sr_cli.engine.device import prepare_cpu
    from sr_cli.engine.upscaler import Upscaler
    from sr_cli.registry.onnx_model import load_onnx
    from sr_cli.registry.ref import load_model

    prepare_cpu()
    if side == "engine":
        upscaler = Upscaler(load_model(name, scale=SCALE), device="cpu")
    else:
        file, precision = OPENVINO.get(side, (side, "auto"))
        device = "openvino" if side in OPENVINO else "cpu"
        model = load_onnx(folder / f"{file}.onnx")
        upscaler = Upscaler(model, device=device, precision=precision)
    lr = np.random.default_rng(0).integers(0, 256, (size, size, 3), np.uint8)
    return median_seconds(lambda: upscaler(lr))


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


def print_ratios(
    table: str, name: str, sides: list[str], size: int, rounds: int, folder: str
) -> None:
    """Time all sides in turn, and print one line."""
    median = time_in_turn(table, name, sides, size, rounds, folder)
    cells = [f"{side} {median['engine'] / s:.2f} ({s:.3f})" for side, s in median.items()]
    print(f"{name:9s} " + "  ".join(cells), flush=True)


def time_in_turn(
    table: str, name: str, sides: list[str], size: int, rounds: int, folder: str
) -> dict[str, float]:
    """The median seconds of each side, in processes of their own."""
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(rounds):
        for side in sides:
            command = [sys.executable, __file__, f"side-{table}", side, name, str(size), folder]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            seconds[side].append(float(done.stdout.splitlines()[-1]))
    return {side: statistics.median(s) for side, s in seconds.items()}


def print_costs(name: str, sets: list[Path], size: int, rounds: int) -> None:
    """One row of the table of int8: quality on each set, and speed."""
    from sr_cli.evaluation.datasets import open_set
    from sr_cli.export.quantise import measure_cost
    from sr_cli.imaging.conversion import opaque_8_bit
    from sr_cli.imaging.decode import read_picture
    from sr_cli.registry.onnx_model import load_onnx
    from sr_cli.registry.ref import load_model

    with tempfile.TemporaryDirectory() as folder:
        make_files(name, Path(folder))
        exact = load_model(name, scale=SCALE)
        cells = []
        for chosen in sets:
            files = [image.hr for image in open_set(str(chosen)).images]
            images = [as_rgb(opaque_8_bit(read_picture(f).frames[0])) for f in files]
            cost = measure_cost(exact, load_onnx(Path(folder) / "int8.onnx"), images)
            cells.append(f"{chosen.name} {-cost.psnr:+.3f} dB, {cost.levels} levels")
        median = time_in_turn("speed", name, ["engine", "fp32", "int8"], size, rounds, folder)
    ratios = [f"{side} {median[side] / median['int8']:.2f}" for side in ("engine", "fp32")]
    print(f"{name:9s} {'  '.join(cells)}  int8 against {', '.join(ratios)}", flush=True)


def as_rgb(pixels: Any) -> Any:
    """Gray pixels three times, colours as they are."""
    return pixels if pixels.ndim == 3 else pixels[..., None].repeat(3, 2)


def print_differences(name: str, formats: list[str]) -> None:
    """One row per format: the largest difference at each size, and the stated one."""
    from sr_cli.errors import SrError
    from sr_cli.export.source import choose_model
    from sr_cli.registry.ref import load_model

    _, scale = choose_model(name, None)
    network = load_model(name, scale=scale)
    for chosen in formats:
        with tempfile.TemporaryDirectory() as folder:
            try:
                graph, stated = make_graph(name, scale, chosen, Path(folder))
            except SrError as error:
                print(f"{name:9s} {chosen:11s} {error.code} {error.facts}", flush=True)
                continue
            sizes = TILE_SIZES if FORMATS[chosen][0] == "litert" else SIZES
            found = {f"{h}x{w}": difference_at(network, graph, chosen, (1, h, w)) for h, w in sizes}
        cells = "  ".join(f"{size} {d:.1e}" for size, d in {**found, "stated": stated}.items())
        print(f"{name:9s} x{scale} {chosen:11s} {cells}", flush=True)


def difference_at(network: Any, graph: Any, chosen: str, size: tuple[int, int, int]) -> float:
    """The largest difference at one size."""
    from sr_cli.export.verify import largest_difference, largest_pixel_difference

    if chosen == "uint8":
        return largest_pixel_difference(network, lambda lr: graph.run(lr[None])[0], [size]) / 255
    return largest_difference(network, getattr(graph, "run_image", graph), [size])


def make_graph(name: str, scale: int, chosen: str, folder: Path) -> tuple[Any, float]:
    """An exported file in its runtime, and the difference that it states."""
    import torch

    from sr_cli.export.export import export_model
    from sr_cli.export.litert_file import TileGraph
    from sr_cli.export.request import FORMATS as SUFFIXES
    from sr_cli.export.request import ExportRequest
    from sr_cli.registry.onnx_graph import read_signature
    from sr_cli.registry.onnx_runtimes import Graph

    kind, precision, uint8 = FORMATS[chosen]
    path = folder / f"net{SUFFIXES[kind]}"
    request = ExportRequest(name, path, scale, kind, precision, uint8, force=precision == "int8")
    metadata = export_model(request).metadata
    if kind == "onnx":
        return Graph(path, read_signature(path)), metadata.largest_difference
    if kind == "litert":
        return TileGraph(path.read_bytes(), metadata), metadata.largest_difference
    return torch.export.load(path).module(), metadata.largest_difference


def main() -> None:
    measures = {"side-speed": measure, "side-images": measure_image}
    if sys.argv[1] in measures:
        table, side, name, size, folder = sys.argv[1:]
        print(json.dumps(measures[table](side, name, int(size), Path(folder))))
        return
    options = parse()
    if options.table == "differences":
        extras = {"onnx": "onnxruntime", "litert": "litert_torch", "pt2": "torch"}
        formats = [f for f in options.formats if find_spec(extras[FORMATS[f][0]])]
        for name in options.models or NETWORKS:
            print_differences(name, formats)
        return
    print(f"x{SCALE}, {options.size}x{options.size} lr; ratio to the engine (seconds)")
    for name in options.models or ("edsr", "rcan", "srresnet"):
        if options.table == "int8":
            print_costs(name, options.sets, options.size, options.rounds)
            continue
        sides = [*SIDES, *OPENVINO] if options.openvino else list(SIDES)
        if options.table == "images":
            sides.remove("naive")
        with tempfile.TemporaryDirectory() as folder:
            make_files(name, Path(folder))
            print_ratios(options.table, name, sides, options.size, options.rounds, folder)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", choices=["speed", "images", "int8", "differences"])
    parser.add_argument("--models", nargs="+")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--openvino", action="store_true")
    parser.add_argument("--sets", nargs="+", type=Path, default=[])
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=list(FORMATS))
    return parser.parse_args()


if __name__ == "__main__":
    main()
