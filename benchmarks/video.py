"""How fast clips are upscaled: ratios to the network alone, and to ffmpeg with ncnn.

    python benchmarks/video.py [--models espcn fsrcnn] [--frames 250] [--ncnn FOLDER --ffmpeg FILE]
    python benchmarks/video.py --memory [--frames 4000]

Every side runs in a process of its own, in rounds, one side after the other; the median of the
rounds counts. The clip is made here: a view of `examples/photo.jpg` that moves, 640x360, H.264.

- `alone`: the network on the same frames as RGB, already decoded: what a loop over frames makes.
- `clip`: `sr upscale`, from the file to the file: decoding, network, encoding, joining.
- `ncnn`: ffmpeg to PNG files, `realesrgan-ncnn-vulkan -n realesr-animevideov3 -s 2`, and ffmpeg
  back to a file, as its guide has it. FOLDER is its release, with `models/`.

With `--memory`, the resident memory of `sr upscale` is read while a clip of that many frames and
one of a quarter of it are upscaled: the difference is what grows with the length.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WIDTH, HEIGHT, SCALE = 640, 360, 2


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


def rate_of_ncnn(clip: Path, ncnn: Path, ffmpeg: str) -> float:
    """Frames a second of ffmpeg, realesr-animevideov3 through ncnn, and ffmpeg."""
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder, "in"), Path(folder, "out")
        before.mkdir()
        after.mkdir()
        quiet = [ffmpeg, "-v", "error", "-y"]
        upscale = [str(ncnn / "realesrgan-ncnn-vulkan"), "-n", "realesr-animevideov3"]
        encode = ["-crf", "17", "-pix_fmt", "yuv420p", str(Path(folder, "out.mp4"))]
        began = time.perf_counter()
        for command in (
            [*quiet, "-i", str(clip), str(before / "%06d.png")],
            [*upscale, "-s", str(SCALE), "-i", str(before), "-o", str(after), "-f", "png"],
            [*quiet, "-framerate", "25", "-i", str(after / "%06d.png"), *encode],
        ):
            subprocess.run(command, check=True, capture_output=True, cwd=ncnn)
        return len(list(after.iterdir())) / (time.perf_counter() - began)


def grown_memory(clip: Path) -> int:
    """The most resident bytes of `sr upscale -m bicubic` in a process of its own."""
    command = ["-m", "sr_cli", "upscale", str(clip), "-m", "bicubic", "-x2", "-y", "--quiet"]
    code = (
        "import resource, subprocess, sys\n"
        f"subprocess.run([sys.executable, *{command!r}], check=True)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return int(done.stdout)


def compare_memory(frames: int, folder: Path) -> None:
    """Print the peak memory for a clip and for one of a quarter of its length."""
    peaks = []
    for count in (frames // 4, frames):
        make_clip(folder / "clip.mp4", count, 320, 180)
        peaks.append(grown_memory(folder / "clip.mp4"))
        print(f"{count} frames of 320x180: {peaks[-1] / 2**20:.0f} MiB", flush=True)
    each = (peaks[1] - peaks[0]) / (frames - frames // 4)
    print(f"growth: {each:.0f} bytes a frame, {each * 90_000 / 2**20:.0f} MiB in an hour at 25")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=["espcn", "fsrcnn"])
    parser.add_argument("--frames", type=int, default=250)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ncnn", type=Path)
    parser.add_argument("--ffmpeg", default="ffmpeg")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--side", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        side, clip, model = options.side
        run = {"alone": rate_alone, "clip": rate_of_clip}[side]
        print(json.dumps(run(Path(clip), model)))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.memory:
            compare_memory(options.frames, folder)
            return
        clip = folder / "clip.mp4"
        make_clip(clip, options.frames)
        rates: dict[tuple[str, str], list[float]] = {}
        for _ in range(options.rounds):
            for model in options.models:
                for side in ("alone", "clip"):
                    command = [sys.executable, __file__, "--side", side, str(clip), model]
                    done = subprocess.run(command, capture_output=True, text=True, check=True)
                    rates.setdefault((model, side), []).append(float(done.stdout))
            if options.ncnn:
                rates.setdefault(("ncnn", "clip"), []).append(
                    rate_of_ncnn(clip, options.ncnn.resolve(), options.ffmpeg)
                )
    medians = {key: statistics.median(found) for key, found in rates.items()}
    print(f"{WIDTH}x{HEIGHT} x{SCALE}, frames a second")
    for model in options.models:
        alone, whole = medians[model, "alone"], medians[model, "clip"]
        line = f"{model:9s} clip {whole:.1f}  network alone on RGB {alone:.1f}"
        line += f"  ratio {whole / alone:.2f}"
        if options.ncnn:
            line += f"  ffmpeg + ncnn {medians['ncnn', 'clip']:.1f}"
            line += f"  ratio {whole / medians['ncnn', 'clip']:.2f}"
        print(line, flush=True)


if __name__ == "__main__":
    main()
