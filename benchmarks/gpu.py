"""The engine on a GPU: does it match the CPU, does it survive a full card, how fast is it?

    python benchmarks/gpu.py [--out FOLDER] [--seconds 100]
    python benchmarks/gpu.py --device cpu --tiny       # the same steps, to try the script itself

Every check stands alone with a time limit of its own: one that fails or takes too long becomes a
line, and a table always comes last (and `gpu.json` in the folder). Differences are in 8-bit levels,
measured on 16-bit images. Times are medians after a warm-up: the network alone between tensors on
the device, end to end from a uint8 image in host memory to another. `direct` and `overlapped` are
drafts of how the engine could carry pixels, `cudnn relu` of how its networks could be fused.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("SR_CACHE", tempfile.mkdtemp(prefix="sr-gpu-"))

BEGAN = time.perf_counter()

# E402: what follows is imported late on purpose. It is timed, and it needs the path and the cache
# set above, so that the script runs in a bare checkout.
import cv2  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from sr_cli.engine.tiling import Tile, plan_tiles  # noqa: E402
from sr_cli.engine.upscaler import Upscaler  # noqa: E402
from sr_cli.errors import SrError  # noqa: E402
from sr_cli.layers.rewrites import LinearTail  # noqa: E402
from sr_cli.networks.base import SRModel  # noqa: E402
from sr_cli.registry.foreign import ForeignModel  # noqa: E402
from sr_cli.registry.ref import load_model  # noqa: E402
from sr_cli.system.memory import empty_pixels  # noqa: E402

SHIPPED = {
    "espcn": "espcn-x4",
    "edsr": "edsr-baseline-x4",
    "photo": "photo-x4",
    "rcan": "rcan-small-x4",
    "srgan": "srgan-x4",
}
SCALE = 4
WHOLE = 1 << 20
Picture = NDArray[Any]


class OutOfTimeError(Exception):
    """A check took longer than it may."""


@dataclass
class Board:
    """What was found so far: lines for people, values for gpu.json."""

    out: Path
    seconds: float
    lines: list[str] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def left(self) -> float:
        return self.seconds - (time.perf_counter() - BEGAN)

    def say(self, line: str) -> None:
        self.lines.append(line)
        print(f"{time.perf_counter() - BEGAN:6.1f} s  {line}", flush=True)

    def save(self) -> None:
        self.out.mkdir(parents=True, exist_ok=True)
        content = {"seconds": time.perf_counter() - BEGAN, "lines": self.lines, **self.values}
        (self.out / "gpu.json").write_text(json.dumps(content, indent=1, default=str))

    def end(self) -> None:
        with self.lock:
            self.save()
            print("\n" + "\n".join(self.lines), flush=True)

    def check(self, name: str, run: Callable[[], dict[str, Any]], limit: float) -> None:
        """Run one check; what it returns is kept, what it raises becomes a line."""
        limit = min(limit, self.left())
        if limit < 1:
            self.say(f"{name}: left out, no time")
            return
        began = time.perf_counter()
        try:
            with limited(limit):
                found = run()
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
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


@dataclass(frozen=True)
class Setting:
    """Where and how large."""

    device: torch.device
    small: tuple[int, int]
    sides: tuple[int, int]
    half: torch.dtype
    least: float

    @property
    def on_cuda(self) -> bool:
        return self.device.type == "cuda"

    @property
    def precisions(self) -> list[str]:
        return ["fp32", "fp16", "bf16"] if self.on_cuda else ["fp32", "bf16"]


def release() -> None:
    """The device and PyTorch's settings as at the start."""
    tf32(True)
    torch.backends.cudnn.benchmark = False
    if torch.cuda.is_available():
        torch.cuda.set_per_process_memory_fraction(1.0)
        torch.cuda.empty_cache()


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def tf32(on: bool) -> None:
    torch.backends.cudnn.allow_tf32 = on


