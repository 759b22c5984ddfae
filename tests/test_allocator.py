"""Memory: freed and kept or given back, and what a container's limit leaves."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sr_cli.system import memory
from sr_cli.system.memory import _cgroup_headroom, available_memory, empty_pixels, release_rows

CODE = """
from sr_cli.system.memory import trim_freed_memory, keep_freed_memory, resident_memory

assert keep_freed_memory()
large = [b"x" * 65536 for _ in range(3000)]
between = large[::50]
del large
held = resident_memory()
trim_freed_memory(beyond=2 * held)
kept = resident_memory()
trim_freed_memory(beyond=held // 2)
print(held, kept, resident_memory())
"""

linux_only = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="needs Linux with glibc"
)


@linux_only
def test_freed_memory_is_kept_and_given_back_beyond_a_bound() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, check=True)
    held, kept, left = (int(n) for n in done.stdout.split())
    assert kept > held - (4 << 20)
    assert left < held - (100 << 20)


@pytest.mark.parametrize(
    ("limit", "used", "left"),
    [
        ("1000\n", "400\n", 600),
        ("1000\n", "1400\n", 0),
        ("max\n", "400\n", 1 << 62),
        ("", "400\n", 1 << 62),
        ("1000\n", None, 1 << 62),
    ],
)
def test_a_containers_limit(tmp_path: Path, limit: str, used: str | None, left: int) -> None:
    (tmp_path / "memory.max").write_text(limit)
    if used is not None:
        (tmp_path / "memory.current").write_text(used)
    assert _cgroup_headroom(tmp_path) == left


@linux_only
def test_no_more_is_taken_than_the_container_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    free = available_memory()
    assert 0 < free < 1 << 50
    monkeypatch.setattr(memory, "_cgroup_headroom", lambda: 12345)
    assert available_memory() == 12345


@linux_only
def test_rows_that_are_done_with_are_given_back() -> None:
    pixels = empty_pixels((4096, 8192), np.dtype(np.uint8))
    pixels[:] = 7
    release_rows(pixels, 1000)
    assert not pixels[:1000].any() and (pixels[1000:] == 7).all()
    view = pixels[2000:]
    release_rows(view[:, ::2], 100)
    assert (pixels[2000:] == 7).all()


def test_small_arrays_stay_as_they_are() -> None:
    pixels = empty_pixels((10, 10), np.dtype(np.uint16))
    pixels[:] = 7
    release_rows(pixels, 10)
    assert pixels.shape == (10, 10) and (pixels == 7).all()
