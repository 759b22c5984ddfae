"""Small trainings, for the tests of `sr train`."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from sr_cli.training.loop import Outcome, fit
from sr_cli.training.papers import default_recipe
from sr_cli.training.plan import Plan
from sr_cli.training.recipe import Recipe

TINY = {"config": {"features": 8, "blocks": 2}, "lr_patch": 12, "batch": 4, "precision": "fp32"}


def quick(photos: Path, output: Path, recipe: Recipe | None = None, **plan: object) -> Outcome:
    """A run in this process."""
    recipe = recipe or default_recipe("espcn", (2,), lr_patch=12, batch=4, steps=12)
    return fit(Plan(recipe, output, (photos,), **plan))  # type: ignore[arg-type]


def same(a: Path, b: Path) -> bool:
    x, y = load_file(a), load_file(b)
    return set(x) == set(y) and all(torch.equal(x[k], y[k]) for k in x)


def command(photos: Path, output: str, *more: str) -> list[str]:
    return [
        sys.executable, "-m", "sr_cli", "train", "-m", "edsr", "-x2", "--data", str(photos),
        "--set", "config.features=8", "--set", "config.blocks=2", "--lr-patch", "12",
        "--batch", "4", "--precision", "fp32", "--threads", "1", "-o", output, *more,
    ]  # fmt: skip


def wait_for(path: Path, process: subprocess.Popen[bytes], seconds: float = 90) -> None:
    until = time.monotonic() + seconds
    while not path.exists():
        assert process.poll() is None, "the run ended before it wrote a state"
        assert time.monotonic() < until
        time.sleep(0.02)


def small_trunk(path: Path) -> Path:
    """VGG's first two convolutions with random weights."""
    save_file(
        {
            "features.0.weight": torch.randn(64, 3, 3, 3) * 0.2,
            "features.0.bias": torch.zeros(64),
            "features.2.weight": torch.randn(64, 64, 3, 3) * 0.05,
            "features.2.bias": torch.zeros(64),
        },
        path,
    )
    return path
