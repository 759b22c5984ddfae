"""PyAV, which the extra `video` installs, and its errors as ours."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sr_cli.errors import RefusedError, SrError


def load_av() -> Any:
    """Import PyAV.

    Raises:
        RefusedError: `extra-missing`.
    """
    try:
        av = importlib.import_module("av")
    except ImportError:
        raise RefusedError("extra-missing", "upscaling video", extra="video") from None
    # What FFmpeg logs is for programmers; what matters becomes an error or a note.
    av.logging.set_level(None)
    return av


@contextmanager
def open_clip(source: Path) -> Iterator[Any]:
    """Open a clip for reading.

    Yields:
        A PyAV input container.

    Raises:
        RefusedError: `extra-missing`.
        SrError: `unreadable-file`, `damaged-clip`.
    """
    av = load_av()
    try:
        container = av.open(str(source), metadata_errors="replace")
    except OSError as error:
        raise SrError("unreadable-file", source, reason=error.strerror or str(error)) from error
    except (av.error.FFmpegError, ValueError) as error:
        raise SrError("damaged-clip", source, reason=said(error)) from error
    with container:
        yield container


def said(error: Exception) -> str:
    """What FFmpeg says about an error, in a few words."""
    return str(getattr(error, "strerror", None) or error or type(error).__name__)
