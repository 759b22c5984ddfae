"""What a network of another tool needs and how it runs best here, measured once for each file."""

from __future__ import annotations

import copy
import math
import time
from dataclasses import dataclass, replace

import msgspec
import torch
from torch import Tensor, nn

from sr_cli.engine.device import DTYPE_NAMES
from sr_cli.engine.findings import Findings, HalfPrecision, Place
from sr_cli.engine.textured import textured_image
from sr_cli.engine.tiling_probe import TileNeeds, measure_tile_needs
from sr_cli.errors import SrError
from sr_cli.networks.base import InferenceNet, SRModel
from sr_cli.registry.foreign import ForeignModel, Needs
from sr_cli.registry.loaded import LoadedModel
from sr_cli.system.cache import Measurements

_SIDE = 48
_SMALL = 16
_SMALL_SIDES = (1, 2, 4, 8, 16, 32, 64)

_SAME = 0.5 / 255
"""Differences below are those of another order of summation."""

_NOT_SLOWER = 1.05
"""The share of the time of the network as published that channels_last may take."""

_TIMED_SECONDS = 0.2
_MOST_CALLS = 8


def prepare(model: SRModel, dtype: torch.dtype, device: torch.device) -> InferenceNet:
    """The network in the form in which images are computed: fused, in its fastest memory format."""
    net = model.for_inference().set_precision(dtype).to(device)
    if net.channels_last:
        net = net.to(memory_format=torch.channels_last)
        net.fuse()
    return net


def probe_model(model: LoadedModel, place: Place) -> LoadedModel:
    """The model with measured traits; for a file that was measured before, as remembered.

    Args:
        model: Checkpoints of sr, which state their traits, are returned unchanged.
        place: Where it runs; with float32, half precision is not measured.

    Raises:
        SrError: `network-failed` if the network does not run there at all.
    """
    if not model.sha256:
        return model
    findings = probe(model, place)
    network, traits = model.network, model.traits
    if isinstance(network, ForeignModel):
        network.needs = findings.needs
    traits = replace(
        traits,
        half_is_safe=findings.half is not None and findings.half.is_used,
        size_multiple=findings.multiple,
        smallest_side=findings.least,
    )
    if tiles := findings.tiles:
        traits = replace(
            traits,
            halo=tiles.halo,
            margin=tiles.margin,
            grid=tiles.grid,
            tile_difference=tiles.difference,
        )
    return replace(model, traits=traits)


def probe(model: LoadedModel, place: Place) -> Findings:
    """Measure a network, unless its file was measured before on this machine.

    Raises:
        SrError: `network-failed`.
    """
    remembered, key = Measurements("probes.json"), f"{model.sha256} {place.key}"
    try:
        return msgspec.convert(remembered.read(key), Findings)
    except msgspec.ValidationError:
        findings = _measure(model, place)
        remembered.write(key, msgspec.to_builtins(findings))
        return findings


@torch.inference_mode()
def _measure(model: LoadedModel, place: Place) -> Findings:
    network = model.network
    image = textured_image(_SIDE, _SIDE, network.channels).to(place.device)
    needs, tiles = Needs(), None
    # Each step relies on what the steps before found.
    if isinstance(network, ForeignModel):
        network.needs = _find_sizes(network, place.device)
    exact = _run_as_published(model, image)
    if isinstance(network, ForeignModel):
        network.needs = replace(network.needs, fresh=_keeps_state(network, image))
        fast = _run_in_channels_last(network, image)
        gains = fast is not None and _is_as_good(fast, exact)
        network.needs = needs = replace(network.needs, channels_last=gains)
        exact = fast if fast is not None and gains else exact
        tiles = _measure_tiles(model, needs, place.device)
    half = None
    if place.dtype != torch.float32:
        half = _compare_half(network, image, place.dtype, exact)
    return Findings(
        needs.least,
        needs.multiple,
        needs.square,
        needs.fresh,
        needs.channels_last,
        tiles,
        half,
    )


def _run_as_published(model: LoadedModel, image: Tensor) -> _Run:
    """Run the network in float32, without anything that makes it faster.

    Raises:
        SrError: `network-failed` if it raises, or returns no image of the right size.
    """
    network = copy.deepcopy(model.network).eval().to(image.device)
    wanted = (1, network.channels, *(side * network.scale for side in image.shape[2:]))
    try:
        run = _run(network, image)
    except Exception as error:
        # Networks of other tools raise errors of any type.
        reason = (str(error) or type(error).__name__).splitlines()[0]
    else:
        shape = tuple(run.result.shape)
        reason = "its result is not finite"
        if shape != wanted:
            reason = f"its result has shape {shape} instead of {wanted}"
        elif math.isfinite(float(run.result.sum())):
            return run
    raise _failed(model, image.device, reason)


def _measure_tiles(model: LoadedModel, needs: Needs, device: torch.device) -> TileNeeds:
    """What tiles of the network need, in the form in which images are computed.

    Raises:
        SrError: `network-failed` if it fails for images of another size.
    """
    network = model.network
    net = prepare(network, torch.float32, device)
    try:
        return measure_tile_needs(
            lambda lr: net(lr.to(device)).cpu(),
            channels=network.channels,
            scale=network.scale,
            multiple=needs.multiple,
        )
    except Exception as error:
        # Networks of other tools raise errors of any type.
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise _failed(model, device, reason) from error


