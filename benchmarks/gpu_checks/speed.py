"""How fast the network and the engine are, beside plain PyTorch and torch.compile."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from gpu_checks.board import Board
from gpu_checks.device import Setting, median_device, median_wall, release, tf32, wait
from gpu_checks.overlapped import Overlapped
from gpu_checks.subjects import SCALE, WHOLE, Picture, network, photograph
from numpy.typing import NDArray
from torch import Tensor, nn

from sr_cli.engine.upscaler import Upscaler
from sr_cli.errors import SrError

PART = 1024
"""Plain PyTorch gets larger images in parts: 64 channels at 8192x8192 need 64-bit indices."""


def in_parts(x: Tensor, layout: torch.memory_format) -> list[Tensor]:
    """(1, C, h, w) cut into pieces of at most PART, side by side, without any overlap."""
    return [
        q.contiguous(memory_format=layout)
        for p in torch.split(x, PART, 2)
        for q in torch.split(p, PART, 3)
    ]


def each(net: nn.Module, parts: list[Tensor]) -> None:
    for part in parts:
        net(part)


@torch.inference_mode()
def speed(board: Board, where: Setting, name: str, side: int) -> dict[str, Any]:
    """Network alone and end to end, the engine beside plain PyTorch in half precision."""
    found: dict[str, Any] = {}
    board.values[f"speed {name} {side}"] = found
    try:
        _speed(where, name, side, found)
    finally:
        _say_speed(board, name, side, found)
    return found


def _speed(where: Setting, name: str, side: int, found: dict[str, Any]) -> None:
    model, lr = network(name, where), photograph(side, side)
    x = torch.from_numpy(lr).to(where.device).permute(2, 0, 1)[None].float() / 255
    x = x[:, : model.channels].contiguous()

    def tried(label: str, run: Callable[[], float]) -> None:
        try:
            found[label] = run()
        except (RuntimeError, SrError, AssertionError) as error:
            found[label] = f"{type(error).__name__}: {str(error)[:160]}"
        release()

    for label, layout in (
        ("net eager nchw", torch.contiguous_format),
        ("net eager channels_last", torch.channels_last),
    ):
        plain = copy.deepcopy(model).to(where.device, where.half)
        plain = plain.to(memory_format=layout)
        given = in_parts(x.to(where.half), layout)
        tried(label, partial(median_device, partial(each, plain, given), where))
        if model.channels == 3:
            end = label.replace("net", "end")
            tried(end, partial(median_wall, partial(naive, plain, lr, where, layout), where))
        del plain, given
    upscaler = Upscaler(model, device=where.device.type, precision="auto")
    found["tile"], found["halo"] = upscaler.tile, upscaler.halo
    net = upscaler._nets[0]
    given = in_parts(x, torch.channels_last)
    tried("net engine", lambda: median_device(lambda: each(net, given), where))
    tried("end engine", lambda: median_wall(lambda: upscaler(lr), where))
    if where.on_cuda:
        tried("net engine tf32 off", lambda: _without_tf32(net, given, where))
        if side == where.sides[0]:
            tried("net engine cudnn.benchmark", lambda: _benchmarked(net, given, where))
    draft = copy.copy(upscaler)
    draft.__class__ = Overlapped
    tried("end overlapped", lambda: median_wall(lambda: draft(lr), where))
    difference = draft(lr).astype(np.int16) - upscaler(lr)
    found["overlapped off by"] = int(np.abs(difference).max())


def _without_tf32(net: nn.Module, parts: list[Tensor], where: Setting) -> float:
    tf32(False)
    try:
        return median_device(lambda: each(net, parts), where)
    finally:
        tf32(True)


def _benchmarked(net: nn.Module, parts: list[Tensor], where: Setting) -> float:
    torch.backends.cudnn.benchmark = True
    try:
        return median_device(lambda: each(net, parts), where)
    finally:
        torch.backends.cudnn.benchmark = False


def naive(
    plain: nn.Module, lr: Picture, where: Setting, layout: torch.memory_format
) -> NDArray[np.uint8]:
    """What a few lines of PyTorch do, bytes both ways, in parts without overlap."""
    h, w = lr.shape[:2]
    sr = np.empty((h * SCALE, w * SCALE, 3), np.uint8)
    for top in range(0, h, PART):
        for left in range(0, w, PART):
            part = torch.from_numpy(lr[top : top + PART, left : left + PART]).to(where.device)
            x = part.permute(2, 0, 1)[None].to(where.half) / 255
            y = plain(x.contiguous(memory_format=layout))[0]
            y = y.clamp_(0, 1).mul_(255).round_().byte().permute(1, 2, 0).contiguous()
            place = sr[top * SCALE : (top + PART) * SCALE, left * SCALE : (left + PART) * SCALE]
            place[...] = y.cpu().numpy()
    return sr


def _say_speed(board: Board, name: str, side: int, found: dict[str, Any]) -> None:
    for kind in ("net", "end"):
        cells = []
        base = found.get(f"{kind} eager nchw")
        for key, value in found.items():
            if not key.startswith(f"{kind} "):
                continue
            label = key.removeprefix(f"{kind} ")
            if not isinstance(value, float):
                cells.append(f"{label} -")
                print(f"{name} {side} {key}: {value}", flush=True)
                continue
            ratio = f" ({base / value:.2f})" if isinstance(base, float) else ""
            cells.append(f"{label} {value * 1e3:.2f}{ratio}")
        board.say(f"{name:6s} {side} {kind} ms: " + "; ".join(cells))
    notes = {k: v for k, v in found.items() if k.endswith("off by") or k in ("tile", "halo")}
    board.say(f"{name:6s} {side} " + ", ".join(f"{k} {v:.4g}" for k, v in notes.items()))


@torch.inference_mode()
def compiled(board: Board, where: Setting, name: str, side: int, ours: bool) -> dict[str, Any]:
    """torch.compile on the plain network in half precision, or on the engine's form of it."""
    model = network(name, where)
    lr = photograph(side, side)
    x = torch.from_numpy(lr).to(where.device).permute(2, 0, 1)[None].float() / 255
    x = x.contiguous(memory_format=torch.channels_last)
    net: nn.Module
    if ours:
        net = Upscaler(model, device=where.device.type, precision="auto", tile=WHOLE)._nets[0]
    else:
        net = copy.deepcopy(model).to(where.device, where.half)
        net = net.to(memory_format=torch.channels_last)
        x = x.to(where.half)
    label = f"{name:6s} {side} torch.compile({'engine' if ours else 'plain'})"
    eager = median_device(lambda: net(x), where)
    began = time.perf_counter()
    fast = torch.compile(net, dynamic=False)
    fast(x)
    wait(where.device)
    built = time.perf_counter() - began
    seconds = median_device(lambda: fast(x), where)
    torch._dynamo.reset()
    board.say(
        f"{label}: {seconds * 1e3:.2f} ms, {eager / seconds:.2f} of eager channels_last "
        f"({eager * 1e3:.2f} ms), built in {built:.1f} s"
    )
    return {"seconds": seconds, "eager": eager, "built": built}
