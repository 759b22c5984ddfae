"""Codecs, one module per format: writing, and reading where Pillow does not suffice.

Each is imported with its first use: `codecs.tiff.read(source)`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sr_cli.imaging.codecs import (
        apng,
        avif,
        bmp,
        bmp_writer,
        dicom,
        dicom_window,
        dicom_writer,
        gif,
        jpeg,
        jxl,
        png,
        png_chunks,
        tiff,
        tiff_writer,
        webp,
    )

__all__ = [
    "apng",
    "avif",
    "bmp",
    "bmp_writer",
    "dicom",
    "dicom_window",
    "dicom_writer",
    "gif",
    "jpeg",
    "jxl",
    "png",
    "png_chunks",
    "tiff",
    "tiff_writer",
    "webp",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return import_module(f"{__name__}.{name}")