def photograph(height: int, width: int) -> Picture:
    """Colour with detail at every scale and hard edges, (h, w, 3) uint8; the same everywhere."""
    random = np.random.default_rng(7)
    side = 256
    distance = np.hypot(*np.meshgrid(np.fft.fftfreq(side), np.fft.fftfreq(side)))
    spectrum = np.fft.fft2(random.standard_normal((3, side, side))) / (distance + 1 / side)
    waves = np.fft.ifft2(spectrum).real.transpose(1, 2, 0)
    tile = 128 + 45 * waves / waves.std() @ np.array([[1, 0.8, 0.7], [0, 0.5, 0], [0.2, 0, 0.5]])
    tile[60:120, 30:90] = 250
    tile[80:100, 50:70] = (10, 30, 160)
    cv2.circle(tile, (170, 150), 50, (20.0, 90.0, 30.0), 3, cv2.LINE_AA)
    tile = np.ascontiguousarray(tile.clip(0, 255).astype(np.uint8))
    whole: Picture = np.tile(tile, (-(-height // side), -(-width // side), 1))
    return whole[:height, :width].copy()


def median_wall(run: Callable[[], Any], where: Setting) -> float:
    """Median seconds on the host's clock, the device waited for."""
    run()
    wait(where.device)
    times: list[float] = []
    while len(times) < 3 or (sum(times) < where.least and len(times) < 50):
        began = time.perf_counter()
        run()
        wait(where.device)
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def median_device(run: Callable[[], Any], where: Setting) -> float:
    """Median seconds between two events on the device."""
    if not where.on_cuda:
        return median_wall(run, where)
    run()
    wait(where.device)
    times: list[float] = []
    while len(times) < 3 or (sum(times) < where.least and len(times) < 50):
        first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        first.record()
        run()
        last.record()
        last.synchronize()
        times.append(first.elapsed_time(last) / 1e3)
    return statistics.median(times)


# --- Real-ESRGAN's network, with random weights ---------------------------------------------------


class Dense(nn.Module):
    """Five convolutions, each on all before it; the result scaled by 0.2 and added."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        widths = [features + i * growth for i in range(5)]
        outputs = [growth] * 4 + [features]
        self.convs = nn.ModuleList(
            nn.Conv2d(w, o, 3, padding=1) for w, o in zip(widths, outputs, strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        seen = [x]
        for layer in self.convs[:4]:
            seen.append(nn.functional.leaky_relu(layer(torch.cat(seen, 1)), 0.2, inplace=True))
        last: Tensor = self.convs[4](torch.cat(seen, 1))
        return last * 0.2 + x


class Rrdb(nn.Module):
    """Three dense blocks, scaled by 0.2 and added."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        self.dense = nn.Sequential(*(Dense(features, growth) for _ in range(3)))

    def forward(self, x: Tensor) -> Tensor:
        branch: Tensor = self.dense(x)
        return branch * 0.2 + x


class RrdbNet(nn.Module):
    """x4plus in shape: 23 blocks of 64 features, growth 32, two nearest-neighbour doublings."""

    def __init__(self, blocks: int, features: int = 64, growth: int = 32) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(3, features, 3, padding=1)
        self.body = nn.Sequential(
            *(Rrdb(features, growth) for _ in range(blocks)),
            nn.Conv2d(features, features, 3, padding=1),
        )
        self.ups = nn.ModuleList(nn.Conv2d(features, features, 3, padding=1) for _ in range(3))
        self.last = nn.Conv2d(features, 3, 3, padding=1)
        nn.init.constant_(cast(Tensor, self.last.bias), 0.5)

    def forward(self, lr: Tensor) -> Tensor:
        head = self.first(lr)
        x = head + self.body(head)
        for index, layer in enumerate(self.ups):
            x = nn.functional.interpolate(x, scale_factor=2, mode="nearest") if index < 2 else x
            x = nn.functional.leaky_relu(layer(x), 0.2, inplace=True)
        sr: Tensor = self.last(x)
        return sr


def rrdb(blocks: int) -> SRModel:
    """The network as the loader for other tools' files hands it to the engine."""
    return ForeignModel(
        SimpleNamespace(
            architecture=SimpleNamespace(name="RRDB"),
            scale=SCALE,
            model=RrdbNet(blocks).eval().requires_grad_(False),
            input_channels=3,
            size_requirements=SimpleNamespace(minimum=0, multiple_of=1, square=False),
            supports_half=True,
            supports_bfloat16=True,
        )
    )


@lru_cache
def network(name: str, where: Setting) -> SRModel:
    """Loaded once; nothing here changes it."""
    if name == "rrdb":
        return rrdb(23 if where.on_cuda else 1)
    return load_model(SHIPPED[name], scale=SCALE).network


# --- Drafts ---------------------------------------------------------------------------------------


class CudnnRelu(nn.Module):
    """A convolution with its bias and the ReLU after it in one cuDNN call."""

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        c = self.layer
        result: Tensor = torch.cudnn_convolution_relu(
            x, c.weight, c.bias, c.stride, c.padding, c.dilation, c.groups
        )
        return result


def fuse_cudnn(net: nn.Module) -> int:
    """Fuse what is there to fuse, in place; how many layers."""
    count = 0
    for part in [m for m in net.modules() if isinstance(m, nn.Sequential)]:
        names = list(part._modules)
        for one, two in pairwise(names):
            layer, activation = part._modules[one], part._modules[two]
            if isinstance(layer, nn.Conv2d) and isinstance(activation, nn.ReLU):
                part._modules[one], part._modules[two] = CudnnRelu(layer), nn.Identity()
                count += 1
    return count


class Direct(Upscaler):
    """Integers go to the device and come back; one ordinary copy each way."""

    def _to_tensor(self, pixels: Picture, top: float) -> Tensor:
        whole = torch.from_numpy(np.ascontiguousarray(pixels)).to(self.device)
        whole = whole[None, None] if whole.ndim == 2 else whole.permute(2, 0, 1)[None]
        return whole.float().div_(top)

    @torch.inference_mode()
    def _compute_tile(
        self, sr: Picture, read: Picture, tile: Tile, axes: Any, resampling: Any, exact: bool
    ) -> None:
        assert resampling is None
        target, inner_r, inner_c = _places(sr, tile, self.scale)
        top = float(np.iinfo(read.dtype).max)
        y = self._average(self._to_tensor(read, top), exact)
        target[...] = _integers(y, inner_r, inner_c, top).cpu().numpy().reshape(target.shape)


class Overlapped(Upscaler):
    """Pinned copies on a stream of their own; a tile is stored while the next is computed."""

    THREADS = 4

    @torch.inference_mode()
    def __call__(
        self, lr: Picture, on_tile: Any = None, *, size: Any = None, **options: Any
    ) -> Picture:
        h, w = lr.shape[:2]
        sr = empty_pixels((h * self.scale, w * self.scale, *lr.shape[2:]), lr.dtype)
        sides = zip((h, w), self.wraps, strict=True)
        axes = (self._axis(side, self.halo, wrap) for side, wrap in sides)
        tiles = plan_tiles(*axes, tile=self.tile, halo=self.halo)
        self._pool = getattr(self, "_pool", None) or ThreadPoolExecutor(self.THREADS)
        self._pin = self.device.type == "cuda"
        if self._pin:
            self._stream = getattr(self, "_stream", None) or torch.cuda.Stream(self.device)
        before: tuple[Any, ...] | None = None
        for tile in tiles:
            now = self._start(sr, lr, tile)
            if before is not None:
                self._finish(*before)
            before = now
        assert before is not None
        self._finish(*before)
        return sr

    def _start(self, sr: Picture, lr: Picture, tile: Tile) -> tuple[Any, ...]:
        target, inner_r, inner_c = _places(sr, tile, self.scale)
        top = float(np.iinfo(lr.dtype).max)
        part = self._read(lr, tile)
        pinned = torch.empty(part.shape, dtype=torch.uint8, pin_memory=self._pin)
        pinned.numpy()[...] = part
        x = pinned.to(self.device, non_blocking=True).permute(2, 0, 1)[None].float().div_(top)
        y = self._upscale_tile(self._nets[0], 0, x)
        total = y.sum()
        pixels = _integers(y, inner_r, inner_c, top)
        if not self._pin:
            return None, pixels, total, target, pinned
        back = torch.empty(pixels.shape, dtype=torch.uint8, pin_memory=True)
        checked = torch.empty((), pin_memory=True)
        self._stream.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(self._stream):
            back.copy_(pixels, non_blocking=True)
            checked.copy_(total, non_blocking=True)
        for tensor in (pixels, total):
            tensor.record_stream(self._stream)
        done = torch.cuda.Event()
        done.record(self._stream)
        return done, back, checked, target, pinned

    def _finish(self, done: Any, back: Tensor, checked: Tensor, target: Picture, _: Tensor) -> None:
        if done is not None:
            done.synchronize()
        assert np.isfinite(float(checked))
        source = back.numpy()
        bands = np.array_split(np.arange(len(source)), self.THREADS)
        jobs = [
            self._pool.submit(np.copyto, target[b[0] : b[-1] + 1], source[b[0] : b[-1] + 1])
            for b in bands
            if len(b)
        ]
        for job in jobs:
            job.result()


def _places(sr: Picture, tile: Tile, s: int) -> tuple[Picture, slice, slice]:
    r, c = tile.rows, tile.columns
    target = sr[r.start * s : r.stop * s, c.start * s : c.stop * s]
    inner_r = slice((r.start - r.first) * s, (r.stop - r.first) * s)
    inner_c = slice((c.start - c.first) * s, (c.stop - c.first) * s)
    return target, inner_r, inner_c


def _integers(y: Tensor, inner_r: slice, inner_c: slice, top: float) -> Tensor:
    """(1, C, h, w) about [0, 1] -> the core as (h, w, C) uint8, on the device."""
    core = y[0, :, inner_r, inner_c].mul_(top).add_(0.5).clamp_(0, top).to(torch.uint8)
    return core.permute(1, 2, 0).contiguous()


# --- Checks ---------------------------------------------------------------------------------------


def machine(board: Board, where: Setting) -> dict[str, Any]:
    found: dict[str, Any] = {"torch": torch.__version__, "cpus": os.cpu_count()}
    began = time.perf_counter()
    found["imports"] = round(began - BEGAN, 1)
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
    model, side = network(name, where), where.sides[0]
    lr = photograph(side, side)
    upscaler = Upscaler(model, device=where.device.type, precision="auto", tile=WHOLE)
    whole = upscaler(lr)
    if not where.on_cuda:
        board.say(f"{name:6s} out of memory: only on CUDA")
        return {}
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
        relu = copy.deepcopy(net)
        if fuse_cudnn(relu):
            tried("net engine cudnn relu", lambda: median_device(lambda: each(relu, given), where))
            difference = relu(given[0]) - net(given[0])
            found["cudnn relu off by"] = float(difference.abs().max()) * 255
            del difference
        del relu
    reference = upscaler(lr)
    for label, kind in (("direct", Direct), ("overlapped", Overlapped)):
        draft = copy.copy(upscaler)
        draft.__class__ = kind
        tried(f"end {label}", partial(median_wall, partial(draft, lr), where))
        found[f"{label} off by"] = int(np.abs(draft(lr).astype(np.int16) - reference).max())
        del draft


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
    core = _integers(y.clone(), slice(0, h), slice(0, w), 255.0)
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
    on_device("device: to uint8 hwc", lambda: _integers(y, slice(0, h), slice(0, w), 255.0))
    host("out: three planes pageable", lambda: [p.cpu() for p in planes])
    host("out: one hwc pageable", core.cpu)
    host("host: merge", lambda: cv2.merge(on_host))
    host("host: store, warm pages", lambda: np.copyto(warm, joined))
    host(
        "host: store, fresh pages",
        lambda: np.copyto(empty_pixels(joined.shape, joined.dtype), joined),
    )
    host("host: fresh pinned buffer", lambda: torch.empty(core.shape, dtype=torch.uint8))
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


def run_all(board: Board, where: Setting) -> None:
    small, large = where.sides
    board.check("machine", lambda: machine(board, where), 40)
    for name in SHIPPED:
        board.check(f"equality {name}", partial(equality, board, where, name), 12)
    for name in ("edsr", "rrdb"):
        board.check(f"memory {name}", partial(memory, board, where, name), 10)
    for name, side in (("edsr", small), ("edsr", large), ("rrdb", small), ("rrdb", large)):
        board.check(f"speed {name} {side}", partial(speed, board, where, name, side), 20)
    board.check("breakdown edsr", lambda: breakdown(board, where, "edsr"), 10)
    board.check("kernels edsr", lambda: kernels(board, where, "edsr"), 10)
    board.check("compile edsr", partial(compiled, board, where, "edsr", small, False), 30)
    board.check("command line", lambda: command_line(board, where), 30)
    for name, side in (("espcn", large), ("srgan", small), ("photo", small), ("photo", large)):
        board.check(f"speed {name} {side}", partial(speed, board, where, name, side), 12)
    board.check("breakdown srgan", lambda: breakdown(board, where, "srgan"), 8)
    board.check("kernels rrdb", lambda: kernels(board, where, "rrdb"), 8)
    board.check("compile engine", partial(compiled, board, where, "edsr", small, True), 30)
    board.check("compile rrdb", partial(compiled, board, where, "rrdb", small, False), 40)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--tiny", action="store_true", help="sizes for trying the script")
    parser.add_argument("--seconds", type=float, default=100.0, help="for everything together")
    parser.add_argument("--out", type=Path, default=Path(os.environ.get("OUT", "gpu-results")))
    options = parser.parse_args()
    on_cuda = options.device == "cuda"
    where = Setting(
        torch.device(options.device),
        (40, 72) if options.tiny else (120, 168),
        (32, 64) if options.tiny else (512, 2048),
        torch.float16 if on_cuda else torch.bfloat16,
        0.05 if options.tiny else 0.3,
    )
    board = Board(options.out, options.seconds)

    def give_up() -> None:
        board.lines.append("stopped: a call did not return")
        board.end()
        os._exit(1)

    watch = threading.Timer(options.seconds + 15, give_up)
    watch.daemon = True
    watch.start()
    try:
        run_all(board, where)
    finally:
        watch.cancel()
        board.end()
    # Compilers' helpers and CUDA's own threads are not waited for.
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
