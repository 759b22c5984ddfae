"""How near a folder of images comes to what its network alone does, and where the rest goes.

    python benchmarks/folders.py FOLDER [--model espcn] [--scale 2] [--images 40]

Decoding, the network, encoding and writing are timed by themselves in one process, in seconds of
CPU for each image; `network alone` is the engine on decoded images with all threads. Then the whole
command runs on the same images. What encoding and decoding cost, the network cannot have: the bound
is the number of cores over the seconds of CPU that an image needs in all.
"""

from __future__ import annotations

import argparse
import io
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from sr_cli.engine.frames import upscale_picture
from sr_cli.engine.options import EngineOptions
from sr_cli.engine.pipeline import build_pipeline
from sr_cli.engine.size import Size
from sr_cli.imaging.decode import read_picture
from sr_cli.imaging.encode import write_picture
from sr_cli.imaging.formats import FORMATS, Encoding
from sr_cli.imaging.picture import Picture
from sr_cli.registry.ref import parse_model
from sr_cli.system.cores import available_cores
from sr_cli.system.files import atomic_write


class Costs:
    """Seconds of CPU and of the clock that each step takes for one image."""

    def __init__(self) -> None:
        self.cpu: dict[str, float] = {}
        self.wall: dict[str, float] = {}
        self._images = 0

    def measure(self, steps: dict[str, Callable[[], None]]) -> None:
        """Add one image, whose steps run one after the other."""
        self._images += 1
        for name, run in steps.items():
            cpu, wall = time.process_time(), time.perf_counter()
            run()
            self.cpu[name] = self.cpu.get(name, 0.0) + time.process_time() - cpu
            self.wall[name] = self.wall.get(name, 0.0) + time.perf_counter() - wall

    def per_image(self, seconds: dict[str, float], name: str) -> float:
        return seconds[name] / self._images


def measure_steps(images: list[Path], model: str, scale: int, folder: Path) -> Costs:
    """The steps of every image, one at a time."""
    pipeline = build_pipeline((parse_model(model),), float(scale), EngineOptions())
    upscale_picture(read_picture(images[0]), pipeline, Size(scale))
    costs = Costs()
    for image in images:
        held: list[Picture] = []
        buffer = io.BytesIO()

        def encode(held: list[Picture] = held, buffer: io.BytesIO = buffer) -> None:
            write_picture(held[-1], buffer, FORMATS["JPEG"], Encoding())

        def write(buffer: io.BytesIO = buffer, image: Path = image) -> None:
            with atomic_write(folder / image.name) as file:
                file.write(buffer.getbuffer())

        costs.measure(
            {
                "decode": lambda held=held, image=image: held.append(read_picture(image)),
                "network": lambda held=held: held.append(
                    upscale_picture(held[-1], pipeline, Size(scale))
                ),
                "encode": encode,
                "write": write,
            }
        )
    return costs


def run_command(images: list[Path], model: str, scale: int, folder: Path) -> tuple[float, float]:
    """Seconds of the clock and of CPU that `sr upscale` takes for the images."""
    command = [sys.executable, "-m", "sr_cli", "upscale", "-m", model, f"-x{scale}"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    subprocess.run(
        [*command, *images, "-o", f"{folder}{os.sep}", "--quiet"],
        check=True,
    )
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="espcn")
    parser.add_argument("--scale", type=int, default=2)
    parser.add_argument("--images", type=int, default=40)
    chosen = parser.parse_args()
    images = sorted(chosen.folder.glob("*.jpg"))[: chosen.images]
    cores = available_cores()
    work = Path(tempfile.mkdtemp())
    try:
        costs = measure_steps(images, chosen.model, chosen.scale, work)
        start, _ = run_command(images[:1], chosen.model, chosen.scale, work / "one")
        wall, cpu = run_command(images, chosen.model, chosen.scale, work / "all")
    finally:
        shutil.rmtree(work)
    print(f"{len(images)} images, {cores} cores, start {start:.2f} s\n")
    print(f"{'step':14}{'CPU ms':>8}{'wall ms':>9}")
    for name in costs.cpu:
        cpu_ms, wall_ms = (1000 * costs.per_image(s, name) for s in (costs.cpu, costs.wall))
        print(f"{name:14}{cpu_ms:8.1f}{wall_ms:9.1f}")
    alone = costs.per_image(costs.wall, "network")
    each = (wall - start) / (len(images) - 1)
    needed = sum(costs.per_image(costs.cpu, name) for name in costs.cpu) / cores
    print(f"{'command':14}{1000 * cpu / len(images):8.1f}{1000 * each:9.1f}\n")
    print(f"images/s: network alone {1 / alone:.2f}, {cores} cores at most {1 / needed:.2f}, ")
    print(f"the command {1 / each:.2f}: {alone / each:.2f} of the network alone")


if __name__ == "__main__":
    main()
