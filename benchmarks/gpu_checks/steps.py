"""Where the time of one tile goes: its steps, and the busiest kernels."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import torch
from gpu_checks.board import Board
from gpu_checks.device import Setting, median_device, median_wall, tf32, wait
from gpu_checks.overlapped import integers
from gpu_checks.subjects import WHOLE, network, photograph
from torch import Tensor, nn

from sr_cli.engine.upscaler import Upscaler
from sr_cli.layers.rewrites import LinearTail
from sr_cli.system.memory import empty_pixels


@torch.inference_mode()
def breakdown(board: Board, where: Setting, name: str) -> dict[str, Any]:
    """One tile: each step of the way through the engine, and cheaper ways to take it."""
    side = min(1024, where.sides[1])
    model, lr = network(name, where), photograph(side, side)
    upscaler = Upscaler(model, device=where.device.type, precision="auto", tile=WHOLE)
    net, device = upscaler._nets[0], where.device
    x = upscaler._to_tensor(lr, 255.0)
    y = net(x)
    h, w = y.shape[-2:]
    floats = torch.from_numpy(lr.astype(np.float32) / 255)
    small = torch.from_numpy(lr)
    core = integers(y.clone(), slice(0, h), slice(0, w), 255.0)
    planes = core.permute(2, 0, 1).contiguous()
    on_host = [p.cpu().numpy() for p in planes]
    joined = cv2.merge(on_host)
    warm = np.zeros_like(joined)
    found: dict[str, float] = {}

    def host(label: str, run: Callable[[], Any]) -> None:
        found[label] = median_wall(run, where)

    def on_device(label: str, run: Callable[[], Any]) -> None:
        found[label] = median_device(run, where)

    host("host: to float32", lambda: lr.astype(np.float32) / 255.0)
    host("in: float32 pageable", lambda: floats.to(device))
    host("in: uint8 pageable", lambda: small.to(device))
    on_device("in, device: uint8 to float32", lambda: small.to(device).float().div_(255))
    on_device("network", lambda: net(x))
    on_device("finite?", y.sum)
    on_device("device: to uint8 hwc", lambda: integers(y, slice(0, h), slice(0, w), 255.0))
    host("out: three planes pageable", lambda: [p.cpu() for p in planes])
    host("out: one hwc pageable", core.cpu)
    host("host: merge", lambda: cv2.merge(on_host))
    host("host: store, warm pages", lambda: np.copyto(warm, joined))
    host(
        "host: store, fresh pages",
        lambda: np.copyto(empty_pixels(joined.shape, joined.dtype), joined),
    )
    if where.on_cuda:
        pinned, back = small.pin_memory(), torch.empty_like(core, device="cpu", pin_memory=True)
        host("in: uint8 pinned", lambda: pinned.to(device, non_blocking=True))
        host("out: one hwc pinned", lambda: back.copy_(core, non_blocking=True))
        began = time.perf_counter()
        torch.empty(core.numel() + (1 << 20), dtype=torch.uint8, pin_memory=True)
        found["host: fresh pinned buffer"] = time.perf_counter() - began
    _layers(net, x, where, found)
    board.say(f"{name:6s} {side} one tile, ms: " + "; ".join(
        f"{k} {v * 1e3:.2f}" for k, v in found.items()
    ))  # fmt: skip
    return dict(found)


def _layers(net: nn.Module, x: Tensor, where: Setting, found: dict[str, float]) -> None:
    """Head, body and tail apart, the tail in float32 with and without TF32, and in half."""
    head, body, tail = (getattr(net, n, None) for n in ("head", "body", "tail"))
    if not (isinstance(head, nn.Module) and isinstance(body, nn.Module)):
        return
    features = head(x)
    half = features.to(where.half)
    found["head"] = median_device(lambda: head(x), where)
    found["body"] = median_device(lambda: body(half), where)
    if not isinstance(tail, LinearTail):
        return
    merged = copy.deepcopy(tail.merged).to(where.half)
    for on in (True, False):
        tf32(on)
        label = "tf32" if on else "fp32"
        found[f"tail {label}"] = median_device(lambda: tail(features), where)
        found[f"tail's merged convolution {label}"] = median_device(
            lambda: tail.merged(features), where
        )
    tf32(True)
    found["tail's merged convolution in half"] = median_device(lambda: merged(half), where)


@torch.inference_mode()
def kernels(board: Board, where: Setting, name: str) -> dict[str, Any]:
    """The device's busiest kernels in one call of the engine's network."""
    from torch.profiler import ProfilerActivity, profile

    side = min(1024, where.sides[1])
    model = network(name, where)
    upscaler = Upscaler(model, device=where.device.type, precision="auto", tile=WHOLE)
    x = upscaler._to_tensor(photograph(side, side), 255.0)
    net = upscaler._nets[0]
    net(x)
    kind = ProfilerActivity.CUDA if where.on_cuda else ProfilerActivity.CPU
    with profile(activities=[kind]) as seen:
        net(x)
        wait(where.device)
    key = "self_device_time_total" if where.on_cuda else "self_cpu_time_total"
    rows = sorted(seen.key_averages(), key=lambda e: -getattr(e, key))[:8]
    found = {e.key[:70]: (getattr(e, key) / 1e3, e.count) for e in rows}
    board.say(f"{name:6s} {side} busiest kernels, ms (calls):")
    for label, (ms, count) in found.items():
        board.say(f"       {ms:8.2f} ({count})  {label}")
    return dict(found)
