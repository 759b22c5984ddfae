"""sr: upscale images with neural networks.

    from sr_cli import upscale_image
    result = upscale_image(image, model="srgan", scale=4)

The names in `__all__` stay compatible within a major version; the modules below may change.
Importing the package loads neither torch nor numpy; the first use of a name does.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sr_cli.version import __version__

if TYPE_CHECKING:
    from sr_cli.engine.options import Adaptation, EngineOptions
    from sr_cli.errors import Note, RefusedError, SrError
    from sr_cli.evaluation.benchmark import benchmark
    from sr_cli.evaluation.plan import BenchmarkOptions, Pairs
    from sr_cli.evaluation.report import Report
    from sr_cli.imaging.consistency import Deviation, find_deviation
    from sr_cli.imaging.decode import read_provenance
    from sr_cli.imaging.provenance import Provenance
    from sr_cli.registry.ref import load_model
    from sr_cli.training.recipe import Recipe
    from sr_cli.training.request import TrainingRequest, TrainingResult
    from sr_cli.training.train import train
    from sr_cli.upscale.cluster.options import WorkerOptions
    from sr_cli.upscale.files import upscale_files
    from sr_cli.upscale.image import upscale_image
    from sr_cli.upscale.request import Result, UpscaleOptions

__all__ = [
    "Adaptation",
    "BenchmarkOptions",
    "Deviation",
    "EngineOptions",
    "Note",
    "Pairs",
    "Provenance",
    "Recipe",
    "RefusedError",
    "Report",
    "Result",
    "SrError",
    "TrainingRequest",
    "TrainingResult",
    "UpscaleOptions",
    "WorkerOptions",
    "__version__",
    "benchmark",
    "find_deviation",
    "load_model",
    "read_provenance",
    "train",
    "upscale_files",
    "upscale_image",
]

_HOME = {
    "Adaptation": "engine.options",
    "BenchmarkOptions": "evaluation.plan",
    "Deviation": "imaging.consistency",
    "EngineOptions": "engine.options",
    "Note": "errors",
    "Pairs": "evaluation.plan",
    "Provenance": "imaging.provenance",
    "Recipe": "training.recipe",
    "RefusedError": "errors",
    "Report": "evaluation.report",
    "Result": "upscale.request",
    "SrError": "errors",
    "TrainingRequest": "training.request",
    "TrainingResult": "training.request",
    "UpscaleOptions": "upscale.request",
    "WorkerOptions": "upscale.cluster.options",
    "benchmark": "evaluation.benchmark",
    "find_deviation": "imaging.consistency",
    "load_model": "registry.ref",
    "read_provenance": "imaging.decode",
    "train": "training.train",
    "upscale_files": "upscale.files",
    "upscale_image": "upscale.image",
}
"""The modules of the public names, imported on first use."""


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'sr_cli' has no attribute '{name}'")
    return getattr(import_module(f"sr_cli.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
