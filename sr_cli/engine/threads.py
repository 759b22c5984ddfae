"""CPU threads that are divided among images. Does not import torch."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def divided_threads(most: int) -> Iterator[int]:
    """Let several images be computed at the same time, each with its share of the threads.

    Threads that share one small image wait for each other after every layer.

    Args:
        most: The most images that may be computed at the same time.

    Yields:
        How many to compute at the same time: at most one for each thread.
    """
    torch = sys.modules.get("torch")
    threads = torch.get_num_threads() if torch else os.cpu_count() or 1
    count = max(1, min(most, threads))
    if torch:
        torch.set_num_threads(threads // count)
    try:
        yield count
    finally:
        if torch:
            torch.set_num_threads(threads)
