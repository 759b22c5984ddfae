"""Workers of `sr upscale`: efficiency and memory, killed workers, and many tiny jobs.

    python benchmarks/cluster.py efficiency [--images 64 --side 128 --model edsr --repeat 3]
    python benchmarks/cluster.py kill [--images 64 --model fsrcnn --kills 10]
    python benchmarks/cluster.py tiny [--jobs 100000]

`efficiency` runs one process of 1 thread, 1 worker of 1 thread and 2 workers of 1 thread in turn,
and prints the best of each: seconds, CPU seconds, and the resident memory of the largest process.
Efficiency is the rate of 2 workers over twice that of 1 worker, without the start. `kill` sends
SIGKILL to a random worker at random moments, also while it starts. `tiny` places jobs that do
nothing on 2 workers, and prints jobs a second and what the command, which holds the scheduler, has
resident.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import re
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np


def make_images(folder: Path, count: int, side: int) -> Path:
    """Images of waves and noise."""
    folder.mkdir()
    y, x = np.mgrid[0:side, 0:side]
    for number in range(count):
        noise = np.random.default_rng(number).integers(0, 60, (side, side, 3))
        waves = 97 + 60 * np.sin(x / (5 + number % 7))[..., None] + 40 * np.sin(y / 23)[..., None]
        cv2.imwrite(str(folder / f"{number:03}.png"), (noise + waves).clip(0, 255).astype(np.uint8))
    return folder


def descendants(pid: int) -> list[int]:
    """The processes below a process."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents[int(stat.parent.name)] = int(stat.read_text().rsplit(")", 1)[1].split()[1])
    found = [pid]
    for known in found:
        found += [child for child, parent in parents.items() if parent == known]
    return found[1:]


def worker_processes(pid: int) -> list[int]:
    """The workers that a command started."""
    found = []
    for child in descendants(pid):
        with suppress(OSError):
            if b"cluster.local" in Path(f"/proc/{child}/cmdline").read_bytes():
                found.append(child)
    return found


def resident_mib(pid: int) -> float:
    """Resident memory of a process; 0 once it has ended."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
    return 0.0


class Measured:
    """A command with its time, its CPU time and the memory of its largest processes."""

    def __init__(self, command: list[str]) -> None:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        began = time.perf_counter()
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        self.peaks: dict[int, float] = {}
        watching = threading.Thread(target=self._watch, args=(process,))
        watching.start()
        _, self.said = process.communicate()
        watching.join()
        self.seconds = time.perf_counter() - began
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        self.own = self.peaks.pop(process.pid, 0.0)
        if process.returncode:
            sys.exit(self.said)

    def _watch(self, process: subprocess.Popen[str]) -> None:
        while process.poll() is None:
            for pid in [process.pid, *descendants(process.pid)]:
                self.peaks[pid] = max(self.peaks.get(pid, 0.0), resident_mib(pid))
            time.sleep(0.2)

    @property
    def rate(self) -> float:
        """Images a second over all workers, once they were ready (`-v`)."""
        return sum(float(r) for r in re.findall(r"images, ([\d.]+) a second", self.said))


def efficiency(o: argparse.Namespace, folder: Path) -> None:
    source = make_images(folder / "in", o.images, o.side)
    upscale = [sys.executable, "-m", "sr_cli", "upscale", str(source), "-m", o.model, "-v", "-y"]
    upscale += ["-o", str(folder / "out"), "--precision", "fp32", "--threads", "1"]
    best: dict[str, list[Measured]] = {}
    for _ in range(o.repeat):
        for name, more in (
            ("process", []),
            ("1 worker", ["--workers", "1"]),
            ("2 workers", ["--workers", "2"]),
        ):
            best.setdefault(name, []).append(Measured([*upscale, *more]))
    for name, runs in best.items():
        run = min(runs, key=lambda r: r.seconds)
        largest = max(run.peaks.values(), default=0.0) or run.own
        print(
            f"{name:10} {run.seconds:6.1f} s, {run.cpu:6.1f} s CPU, {run.rate:6.2f} images a "
            f"second, {largest:6.0f} MiB, command {run.own:.0f} MiB"
        )
    rates = {name: max(run.rate for run in runs) for name, runs in best.items()}
    print(f"efficiency {rates['2 workers'] / (2 * rates['1 worker']):.2f}")
    cpu = {name: min(run.cpu for run in runs) for name, runs in best.items()}
    print(f"CPU of 2 workers over 1: {cpu['2 workers'] / cpu['1 worker']:.2f}")


def kill(o: argparse.Namespace, folder: Path) -> None:
    source = make_images(folder / "in", o.images, o.side)
    out = folder / "out"
    command = [sys.executable, "-m", "sr_cli", "upscale", str(source), "-o", str(out)]
    command += ["-m", o.model, "--precision", "fp32", "--workers", "2"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    killed = 0
    chance = random.Random(o.seed)
    while process.poll() is None and killed < o.kills:
        time.sleep(chance.uniform(0.5, o.pause))
        if workers := worker_processes(process.pid):
            os.kill(chance.choice(workers), signal.SIGKILL)
            killed += 1
    said = process.communicate()[1]
    print("\n".join(line for line in said.splitlines() if "lost" in line or "error" in line))
    made = sorted(p.name for p in out.iterdir() if not p.name.startswith("."))
    hidden = [p.name for p in out.iterdir() if p.name.startswith(".")]
    print(
        f"{killed} kills: {len(made)} of {o.images} images, exit code {process.returncode}, "
        f"left over: {hidden}"
    )


def tiny(o: argparse.Namespace, folder: Path) -> None:
    from distributed import LocalCluster

    from sr_cli import WorkerOptions, upscale_files

    content = (make_images(folder / "in", 1, 8) / "000.png").read_bytes()
    for number in range(1, o.jobs):
        (folder / "in" / f"{number:07}.png").write_bytes(content)
    preload = folder / "nothing.py"
    preload.write_text(
        "from sr_cli.upscale.cluster import task\n"
        "from sr_cli.upscale.request import Result\n"
        "def nothing(attempt, *_):\n"
        "    jobs = attempt.group.jobs\n"
        "    return task.Outcome(tuple(Result(j.source, j.target, 'done') for j in jobs))\n"
        "task._upscale_images = nothing\n"
    )
    with LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
        memory_limit=0,
        silence_logs=logging.CRITICAL,
        preload=[str(preload)],
    ) as cluster:
        workers = WorkerOptions(cluster=cluster.scheduler_address)
        began, cpu, done = time.perf_counter(), time.process_time(), 0
        results = upscale_files(
            folder / "in", f"{folder}/out/", model="bicubic", scale=2, workers=workers
        )
        planned = time.perf_counter() - began
        print(f"planned in {planned:.1f} s, {resident_mib(os.getpid()):.0f} MiB", flush=True)
        began = time.perf_counter()
        for result in results:
            done += result.status == "done"
            if done % (o.jobs // 10) == 0:
                seconds = time.perf_counter() - began
                held = len(cluster.scheduler.tasks)
                print(
                    f"{done} jobs, {done / seconds:.0f} a second, "
                    f"{resident_mib(os.getpid()):.0f} MiB, {held} tasks at the scheduler",
                    flush=True,
                )
        print(f"{(time.process_time() - cpu) / done * 1e3:.2f} ms CPU a job in the command")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["efficiency", "kill", "tiny"])
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--model", default="edsr")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--pause", type=float, default=3.0, help="longest time between two kills")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=100_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        {"efficiency": efficiency, "kill": kill, "tiny": tiny}[options.what](options, Path(folder))


if __name__ == "__main__":
    main()
