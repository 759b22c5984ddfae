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


FAULTS = """
import resource, threading
import numpy as np
from sr_cli.system.memory import keep_freed_memory

def pair():
    return np.ones(40 << 20, np.uint8), np.ones(40 << 20, np.uint8)

def work():
    global faults
    pair()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        pair()
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

assert keep_freed_memory()
for _ in range(2):
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
print(faults)
"""


@linux_only
def test_freed_memory_is_kept_for_other_threads_too() -> None:
    done = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, check=True)
    assert int(done.stdout) < 1000


NO_LIMIT = 1 << 62


def group(folder: Path, limit: object, used: object, cache: int | None = None) -> None:
    """A control group of version 2."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text(f"{used}\n")
    if cache is not None:
        (folder / "memory.stat").write_text(f"anon 5\ninactive_file {cache}\nshmem 3\n")


@pytest.mark.parametrize(
    ("limit", "used", "cache", "left"),
    [
        (1000, 400, None, 600),
        (1000, 1400, None, 0),
        (1000, 400, 300, 900),
        (1000, 400, 500, 1000),
        ("max", 400, None, NO_LIMIT),
        ("", 400, None, NO_LIMIT),
        (1000, "", None, NO_LIMIT),
    ],
)
def test_what_a_containers_limit_leaves(
    tmp_path: Path, limit: object, used: object, cache: int | None, left: int
) -> None:
    group(tmp_path, limit, used, cache)
    for own in ("0::/\n", "", "0::/not/mounted/here\n"):
        assert _cgroup_headroom(tmp_path, own) == left


def test_the_limits_of_all_parents_count(tmp_path: Path) -> None:
    group(tmp_path / "a", 1000, 100)
    group(tmp_path / "a/b", 5000, 50)
    group(tmp_path / "a/b/c", "max", 20)
    group(tmp_path / "other", 1, 1)
    assert _cgroup_headroom(tmp_path, "0::/a/b/c\n") == 900
    assert _cgroup_headroom(tmp_path, "0::/\n") == NO_LIMIT
    group(tmp_path / "a/b", 500, 50)
    assert _cgroup_headroom(tmp_path, "0::/a/b/c\n") == 450
    group(tmp_path.parent, 10, 10)
    assert _cgroup_headroom(tmp_path, "0::/a/b/c\n") == 450


def test_control_groups_of_version_1(tmp_path: Path) -> None:
    inner = tmp_path / "memory/docker/1234"
    inner.mkdir(parents=True)
    (inner / "memory.limit_in_bytes").write_text("1000\n")
    (inner / "memory.usage_in_bytes").write_text("700\n")
    (inner / "memory.stat").write_text("total_inactive_file 200\n")
    own = "12:cpu,cpuacct:/docker/1234\n9:memory:/docker/1234\n1:name=systemd:/x\n0::/\n"
    assert _cgroup_headroom(tmp_path, own) == 500
    assert _cgroup_headroom(tmp_path, "12:cpu:/docker/1234\n") == NO_LIMIT


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
