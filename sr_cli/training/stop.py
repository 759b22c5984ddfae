"""Ctrl-C and SIGTERM as a wish to stop, which the loop grants between two steps."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


@dataclass
class Stop:
    """The signal that asked for an end, once there was one."""

    signal: int | None = None


@contextmanager
def until_stopped() -> Iterator[Stop]:
    """Ctrl-C and SIGTERM end the loop after its step; a second one ends it at once."""
    stop = Stop()

    def handle(number: int, _: FrameType | None) -> None:
        if stop.signal is not None:
            raise KeyboardInterrupt
        stop.signal = number

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {n: signal.signal(n, handle) for n in numbers}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
