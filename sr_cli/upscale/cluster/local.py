"""Worker processes of this machine, which are started again when they end.

Dask's `LocalCluster` gives a worker up for good if it is not there 15 s after a loss: because its
successor was killed, too, or starts slowly. Its nannies do so if one ends before it was there.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from sr_cli.errors import SrError

_MOST_STARTS = 10
"""How often a process is started in a row without becoming a worker."""

_PATIENCE = 5.0
"""Seconds that a worker has to end its tile and to remove what it began."""

_PACKAGE = Path(__file__).parents[3]
"""The folder in which `sr_cli` is found."""


class LocalWorkers:
    """Processes with one worker each, named by their number. They end with this process.

    Args:
        address: Of the scheduler.
        count: How many.
        folder: For Dask's files. It is removed with the last process, also if this one is killed.
    """

    def __init__(self, address: str, count: int, folder: str) -> None:
        self._address = address
        self._folder = folder
        self._starts = [0] * count
        self._processes: list[subprocess.Popen[bytes] | None] = [None] * count

    def start_missing(self, present: Collection[str]) -> None:
        """Start what has not been started, or has ended.

        Args:
            present: The names of the workers that are there.

        Raises:
            SrError: `workers-not-started` if none is left that can be started.
        """
        for number, process in enumerate(self._processes):
            if str(number) in present:
                self._starts[number] = 0
            if process is not None and process.poll() is None:
                continue
            if self._starts[number] < _MOST_STARTS:
                self._starts[number] += 1
                self._processes[number] = self._start(number)
        ended = [p.returncode for p in self._processes if p is not None]
        if None not in ended:
            raise SrError("workers-not-started", reason=f"exit code {ended[0]}")

    def close(self) -> None:
        """Let the processes end, and end those that take too long."""
        running = [p for p in self._processes if p is not None]
        for process in running:
            assert process.stdin is not None
            with suppress(OSError):
                process.stdin.close()
        until = time.monotonic() + _PATIENCE + 1
        for process in running:
            try:
                process.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _start(self, number: int) -> subprocess.Popen[bytes]:
        paths = [str(_PACKAGE), os.environ.get("PYTHONPATH", "")]
        try:
            return subprocess.Popen(
                [sys.executable, "-m", __name__, self._address, str(number), self._folder],
                # Its end tells the worker that this process has ended.
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))},
                # Ctrl-C in a terminal concerns the command, which ends its workers.
                start_new_session=True,
            )
        except OSError as error:
            raise SrError("workers-not-started", reason=error.strerror or str(error)) from error


def main() -> None:
    """Be a worker: `python -m sr_cli.upscale.cluster.local ADDRESS NAME FOLDER`."""
    from sr_cli.upscale.cluster.connect import silenced

    address, name, folder = sys.argv[1:4]
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_command, args=(folder,), daemon=True).start()
    with silenced():
        asyncio.run(_serve(address, name, folder))


async def _serve(address: str, name: str, folder: str) -> None:
    import dask
    from distributed import Worker

    from sr_cli.upscale.cluster.connect import CONFIG

    dask.config.set(CONFIG)
    worker = Worker(
        address,
        nthreads=1,
        name=name,
        host="127.0.0.1",
        memory_limit=0,
        dashboard=False,
        local_directory=folder,
    )
    async with worker:
        await worker.finished()


def _end_with_command(folder: str) -> None:
    """Wait until the command has ended or closes the pipe, and end this process."""
    from sr_cli.upscale.cluster import task

    sys.stdin.buffer.read()
    task.end(_PATIENCE)
    # A command that was killed does not do it.
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)


if __name__ == "__main__":
    main()
