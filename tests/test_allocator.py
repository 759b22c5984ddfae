"""Freed memory: kept while tiles follow each other, given back where it is too much."""

from __future__ import annotations

import subprocess
import sys

import pytest

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


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux with glibc")
def test_freed_memory_is_kept_and_given_back_beyond_a_bound() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, check=True)
    held, kept, left = (int(n) for n in done.stdout.split())
    assert kept > held - (4 << 20)
    assert left < held - (100 << 20)
