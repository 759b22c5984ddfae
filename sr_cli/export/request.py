"""What is asked of an export, checked before anything heavy is imported."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from sr_cli.errors import RefusedError

FORMATS = {"onnx": ".onnx", "pt2": ".pt2"}
"""The formats, and the suffixes of their files."""

PRECISIONS = ("fp32", "fp16", "int8")
DEFAULT_OPSET = 18
_OPSETS = range(17, 25)
"""PyTorch writes another opset than it is asked for below, without an error."""

_PACKAGES = ("onnx", "onnxscript", "onnxruntime")


@dataclass(frozen=True)
class ExportRequest:
    """One model as a file for another runtime.

    Attributes:
        model: As for `parse_model`; None for the general model.
        output: The file to write; None for MODEL-xN with the suffix of the format.
        scale: One of the model's scales; None for 4, or the largest that it has.
        format: `onnx` or `pt2`; None for that of the output's suffix, or `onnx`.
        precision: `fp32`, `fp16` or `int8`.
        uint8: 8-bit RGB pixels (N, h, w, 3) go in and come out.
        opset: Of ONNX, 17 to 24.
        calibrate: A folder of images from which int8 learns its ranges; None for a built-in image.
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
    calibrate: Path | None = None
    force: bool = False
    overwrite: bool = False

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
                `already-exists`, `folder-not-found`, `extra-missing`.
        """
        _check_among("format", self.chosen_format, FORMATS)
        _check_among("precision", self.precision, PRECISIONS)
        if self.opset not in _OPSETS:
            raise RefusedError(
                "out-of-range",
                "opset",
                value=self.opset,
                allowed=f"{_OPSETS.start} to {_OPSETS.stop - 1}",
            )
        if self.chosen_format == "pt2" and (self.precision != "fp32" or self.uint8):
            other = "--uint8" if self.uint8 else f"--precision {self.precision}"
            raise RefusedError("conflicting-options", "--format pt2", other=other)
        if self.calibrate is not None and self.precision != "int8":
            other = f"--precision {self.precision}"
            raise RefusedError("conflicting-options", "--calibrate", other=other)
        if self.calibrate is not None and not self.calibrate.is_dir():
            raise RefusedError("folder-not-found", self.calibrate)
        if self.output is not None:
            check_output(self.output, self.overwrite)
        if self.chosen_format == "onnx" and not all(find_spec(name) for name in _PACKAGES):
            raise RefusedError("extra-missing", "ONNX", extra="onnx")


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
