"""glibc's allocator told to keep freed memory: large tensors are then not faulted in again."""

from __future__ import annotations

import ctypes
import mmap
import sys
from contextlib import suppress
from pathlib import Path

_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4


def keep_freed_memory() -> bool:
    """Call before the first large tensor. True where it took effect (Linux with glibc)."""
    if not sys.platform.startswith("linux"):
        return False
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        return bool(libc.mallopt(_M_MMAP_MAX, 0)) and bool(libc.mallopt(_M_TRIM_THRESHOLD, -1))
    return False


def give_back_freed_memory(beyond: int) -> None:
    """Return what is kept to the system where more than `beyond` bytes are resident.

    Does nothing but on Linux with glibc.
    """
    if not sys.platform.startswith("linux"):
        return
    with suppress(OSError, AttributeError, ValueError):
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        if pages * mmap.PAGESIZE > beyond:
            ctypes.CDLL("libc.so.6").malloc_trim(0)