def _failed(model: LoadedModel, device: torch.device, reason: str) -> SrError:
    return SrError(
        "network-failed",
        network=model.traits.architecture,
        precision="fp32",
        device=str(device),
        reason=reason[:160],
    )


def _find_sizes(network: ForeignModel, device: torch.device) -> Needs:
    """The smallest side and the multiple with which the network runs, at least those declared."""
    network = copy.deepcopy(network).eval().to(device)

    def runs(needs: Needs, height: int, width: int) -> bool:
        network.needs = needs
        try:
            result: Tensor = network(torch.rand(1, network.channels, height, width, device=device))
        except Exception:
            # Networks of other tools raise errors of any type.
            return False
        return tuple(result.shape[2:]) == (height * network.scale, width * network.scale)

    declared = replace(network.needs, fresh=False)
    multiples = [m for m in _SMALL_SIDES if m == 1 or m % declared.multiple == 0]
    for multiple in (declared.multiple, *(m for m in multiples if m > declared.multiple)):
        for least in (declared.least, *(s for s in _SMALL_SIDES if s > declared.least)):
            needs = replace(declared, least=least, multiple=multiple)
            if runs(needs, 1, 1) and runs(needs, least + 1, least + multiple + 2):
                return needs
    return declared


def _keeps_state(network: ForeignModel, image: Tensor) -> bool:
    """Whether a result depends on the calls before, if all are of the same copy."""
    network = copy.deepcopy(network).eval().to(image.device)
    small = image[..., :_SMALL, :_SMALL]
    first = network(small)
    network(1 - image[..., : _SMALL + 8, :_SMALL])
    return not _agree(network(small), first)


def _run_in_channels_last(network: ForeignModel, image: Tensor) -> _Run | None:
    """Run the network in the form for channels_last; None if it raises, as for 5-D parameters."""
    before = network.needs
    network.needs = replace(before, channels_last=True)
    try:
        return _run(prepare(network, torch.float32, image.device), image)
    except Exception:
        # Networks of other tools raise errors of any type.
        return None
    finally:
        network.needs = before


def _is_as_good(run: _Run, published: _Run) -> bool:
    """Whether the result is the same, and takes no longer."""
    is_slower = run.seconds > published.seconds * _NOT_SLOWER
    return _agree(run.result, published.result) and not is_slower


@torch.inference_mode()
def compare_half(network: SRModel, dtype: torch.dtype, device: torch.device) -> HalfPrecision:
    """Compare a half precision with float32 on the built-in image, away from its edges.

    Args:
        network: One of sr's own.
        dtype: The half precision.
        device: Where it runs.
    """
    image = textured_image(_SIDE, _SIDE, network.channels).to(device)
    exact = _run(prepare(network, torch.float32, device), image)
    return _compare_half(network, image, dtype, exact, edge=network.margin * network.scale)


def _compare_half(
    network: SRModel, image: Tensor, dtype: torch.dtype, exact: _Run, edge: int = 0
) -> HalfPrecision:
    """Compare a half precision with float32, in the form in which images are computed.

    Args:
        network: Of any origin.
        image: Its input.
        dtype: The half precision.
        exact: In float32.
        edge: Outer pixels of the result that do not count.
    """
    name = DTYPE_NAMES[dtype]
    try:
        half = _run(prepare(network, dtype, image.device), image)
    except Exception:
        # Networks of other tools raise errors of any type.
        return HalfPrecision(name)
    difference = exact.result.clamp(0, 1) - half.result.clamp(0, 1)
    difference = difference[..., edge : difference.shape[-2] - edge, edge : -edge or None]
    worst, square = float(difference.abs().max()), float(difference.square().mean())
    if not math.isfinite(square):
        return HalfPrecision(name)
    psnr = -10 * math.log10(max(square, 1e-12))
    share = half.seconds / exact.seconds
    return HalfPrecision(name, round(psnr, 1), round(worst * 255, 2), round(share, 3))


def _agree(result: Tensor, expected: Tensor) -> bool:
    return result.shape == expected.shape and bool((result - expected).abs().max() < _SAME)


@dataclass(frozen=True)
class _Run:
    """The result of the first call of a network, and the shortest time of a call in seconds."""

    result: Tensor
    seconds: float


def _run(net: nn.Module, image: Tensor) -> _Run:
    """Call a network twice, as the first call also prepares kernels, and again while it is fast."""
    result, _ = _timed(net, image)
    spent, seconds = 0.0, math.inf
    while spent < _TIMED_SECONDS:
        again = _timed(net, image)[1]
        seconds, spent = min(seconds, again), spent + max(again, _TIMED_SECONDS / _MOST_CALLS)
    return _Run(result, seconds)


def _timed(net: nn.Module, image: Tensor) -> tuple[Tensor, float]:
    # On a CPU, the time of all threads, which other work on the machine does not affect.
    kind = image.device.type
    clock = time.process_time if kind == "cpu" else time.perf_counter

    def wait() -> None:
        if kind == "cuda":
            torch.cuda.synchronize(image.device)
        elif kind == "mps":
            torch.mps.synchronize()

    wait()
    began = clock()
    result: Tensor = net(image)
    wait()
    return result, max(clock() - began, 1e-9)
