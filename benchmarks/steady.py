"""What `--steady` does to still and to moving scenes.

    python benchmarks/steady.py --lpips FILE [--models fsrcnn photo] [--frames 8]

Scenes are views of `examples/photo.jpg`, 256x192, reduced to 128x96, with noise of a standard
deviation in levels, and upscaled frame by frame and with `--steady`:

- `still`: the variance of luma over time, averaged over pixels, beside that of bicubic.
- The others move: LPIPS (AlexNet) to the view without noise, averaged over frames. `pan` moves by
  some pixels of the original a frame, `crossing` has a square that moves over a still scene,
  `faint` is a pan of a view with a fifth of the contrast, `cut` changes to another view half-way.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from sr_cli.engine.options import EngineOptions
from sr_cli.engine.pipeline import BicubicPipeline, Pipeline, build_pipeline
from sr_cli.evaluation.lpips import LPIPS
from sr_cli.imaging.colour import LUMA_WEIGHTS
from sr_cli.imaging.decode import read_picture
from sr_cli.imaging.resize import downscale_bicubic
from sr_cli.registry.ref import parse_model
from sr_cli.video.frames import Planes
from sr_cli.video.steady import SteadyFrames

ROOT = Path(__file__).resolve().parent.parent
WIDTH, HEIGHT, SCALE = 256, 192, 2


class Frames:
    """RGB frames through a pipeline, as `SteadyFrames` asks for."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline

    def compute(self, prepared: Planes) -> Planes:
        return (self.pipeline.run(prepared[0], (HEIGHT, WIDTH)),)


def views(scene: str, step: int, count: int) -> Iterator[Any]:
    """The original frames of a scene, (h, w, 3), uint8."""
    photo = read_picture(ROOT / "examples/photo.jpg").frames[0].pixels
    for index in range(count):
        x = 40 + step * index if scene in ("pan", "faint") else 40
        x = 120 if scene == "cut" and index >= count // 2 else x
        view = photo[60 : 60 + HEIGHT, x : x + WIDTH].copy()
        if scene == "faint":
            view = (view.astype(float) * 0.2 + 100).astype(np.uint8)
        if scene == "crossing":
            view[60:124, step * index : step * index + 64] = photo[:64, -64:]
        yield view


def series(pipeline: Pipeline, lrs: list[Any], *, steady: bool) -> list[Any]:
    """The results of all frames."""
    frames = Frames(pipeline)
    computing = SteadyFrames(frames) if steady else frames  # type: ignore[arg-type]
    return [computing.compute((lr,))[0] for lr in lrs]


def variance(results: list[Any]) -> float:
    luma = np.stack([r @ np.array(LUMA_WEIGHTS) for r in results])
    return float(luma.var(axis=0).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=["fsrcnn", "photo"])
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--lpips", type=Path)
    options = parser.parse_args()
    lpips = LPIPS("alex", options.lpips)
    scenes = [("still", 0, s) for s in (1, 2, 4)]
    scenes += [("pan", step, s) for step in (1, 7) for s in (0, 2, 4)]
    scenes += [("crossing", 12, 2), ("faint", 1, 0), ("faint", 1, 2), ("cut", 0, 2)]
    for model in options.models:
        pipeline = build_pipeline([parse_model(model)], SCALE, EngineOptions())
        for scene, step, sigma in scenes:
            originals = list(views(scene, step, options.frames))
            random = np.random.default_rng(1)
            lrs = [
                np.clip(np.rint(lr + random.normal(0, sigma, lr.shape)), 0, 255).astype(np.uint8)
                for lr in (downscale_bicubic(view, SCALE) for view in originals)
            ]
            plain, steady = (series(pipeline, lrs, steady=s) for s in (False, True))
            name = f"{model:8s} {scene:9s} {step:2d} px  noise {sigma}"
            if scene == "still":
                bicubic = variance(series(BicubicPipeline(), lrs, steady=False))
                a, b = variance(plain), variance(steady)
                print(
                    f"{name}  variance {a:.3f}  steady {b:.4f}  bicubic {bicubic:.3f}", flush=True
                )
            else:
                a, b = (
                    np.mean(
                        [lpips.distance(r, hr) for r, hr in zip(results, originals, strict=True)]
                    )
                    for results in (plain, steady)
                )
                print(f"{name}  LPIPS {a:.4f}  steady {b:.4f}  ({b / a - 1:+.1%})", flush=True)


if __name__ == "__main__":
    main()
