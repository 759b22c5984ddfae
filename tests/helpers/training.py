"""Small trainings, for the tests of `train` and `sr train`."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from sr_cli.training.events import OnEvent
from sr_cli.training.papers import default_recipe
from sr_cli.training.recipe import Recipe
from sr_cli.training.request import TrainingRequest, TrainingResult
from sr_cli.training.train import train

TINY = {"features": 4, "blocks": 1}
"""Settings of a network of convolutions that trains in milliseconds."""


def tiny_recipe(**changes: Any) -> Recipe:
    """ESPCN x2 on small crops, a few steps."""
    return default_recipe("espcn", (2,), **{"lr_patch": 12, "batch": 4, "steps": 12} | changes)


def quick(
    photos: Path,
    output: Path,
    recipe: Recipe | None = None,
    on_event: OnEvent | None = None,
    **request: Any,
) -> TrainingResult:
    """A run in this process."""
    asked = TrainingRequest(data=[photos], output=output, **request)
    return train(recipe or tiny_recipe(), asked, on_event)


def same(a: Path, b: Path) -> bool:
    """Whether two checkpoints have equal tensors, bit for bit."""
    x, y = load_file(a), load_file(b)
    return set(x) == set(y) and all(torch.equal(x[k], y[k]) for k in x)


def arguments(photos: Path, output: str, *more: str) -> list[str]:
    """`sr train` of a small EDSR, without `sr`."""
    return [
        "train", "-m", "edsr", "-x2", "--data", str(photos), "--set", "config.features=8",
        "--set", "config.blocks=2", "--lr-patch", "12", "--batch", "4", "--precision", "fp32",
        "--threads", "1", "-o", output, *more,
    ]  # fmt: skip


def started(folder: Path, *words: str) -> subprocess.Popen[bytes]:
    """`sr` as a process that goes on."""
    return subprocess.Popen(
        [sys.executable, "-m", "sr_cli", *words], cwd=folder, stderr=subprocess.PIPE
    )


def wait_for(path: Path, process: subprocess.Popen[bytes], seconds: float = 90) -> None:
    """Until a file is there. The process must still be running."""
    until = time.monotonic() + seconds
    while not path.exists():
        assert process.poll() is None, "the run ended before it wrote a state"
        assert time.monotonic() < until
        time.sleep(0.02)


def small_vgg(path: Path) -> Path:
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
