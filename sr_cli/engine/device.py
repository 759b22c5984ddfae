"""Selection of the device and the precision, partly by measurement."""

from __future__ import annotations

import math
import platform
import time
from contextlib import suppress
from functools import lru_cache
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import nn

from sr_cli.engine.options import OPENVINO, PRECISION_NAMES, check_precision
from sr_cli.errors import RefusedError
from sr_cli.layers.fusion import fuse
from sr_cli.networks.base import conv
from sr_cli.system.cache import Measurements
from sr_cli.system.memory import available_memory, keep_freed_memory

PRECISIONS = dict(zip(PRECISION_NAMES, (torch.float32, torch.bfloat16, torch.float16), strict=True))
DTYPE_NAMES = {dtype: name for name, dtype in PRECISIONS.items()}

_REQUIRED_SPEEDUP = 1.25
"""How much faster than fp32 a half precision must be on a CPU."""

_ROUNDS = 8


def pick_device(name: str = "auto") -> torch.device:
    """The device of a name: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.

    Raises:
        RefusedError: `device-not-available`, with the available ones.
    """
    available = available_devices()
    if name == "auto":
        return torch.device(
            "cuda" if "cuda" in available else "mps" if "mps" in available else "cpu"
        )
    if name not in available:
        raise RefusedError("device-not-available", name, available=available)
    return torch.device(name)


def pick_host(name: str = "auto") -> torch.device:
    """The device of the tensors that a network takes: as named; for OpenVINO, the CPU.

    Raises:
        RefusedError: As `pick_device`; `extra-missing`.
    """
    if name != OPENVINO:
        return pick_device(name)
    if find_spec("openvino") is None:
        raise RefusedError("extra-missing", "--device openvino", extra="openvino")
    return torch.device("cpu")


def available_devices() -> list[str]:
    """The names that `pick_device` accepts on this machine."""
    names = ["cpu"]
    if torch.cuda.is_available():
        names += ["cuda", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    if torch.backends.mps.is_available():
        names.append("mps")
    return names


def prepare_cpu(threads: int | None = None) -> None:
    """Set up allocator and threads for speed; call before the first tensor is created.

    Args:
        threads: CPU threads; None for all cores.
    """
    keep_freed_memory()
    if threads is not None:
        torch.set_num_threads(threads)


def pick_precision(device: torch.device, name: str = "auto") -> torch.dtype:
    """The dtype for the half-precision parts: as named, or the fastest safe one.

    `auto` is fp16 on CUDA and fp32 on MPS. On a CPU, it is the fastest of fp32, bf16 and fp16,
    measured within a second and cached for this processor and torch version.

    Args:
        device: Where to compute.
        name: `auto`, `fp32`, `bf16` or `fp16`.

    Raises:
        RefusedError: `unknown-value` for an unknown name, `precision-not-supported` for one that
            this CPU does not support.
    """
    check_precision(name)
    if name != "auto":
        if device.type == "cpu" and name not in (available := cpu_precisions()):
            raise RefusedError("precision-not-supported", name, supported=available)
        return PRECISIONS[name]
    if device.type == "cuda":
        return torch.float16
    if device.type != "cpu":
        return torch.float32
    remembered, machine = Measurements("precision.json"), machine_key()
    chosen = remembered.read(machine)
    if not isinstance(chosen, str) or chosen not in PRECISIONS:
        chosen = DTYPE_NAMES[_fastest_on_cpu()]
        remembered.write(machine, chosen)
    return PRECISIONS[chosen]


@lru_cache
@torch.inference_mode()
def cpu_precisions() -> tuple[str, ...]:
    """The names of the precisions in which this CPU runs the engine's convolutions."""
    blocks = {name: _make_block(dtype) for name, dtype in PRECISIONS.items()}
    for block, _ in blocks.values():
        fuse(block)
    return tuple(n for n, (block, x) in blocks.items() if _time_block(block, x) < math.inf)


@torch.inference_mode()
def _fastest_on_cpu() -> torch.dtype:
    """Time two 64-channel 3x3 convolutions on 96x96; half precision must be clearly faster.

    Takes the best CPU time of each precision on a single thread, in turns, so that other work on
    the machine does not affect the choice.
    """
    best: dict[torch.dtype, float] = {}
    blocks = {PRECISIONS[name]: _make_block(PRECISIONS[name]) for name in cpu_precisions()}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for _ in range(_ROUNDS):
        for dtype, (block, x) in blocks.items():
            much_slower = best.get(dtype, 0.0) > 4 * best.get(torch.float32, math.inf)
            if not much_slower:
                best[dtype] = min(best.get(dtype, math.inf), _time_block(block, x))
    torch.set_num_threads(threads)
    handicap = {d: t if d == torch.float32 else t * _REQUIRED_SPEEDUP for d, t in best.items()}
    return min(handicap, key=handicap.__getitem__)


def _make_block(dtype: torch.dtype) -> tuple[nn.Module, torch.Tensor]:
    block = nn.Sequential(conv(64, 64), nn.ReLU(), conv(64, 64))
    # This combination of arguments is documented, but missing in torch's type hints.
    block = block.to(dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return block, torch.rand(1, 64, 96, 96).to(dtype).contiguous(memory_format=torch.channels_last)


def _time_block(block: nn.Module, x: torch.Tensor) -> float:
    """The faster of two calls in seconds; infinite if the precision is not supported."""
    times = []
    for _ in range(2):
        began = time.thread_time()
        try:
            block(x)
        except RuntimeError:
            return math.inf
        times.append(time.thread_time() - began)
    return min(times)


def machine_key() -> str:
    """A key for what the measurement depends on: processor and torch version."""
    processor = platform.processor() or platform.machine()
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        wanted = ("model name", "flags", "Features")
        found = sorted({line for line in lines if line.startswith(wanted)})
        processor = sha256("\n".join(found).encode()).hexdigest()[:16]
    return f"{processor} torch-{torch.__version__}"


def free_memory(device: torch.device) -> int:
    """Free memory on a device, in bytes."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free)
    return available_memory()
