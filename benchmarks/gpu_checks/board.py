"""What the checks found: lines for people, and `gpu.json`."""

from __future__ import annotations

import json
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gpu_checks.device import release


class OutOfTimeError(Exception):
    """A check took longer than it may."""


@dataclass
class Board:
    """What was found so far: lines for people, values for gpu.json.

    Attributes:
        out: The folder for gpu.json.
        seconds: What all checks together may take.
        began: When the script started, on `time.perf_counter`.
        lines: For people.
        values: For gpu.json, by check.
        lock: Held while the end is written, which the watching thread does, too.
    """

    out: Path
    seconds: float
    began: float
    lines: list[str] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def taken(self) -> float:
        """Seconds since the script started."""
        return time.perf_counter() - self.began

    def say(self, line: str) -> None:
        self.lines.append(line)
        print(f"{self.taken():6.1f} s  {line}", flush=True)

    def save(self) -> None:
        self.out.mkdir(parents=True, exist_ok=True)
        content = {"seconds": self.taken(), "lines": self.lines, **self.values}
        (self.out / "gpu.json").write_text(json.dumps(content, indent=1, default=str))

    def end(self) -> None:
        with self.lock:
            self.save()
            print("\n" + "\n".join(self.lines), flush=True)

    def check(self, name: str, run: Callable[[], dict[str, Any]], limit: float) -> None:
        """Run one check; what it returns is kept, what it raises becomes a line."""
        limit = min(limit, self.seconds - self.taken())
        if limit < 1:
            self.say(f"{name}: left out, no time")
            return
        began = time.perf_counter()
        try:
            with limited(limit):
                found = run()
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            last = traceback.format_exc(limit=-3).strip().splitlines()
            said = (str(error) or "no message").splitlines()[0][:200]
            self.say(f"{name}: FAILED, {type(error).__name__}: {said}")
            print("\n".join(last[-12:]), flush=True)
            found = {**self.values.get(name, {}), "failed": last[-12:]}
        found["took"] = round(time.perf_counter() - began, 2)
        self.values[name] = found
        release()
        self.save()


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """OutOfTimeError in the main thread after so long (once the call in progress returns)."""

    def stop(*_: Any) -> None:
        raise OutOfTimeError(f"more than {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
