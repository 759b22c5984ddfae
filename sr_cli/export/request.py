"""What is asked of an export, checked before anything heavy is imported."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from sr_cli.errors import RefusedError

FORMATS = {"onnx": ".onnx", "pt2": ".pt2", "litert": ".tflite"}
"""The formats, and the suffixes of their files."""

PRECISIONS = ("fp32", "fp16", "int8")
DEFAULT_OPSET = 18
_OPSETS = range(17, 25)
"""PyTorch writes another opset than it is asked for below, without an error."""

LAYOUTS = ("nhwc", "nchw")
DEFAULT_TILE = 128
_TILES = range(16, 257)

_EXTRAS = {
    "onnx": ("ONNX", ("onnx", "onnxscript", "onnxruntime")),
    "litert": ("LiteRT", ("litert_torch", "ai_edge_litert", "ai_edge_quantizer")),
}
"""The extra of a format is named like it; what the format is called, and the packages."""

_TORCHSCRIPT = ("torchscript", "jit", "script", "trace")


@dataclass(frozen=True)
class ExportRequest:
    """One model as a file for another runtime.

    Attributes:
        model: As for `parse_model`; None for the general model.
        output: The file to write; None for MODEL-xN with the suffix of the format.
        scale: One of the model's scales; None for 4, or the largest that it has.
        format: `onnx`, `pt2` or `litert`; None for that of the output's suffix, or `onnx`.
        precision: `fp32`, `fp16` or `int8`.
        uint8: 8-bit RGB pixels (N, h, w, 3) go in and come out.
        opset: Of ONNX, 17 to 24.
        tile: The sides of what a LiteRT file takes, 16 to 256 lr pixels; None for 128.
        layout: Of a LiteRT file: `nhwc` or `nchw`; None for `nhwc`.
        calibrate: A folder of images from which int8 learns its ranges; None for a built-in image.
        strength: How far a model with two sets of weights restores, 0 to 1; None for 1.
        force: Write an int8 file whatever it costs.
        overwrite: Overwrite an existing file.
    """

    model: str | None
    output: Path | None = None
    scale: int | None = None
    format: str | None = None
    precision: str = "fp32"
    uint8: bool = False
    opset: int = DEFAULT_OPSET
    tile: int | None = None
    layout: str | None = None
    calibrate: Path | None = None
    force: bool = False
    overwrite: bool = False
    strength: float | None = None

    @property
    def chosen_format(self) -> str:
        """The format as named, or by the suffix of the output."""
        if self.format is not None or self.output is None:
            return self.format or "onnx"
        suffix = self.output.suffix.lower()
        return next((f for f, s in FORMATS.items() if s == suffix), "onnx")

    def check(self) -> None:
        """Check the values without importing torch.

        Raises:
            RefusedError: `unknown-value`, `out-of-range`, `conflicting-options`,
                `format-deprecated`, `already-exists`, `folder-not-found`, `extra-missing`.
        """
        kind = self.chosen_format
        if kind.lower() in _TORCHSCRIPT:
            raise RefusedError("format-deprecated", "TorchScript")
        _check_among("format", kind, FORMATS)
        _check_among("precision", self.precision, PRECISIONS)
        _check_range("opset", self.opset, _OPSETS)
        for other in self._conflicts(kind):
            raise RefusedError("conflicting-options", f"--format {kind}", other=other)
        if self.tile is not None:
            _check_range("tile", self.tile, _TILES)
        if self.layout is not None:
            _check_among("layout", self.layout, LAYOUTS)
        if self.calibrate is not None and self.precision != "int8":
            precision = f"--precision {self.precision}"
            raise RefusedError("conflicting-options", "--calibrate", other=precision)
        if self.calibrate is not None and not self.calibrate.is_dir():
            raise RefusedError("folder-not-found", self.calibrate)
        if self.output is not None:
            check_output(self.output, self.overwrite)
        name, packages = _EXTRAS.get(kind, ("", ()))
        if not all(find_spec(package) for package in packages):
            raise RefusedError("extra-missing", name, extra=kind)

    def _conflicts(self, kind: str) -> list[str]:
        """The options that a format does not have."""
        without = {
            "--uint8": self.uint8 and kind != "onnx",
            "--opset": self.opset != DEFAULT_OPSET and kind != "onnx",
            "--tile": self.tile is not None and kind != "litert",
            "--layout": self.layout is not None and kind != "litert",
            f"--precision {self.precision}": (kind, self.precision)
            in {("pt2", "fp16"), ("pt2", "int8"), ("litert", "fp16")},
        }
        return [option for option, is_given in without.items() if is_given]


def check_output(path: Path, overwrite: bool) -> None:
    """Check that a file can be written in its folder and may be.

    Raises:
        RefusedError: `already-exists`, `folder-not-found`.
    """
    if os.path.exists(path) and not overwrite:
        raise RefusedError("already-exists", path)
    if not os.path.isdir(path.parent):
        raise RefusedError("folder-not-found", path.parent)


def _check_among(subject: str, value: str, known: Iterable[str]) -> None:
    names = list(known)
    if value not in names:
        raise RefusedError("unknown-value", subject, value=value, known=names)


def _check_range(subject: str, value: int, allowed: range) -> None:
    if value not in allowed:
        stated = f"{allowed.start} to {allowed.stop - 1}"
        raise RefusedError("out-of-range", subject, value=value, allowed=stated)
