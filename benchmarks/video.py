"""How fast clips are upscaled: ratios to the network alone, and to ffmpeg with ncnn.

    python benchmarks/video.py [--models espcn fsrcnn] [--frames 250] [--compact FILE.pth]
    python benchmarks/video.py --memory [--models espcn] [--lengths 100 400 1600] [--size 1920x1080]

Every side runs in a process of its own, in rounds, one side after the other; the median of the
rounds counts. The clip is made here: a view of `examples/photo.jpg` that moves, 640x360, H.264.

- `alone`: the network on the same frames as RGB, already decoded: what a loop over frames makes.
- `clip`: `sr upscale`, from the file to the file: decoding, network, encoding, joining.
- `ncnn`: FFmpeg's decoder, realesr-animevideov3 through ncnn on the CPU, and FFmpeg's encoder with
  the settings of `sr`, each in a thread of its own, as in a pipe. FILE.pth is the x4 checkpoint of
  Real-ESRGAN; its last layer is averaged to x2, and pnnx converts it (`pip install ncnn pnnx`).

With `--memory`, the most resident memory of `sr upscale` is read while it works on a clip of the
longest of `--lengths`, of which no frame is like the one before: after each of these numbers of
frames, and at the end, when the result is joined. The growth from the last length but one to the
end is what grows with the length.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WIDTH, HEIGHT, SCALE = 640, 360, 2
FRAMES_OF_AN_HOUR = 90_000
SECONDS_OF_NCNN = 15.0
"""After which its rate is known: it makes about a frame a second."""


def make_clip(path: Path, frames: int, width: int = WIDTH, height: int = HEIGHT) -> None:
    """Write a clip of a photo under a moving view."""
    import av
    import cv2
    import numpy as np

    photo = cv2.cvtColor(cv2.imread(str(ROOT / "examples/photo.jpg")), cv2.COLOR_BGR2RGB)
    whole = cv2.resize(photo, (width * 3 // 2, height * 2), interpolation=cv2.INTER_AREA)
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "20"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for index in range(frames):
            x = round((np.sin(index / 40) + 1) / 2 * (whole.shape[1] - width))
            y = round((np.cos(index / 61) + 1) / 2 * (whole.shape[0] - height))
            view = np.ascontiguousarray(whole[y : y + height, x : x + width])
            # Where the view turns, it may rest: what is held is not computed.
            view[:16, :16] = index % 2 * 255
            container.mux(stream.encode(av.VideoFrame.from_ndarray(view)))
        container.mux(stream.encode())


def rate_alone(clip: Path, model: str) -> float:
    """Frames a second of the network on RGB frames in memory, in this process."""
    import av

    from sr_cli.engine.options import EngineOptions
    from sr_cli.engine.pipeline import build_pipeline
    from sr_cli.registry.ref import parse_model

    pipeline = build_pipeline([parse_model(model)], SCALE, EngineOptions())
    with av.open(clip) as container:
        frames = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
    size = frames[0].shape[0] * SCALE, frames[0].shape[1] * SCALE
    pipeline.run(frames[0], size)
    began = time.perf_counter()
    for frame in frames:
        pipeline.run(frame, size)
    return len(frames) / (time.perf_counter() - began)


def rate_of_clip(clip: Path, model: str) -> float:
    """Frames a second of `sr upscale`, in this process, from the start of reading."""
    from sr_cli import upscale_files
    from sr_cli.upscale.request import ClipProgress, Event

    frames = 0

    def count(event: Event) -> None:
        nonlocal frames
        frames = event.frames if isinstance(event, ClipProgress) else frames

    target = clip.with_name(f"{model}.mp4")
    (result,) = upscale_files(clip, target, model=model, scale=SCALE, on_event=count)
    target.unlink()
    return frames / result.seconds


def convert_compact(checkpoint: Path, folder: Path) -> None:
    """Write realesr-animevideov3 at x2 as `compact.ncnn.param` and `compact.ncnn.bin`."""
    import pnnx
    import torch
    from torch import nn

    class Compact(nn.Module):
        def __init__(self, layers: list[nn.Module]) -> None:
            super().__init__()
            self.body, self.shuffle = nn.Sequential(*layers), nn.PixelShuffle(SCALE)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            base = nn.functional.interpolate(x, scale_factor=float(SCALE), mode="nearest")
            return self.shuffle(self.body(x)) + base

    tensors = torch.load(checkpoint, map_location="cpu", weights_only=True)
    tensors = {k: v.float() for k, v in tensors.get("params", tensors).items()}
    last = max(int(name.split(".")[1]) for name in tensors)
    layers: list[nn.Module] = [nn.Conv2d(3, 64, 3, padding=1), nn.PReLU(64)]
    for _ in range(last // 2 - 1):
        layers += [nn.Conv2d(64, 64, 3, padding=1), nn.PReLU(64)]
    layers.append(nn.Conv2d(64, 3 * SCALE**2, 3, padding=1))
    for name in (f"body.{last}.weight", f"body.{last}.bias"):
        # The 4x4 pixels of each channel, averaged to 2x2.
        x4 = tensors[name]
        x2 = x4.view(3, SCALE, 2, SCALE, 2, *x4.shape[1:]).mean((2, 4))
        tensors[name] = x2.reshape(3 * SCALE**2, *x4.shape[1:])
    net = Compact(layers).eval()
    net.load_state_dict(tensors)
    pnnx.export(
        net, str(folder / "compact.pt"), (torch.rand(1, 3, 48, 64),), (torch.rand(1, 3, 32, 40),)
    )


def rate_of_ncnn(clip: Path, folder: str) -> float:
    """Frames a second of decoding, ncnn and encoding, which overlap."""
    from concurrent.futures import ThreadPoolExecutor

    import av
    import ncnn
    import numpy as np

    net = ncnn.Net()
    net.opt.use_vulkan_compute = False
    net.load_param(str(Path(folder, "compact.ncnn.param")))
    net.load_model(str(Path(folder, "compact.ncnn.bin")))

    def upscale(pixels: np.ndarray) -> np.ndarray:
        extractor = net.create_extractor()
        planar = np.ascontiguousarray(pixels.transpose(2, 0, 1), np.float32) / 255
        extractor.input("in0", ncnn.Mat(planar).clone())
        made = np.array(extractor.extract("out0")[1])
        return np.rint(made.clip(0, 1) * 255).astype(np.uint8).transpose(1, 2, 0).copy()

    with av.open(clip) as source, av.open(clip.with_name("ncnn.mp4"), "w") as output:
        options = {"preset": "veryfast", "crf": "16"}
        stream = output.add_stream("libx264", rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH * SCALE, HEIGHT * SCALE, "yuv420p"

        def encode(pixels: np.ndarray) -> None:
            output.mux(stream.encode(av.VideoFrame.from_ndarray(pixels)))

        frames = source.decode(video=0)
        upscale(next(frames).to_ndarray(format="rgb24"))
        began, count = time.perf_counter(), 0
        with ThreadPoolExecutor(1) as encoding:
            for frame in frames:
                encoding.submit(encode, upscale(frame.to_ndarray(format="rgb24")))
                count += 1
                if time.perf_counter() - began > SECONDS_OF_NCNN:
                    break
        output.mux(stream.encode())
    return count / (time.perf_counter() - began)


def peaks_of_memory(clip: Path, model: str, lengths: list[int]) -> dict[int, int]:
    """The most resident bytes of `sr upscale` so far, after numbers of frames and at the end.

    Linux only.
    """
    command = ["-m", "sr_cli", "upscale", str(clip), "-m", model, "-x2", "-y", "--json"]
    peaks: dict[int, int] = {}
    with subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for line in process.stdout:
            done = json.loads(line).get("frames", 0)
            status = Path(f"/proc/{process.pid}/status").read_text()
            found = re.search(r"VmHWM:\s+(\d+) kB", status)
            for length in lengths:
                if found and done >= length and length not in peaks:
                    peaks[length] = int(found[1]) << 10
                    print(f"{done} frames: {peaks[length] / 2**20:.0f} MiB", flush=True)
    if process.returncode:
        sys.exit(process.returncode)
    peaks[max(lengths)] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss << 10
    return peaks


def show_memory(model: str, lengths: list[int], size: tuple[int, int], folder: Path) -> None:
    """Print the most memory after several numbers of frames, and what an hour would take."""
    make_clip(folder / "clip.mp4", max(lengths), *size)
    peaks = peaks_of_memory(folder / "clip.mp4", model, lengths)
    most = peaks[max(lengths)]
    print(f"{max(lengths)} frames of {size[0]}x{size[1]}, joined: {most / 2**20:.0f} MiB")
    # What is in work at once differs, and the heap grows until it has seen the most.
    before = max((n for n in peaks if n < max(lengths)), default=0)
    each = (most - peaks[before]) / (max(lengths) - before) if before else 0.0
    hour = most + each * (FRAMES_OF_AN_HOUR - max(lengths))
    print(f"growth: {each * 1000 / 2**20:.1f} MiB in 1000 frames")
    print(f"an hour at 25 frames a second: {hour / 2**20:.0f} MiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=["espcn", "fsrcnn"])
    parser.add_argument("--frames", type=int, default=250)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--compact", type=Path, help="realesr-animevideov3-x4.pth")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--lengths", nargs="+", type=int, default=[100, 400, 1600])
    parser.add_argument("--size", default="1920x1080", help="of the clips for --memory")
    parser.add_argument("--side", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        side, clip, model = options.side
        run = {"alone": rate_alone, "clip": rate_of_clip, "ncnn": rate_of_ncnn}[side]
        print(json.dumps(run(Path(clip), model)))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.memory:
            width, height = map(int, options.size.split("x"))
            show_memory(options.models[0], sorted(options.lengths), (width, height), folder)
            return
        clip = folder / "clip.mp4"
        make_clip(clip, options.frames)
        sides = [(model, side) for model in options.models for side in ("alone", "clip")]
        if options.compact:
            convert_compact(options.compact, folder)
            sides.append((str(folder), "ncnn"))
        rates: dict[tuple[str, str], list[float]] = {}
        for _ in range(options.rounds):
            for model, side in sides:
                command = [sys.executable, __file__, "--side", side, str(clip), model]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                rates.setdefault((model, side), []).append(float(done.stdout))
    medians = {key: statistics.median(found) for key, found in rates.items()}
    print(f"{WIDTH}x{HEIGHT} x{SCALE}, frames a second")
    for model in options.models:
        alone, whole = medians[model, "alone"], medians[model, "clip"]
        line = f"{model:9s} clip {whole:.1f}  network alone on RGB {alone:.1f}"
        line += f"  ratio {whole / alone:.2f}"
        if options.compact:
            other = medians[str(folder), "ncnn"]
            line += f"  FFmpeg and ncnn {other:.2f}  ratio {whole / other:.1f}"
        print(line, flush=True)


if __name__ == "__main__":
    main()
