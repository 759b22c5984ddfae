"""Free memory, pixel arrays that can be released row by row, and allocator settings."""

from __future__ import annotations

import ctypes
import math
import mmap
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4
_M_ARENA_MAX = -8
_LARGE = 16 << 20
_CAN_RELEASE = sys.platform.startswith("linux") and hasattr(mmap, "MADV_DONTNEED")


TRIM_ABOVE = 900 << 20
"""Resident bytes above which freed memory is returned before an image is written."""

_sharing = 1


def share_memory(processes: int) -> None:
    """Count a part of the free memory as this process's own.

    Args:
        processes: How many processes of this machine share it equally, this one included.
    """
    global _sharing  # noqa: PLW0603 - it is a property of the process
    _sharing = processes


def available_memory() -> int:
    """Bytes of free host memory, within the limits of a container, or the share of them."""
    return _available_to_all() // _sharing


def _available_to_all() -> int:
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        line = next(x for x in lines if x.startswith("MemAvailable"))
        return min(int(line.split()[1]) * 1024, _cgroup_headroom())
    if sys.platform != "win32":
        with suppress(OSError, ValueError):
            return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    return 4 << 30


def _cgroup_headroom(root: Path = Path("/sys/fs/cgroup"), own: str | None = None) -> int:
    """Bytes left by the memory limits of this process's control group and all its parents.

    Args:
        root: Where control groups are mounted (version 2, or `memory` of version 1 in it).
        own: The content of /proc/self/cgroup; None reads it.

    Returns:
        Bytes; very large where there is no limit.
    """
    headroom = 1 << 62
    with suppress(OSError):
        own = Path("/proc/self/cgroup").read_text() if own is None else own
    for line in (own or "0::/").splitlines():
        number, controllers, group = line.split(":", 2)
        if number == "0" and not controllers:
            names = "memory.max", "memory.current", "inactive_file"
            folder = root
        elif "memory" in controllers.split(","):
            names = "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
            folder = root / "memory"
        else:
            continue
        # Inside a container the group's own path may not be mounted: its root is then the group.
        inner = folder / group.strip("/")
        for group_folder in (inner, *inner.parents):
            headroom = min(headroom, _group_headroom(group_folder, *names))
            if group_folder == folder:
                break
    return headroom


def _group_headroom(group: Path, limit_name: str, usage_name: str, cache_name: str) -> int:
    """Bytes left by one group's limit; droppable file pages count as free."""
    with suppress(OSError, ValueError):
        limit = int((group / limit_name).read_text())
        used = int((group / usage_name).read_text())
        with suppress(OSError, ValueError):
            stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
            used -= min(used, int(stat.get(cache_name, 0)))
        return max(0, limit - used)
    return 1 << 62


def resident_memory() -> int:
    """Resident bytes of this process; 0 where unknown (anywhere but Linux)."""
    with suppress(OSError, ValueError, IndexError):
        return int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE
    return 0


def keep_freed_memory() -> bool:
    """Tell glibc to keep freed memory, so that large tensors are not faulted in again.

    Call it before the first large tensor is allocated.

    Returns:
        Whether it took effect (Linux with glibc).
    """
    if not sys.platform.startswith("linux"):
        return False
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        # Heaps of other threads would be unmapped whenever nothing is left in them.
        kept = {_M_MMAP_MAX: 0, _M_TRIM_THRESHOLD: -1, _M_ARENA_MAX: 1}
        return all(libc.mallopt(*setting) for setting in kept.items())
    return False


def trim_freed_memory(beyond: int) -> None:
    """Return kept memory to the system once more than `beyond` bytes are resident.

    Does nothing anywhere but on Linux with glibc.
    """
    if resident_memory() > beyond:
        with suppress(OSError, AttributeError):
            ctypes.CDLL("libc.so.6").malloc_trim(0)


def empty_pixels(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Allocate uninitialised pixels; large arrays get pages of their own, outside the heap.

    Args:
        shape: For instance (h, w) or (h, w, C).
        dtype: Of the pixels.
    """
    import numpy as np

    size = math.prod(shape) * dtype.itemsize
    if size < _LARGE or not _CAN_RELEASE:
        return np.empty(shape, dtype)
    pages = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return np.frombuffer(pages, dtype).reshape(shape)


def release_rows(pixels: NDArray[Any], stop: int) -> None:
    """Return the memory of the rows before `stop` to the system; they then read as zero.

    Does nothing for arrays that are not from `empty_pixels`, and on systems without madvise.

    Args:
        pixels: (h, w[, C]), from `empty_pixels`.
        stop: The first row that is kept.
    """
    owner: Any = pixels.base
    while getattr(owner, "base", None) is not None:
        owner = owner.base
    pages = owner.obj if isinstance(owner, memoryview) else owner
    if not isinstance(pages, mmap.mmap) or not pixels.flags.c_contiguous:
        return
    used = stop * pixels.strides[0] // mmap.PAGESIZE * mmap.PAGESIZE
    if used:
        pages.madvise(mmap.MADV_DONTNEED, 0, used)
