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


def resident_memory() -> int:
    """Bytes of this process in memory; 0 where that is not known (but on Linux)."""
    with suppress(OSError, ValueError, IndexError):
        return int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE
    return 0


def give_back_freed_memory(beyond: int) -> None:
    """Return what is kept to the system, where more than `beyond` bytes are in memory.

    Does nothing but on Linux with glibc.
    """
    if resident_memory() > beyond:
        with suppress(OSError, AttributeError):
            ctypes.CDLL("libc.so.6").malloc_trim(0)
