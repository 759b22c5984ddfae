"""Whether results are the same on the device, and in little memory."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from gpu_checks.board import Board
from gpu_checks.device import Setting, release, tf32, wait
from gpu_checks.subjects import WHOLE, Picture, network, photograph
from torch import nn

from sr_cli.engine.upscaler import Upscaler

ROOT = Path(__file__).resolve().parents[2]


def machine(board: Board, where: Setting) -> dict[str, Any]:
    found: dict[str, Any] = {"torch": torch.__version__, "cpus": os.cpu_count()}
    found["imports"] = round(board.taken(), 1)
    began = time.perf_counter()
    layer = nn.Conv2d(3, 64, 3).to(where.device)
    layer(torch.rand(1, 3, 64, 64, device=where.device))
    wait(where.device)
    found["first convolution"] = round(time.perf_counter() - began, 1)
    if where.on_cuda:
        found["gpu"] = torch.cuda.get_device_name()
        found["cudnn"] = torch.backends.cudnn.version()
        found["free"], found["memory"] = torch.cuda.mem_get_info()
        found["tf32 as PyTorch has it"] = torch.backends.cudnn.allow_tf32
    board.say(", ".join(f"{k} {v}" for k, v in found.items()))
    return found


def off(one: Picture, other: Picture) -> tuple[float, float]:
    """Largest and RMS difference of two 16-bit images, in 8-bit levels."""
    difference = (one.astype(np.float64) - other) / 257
    return float(np.abs(difference).max()), float(np.sqrt((difference**2).mean()))


def equality(board: Board, where: Setting, name: str) -> dict[str, Any]:
    """One network against the CPU in fp32, and its tiles against one pass."""
    model = network(name, where)
    lr = photograph(*where.small).astype(np.uint16) * 257
    tf32(False)
    reference = Upscaler(model, device="cpu", precision="fp32", tile=WHOLE)(lr)
    found: dict[str, Any] = {}
    for precision in where.precisions:
        upscaler = Upscaler(model, device=where.device.type, precision=precision, tile=WHOLE)
        for on in (False, True) if where.on_cuda else (False,):
            tf32(on)
            upscaler.tile = WHOLE
            whole = upscaler(lr)
            upscaler.tile = 48
            tiled = upscaler(lr)
            eight = upscaler((lr // 257).astype(np.uint8)).astype(np.uint16) * 257
            label = f"{precision}{' tf32' if on else ''}"
            (worst, rms), (seam, _), (rounded, _) = (
                off(whole, reference),
                off(tiled, whole),
                off(eight, tiled),
            )
            found[label] = {"max": worst, "rms": rms, "seam": seam, "8-bit": rounded}
            found[label]["redone in fp32"] = bool(upscaler._fp32_nets) and precision != "fp32"
    cells = [f"{k} {v['max']:.4f} {v['rms']:.5f} {v['seam']:.4f}" for k, v in found.items()]
    board.say(f"{name:6s} max, rms, seams (levels): " + "; ".join(cells))
    wrong = [k for k, v in found.items() if v["8-bit"] > 0.502 or v["redone in fp32"]]
    if wrong:
        board.say(f"{name:6s} 8-bit images differ, or all was done again in fp32: {wrong}")
    tf32(True)
    return found


class Counter:
    """How many tiles an image took."""

    total = 0

    def __call__(self, _: int, total: int) -> None:
        self.total = total


def memory(board: Board, where: Setting, name: str) -> dict[str, Any]:
    """A card too small for the first tile: the tile is halved, the image stays the same."""
    if not where.on_cuda:
        board.say(f"{name:6s} out of memory: only on CUDA")
        return {}
    model, side = network(name, where), where.sides[0]
    lr = photograph(side, side)
    upscaler = Upscaler(model, device=where.device.type, precision="auto", tile=WHOLE)
    whole = upscaler(lr)
    torch.cuda.reset_peak_memory_stats()
    base = torch.cuda.memory_allocated()
    upscaler(lr)
    peak = torch.cuda.max_memory_allocated()
    release()
    total = torch.cuda.get_device_properties(0).total_memory
    found: dict[str, Any] = {"base": base, "peak": peak, "predicted": _predicted(upscaler, side)}
    for share in (0.5, 0.15):
        release()
        told = Counter()
        allowed = base + (64 << 20) + share * (peak - base)
        torch.cuda.set_per_process_memory_fraction(allowed / total)
        upscaler.tile = WHOLE
        try:
            made = upscaler(lr, told)
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0)
        worst = int(np.abs(made.astype(np.int16) - whole).max())
        differing = float((made != whole).mean())
        found[str(share)] = {
            "tile": upscaler.tile,
            "tiles": told.total,
            "levels": worst,
            "differing": differing,
        }
        board.say(
            f"{name:6s} {side}x{side} in {allowed / 2**20:.0f} MiB instead of {peak / 2**20:.0f} "
            f"(predicted {found['predicted'] / 2**20:.0f}): tile {upscaler.tile}, "
            f"{told.total} tiles, at most {worst} levels off, {differing:.2%} of samples differ"
        )
    return found


def _predicted(upscaler: Upscaler, side: int) -> int:
    return int(upscaler._bytes_per_pixel() * side**2)


def command_line(board: Board, where: Setting) -> dict[str, Any]:
    """`sr upscale` as a process, on the device and on the CPU."""
    lr = photograph(*where.small)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "in.png"
        cv2.imwrite(str(source), lr)
        made: dict[str, Picture] = {}
        found: dict[str, float] = {}
        for device in ("cpu", where.device.type):
            target = Path(folder) / f"{device}.png"
            command = [sys.executable, "-m", "sr_cli", "upscale", str(source), "-m", "edsr", "-x4"]
            command += ["-y", "-o", str(target), "--device", device]
            began = time.perf_counter()
            done = subprocess.run(
                command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=20
            )
            found[device] = time.perf_counter() - began
            if done.returncode:
                raise RuntimeError(f"sr upscale --device {device}: {done.stderr.strip()[-600:]}")
            made[device] = np.asarray(cv2.imread(str(target)), np.int16)
        worst = int(np.abs(made["cpu"] - made[where.device.type]).max())
    board.say(
        f"sr upscale: {worst} levels between CPU and {where.device.type}; whole process "
        + ", ".join(f"{k} {v:.1f} s" for k, v in found.items())
    )
    return {**found, "levels": worst}
