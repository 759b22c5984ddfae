"""Make a trained checkpoint a released one: flat colours, float16, halo, figures, manifest.

    python tools/release.py edsr-x4.safetensors edsr-baseline-x4 --test-sets DIR --pictures DIR

DIR holds Set5, Set14 and BSD100 as folders of originals. The file goes into the package, its
entry into weights_manifest.json. Figures are measured at the machine's default precision.
"""

from __future__ import annotations

import argparse
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from unittest.mock import patch

import msgspec
import numpy as np
import torch

from sr_cli.engine.device import cpu_precisions, prepare_cpu
from sr_cli.engine.upscaler import Upscaler
from sr_cli.evaluation.lpips import LPIPS
from sr_cli.evaluation.metrics import psnr_y
from sr_cli.imaging.colour import luma
from sr_cli.imaging.decode import read_picture
from sr_cli.imaging.resize import crop_to_multiple, downscale_bicubic
from sr_cli.networks.base import SRModel
from sr_cli.registry.checkpoint import Header, load_checkpoint, save_checkpoint
from sr_cli.registry.manifest import FOLDER, Entry, as_json, installed_manifest, load_manifest
from sr_cli.registry.ref import load_model
from sr_cli.training.flat import calibrate_flat, flat_error
from sr_cli.training.network import round_all_to_bf16

MANIFEST = Path(__file__).resolve().parent.parent / "weights_manifest.json"
SETS = ("Set5", "Set14", "BSD100")
ALLOWED_COST = 0.008
"""Of the 0.01 dB that half precision may cost."""

ALLOWED_FLAT_ERROR = 0.7
"""In 8-bit steps: after rounding, at most one."""

SMALL = 200_000
"""Networks with fewer values keep float32: there is nothing to save."""

ALLOWED_DIFFERENCE = 3e-5
"""Of the 1e-4 that tiles may differ by: the probes are few, images are many."""


@torch.inference_mode()
def measured_halo(model: SRModel, pictures: list[np.ndarray]) -> int | None:
    """The smallest halo with which a tile's core equals the whole image's; None: the radius."""
    radius = model.receptive_radius
    if radius is None or radius <= 8:
        return None
    core = 64
    side = core + 2 * radius
    torch.manual_seed(0)
    probes = [
        torch.rand(1, model.channels, side, side),
        torch.rand(1, model.channels, side, side).round(),
    ]
    for picture in pictures:
        top, left = (picture.shape[0] - side) // 2, (picture.shape[1] - side) // 2
        if min(top, left) >= 0:
            crop = picture[top : top + side, left : left + side]
            x = torch.tensor(crop).float().permute(2, 0, 1)[None] / 255
            probes.append(x if model.channels == 3 else x.mean(1, keepdim=True))
    net = model.for_inference()
    wholes = [net(p) for p in probes]
    s = model.scale

    def is_enough(halo: int) -> bool:
        cut = slice(radius - halo, radius + core + halo)
        inner = slice(radius * s, (radius + core) * s)
        worst = 0.0
        for probe, whole in zip(probes, wholes, strict=True):
            part = net(probe[:, :, cut, cut])[:, :, halo * s : -halo * s, halo * s : -halo * s]
            worst = max(worst, float((part - whole[:, :, inner, inner]).abs().max()))
        return worst <= ALLOWED_DIFFERENCE

    halos = range(4, radius, 2)
    place = bisect_left(halos, True, key=is_enough)
    return halos[place] if place < len(halos) else None


def lr_tensor(picture: np.ndarray, model: SRModel) -> torch.Tensor:
    """The lr of a training image as the network gets it: (C, h, w) in [0, 1]."""
    lr = downscale_bicubic(picture, model.scale)
    if model.channels == 1:
        return torch.from_numpy(luma(lr) / 255).float()[None]
    return torch.from_numpy(lr).permute(2, 0, 1).float() / 255


@contextmanager
def bf16_anywhere() -> Iterator[None]:
    """bf16 also on a CPU without it: PyTorch's own convolutions, many times slower."""
    if "bf16" in cpu_precisions():
        yield
        return
    with ExitStack() as changed:
        changed.enter_context(torch.backends.mkldnn.flags(enabled=False))
        device = "sr_cli.engine.device.cpu_precisions"
        changed.enter_context(patch(device, lambda: ("fp32", "bf16")))
        for place in ("layers.fusion",):
            changed.enter_context(patch(f"sr_cli.{place}.fusion_works", lambda: False))
        yield


def half_is_safe(model: SRModel, sets: dict[str, list[np.ndarray]]) -> bool:
    """Whether half precision costs less than 0.01 dB, and keeps flat colours."""
    if not model.for_inference().half_parts():
        return True
    cost = half_cost(model, [p for n in ("Set5", "Set14") for p in sets[n]])
    return cost < ALLOWED_COST and half_keeps_flat(model)


def half_cost(model: SRModel, pictures: list[np.ndarray]) -> float:
    """The PSNR-Y, in dB, that bf16 costs on Set5 or on Set14, whichever is more."""
    hrs = [crop_to_multiple(picture, model.scale) for picture in pictures]
    lrs = [downscale_bicubic(hr, model.scale) for hr in hrs]
    exact = Upscaler(model, precision="fp32")
    exacts = [exact(lr) for lr in lrs]
    with bf16_anywhere():
        half = Upscaler(model, precision="bf16")
        halves = [half(lr) for lr in lrs]
    losses = [
        psnr_y(e, hr, border=model.scale) - psnr_y(h, hr, border=model.scale)
        for e, h, hr in zip(exacts, halves, hrs, strict=True)
    ]
    print(f"bf16 costs {np.mean(losses[:5]):.4f} dB on Set5, {np.mean(losses[5:]):.4f} on Set14")
    return float(max(np.mean(losses[:5]), np.mean(losses[5:])))


@bf16_anywhere()
def half_keeps_flat(model: SRModel) -> bool:
    """Whether bf16 leaves flat colours within one 8-bit step, away from the edges."""
    half = Upscaler(model, precision="bf16")
    random = np.random.default_rng(0)
    colours = np.vstack([np.eye(3) * 255, 255 - np.eye(3) * 255, random.integers(0, 256, (60, 3))])
    colours = np.vstack([colours, np.zeros((1, 3)), np.full((1, 3), 255)]).astype(np.uint8)
    worst = 0
    for colour in colours:
        made = half(np.broadcast_to(colour, (48, 48, 3)).copy()).astype(int)
        inner = slice(16 * model.scale, -16 * model.scale)
        worst = max(worst, int(np.abs(made[inner, inner] - colour).max()))
    print(f"bf16 leaves flat colours up to {worst} off")
    return worst <= 1


def rgb(picture: np.ndarray) -> np.ndarray:
    """Gray as three equal channels."""
    return picture if picture.ndim == 3 else np.dstack([picture] * 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("id")
    parser.add_argument("--test-sets", type=Path, required=True)
    parser.add_argument("--pictures", type=Path, required=True, help="training pictures")
    parser.add_argument("--lpips", type=Path, help="LPIPS's AlexNet, to measure that as well")
    parser.add_argument(
        "--data", help="what it was trained on, where the folders' names do not say"
    )
    parser.add_argument(
        "--default", action="store_true", help="for -m NETWORK; a default stays one"
    )
    options = parser.parse_args()
    prepare_cpu()
    model, header = load_checkpoint(options.checkpoint, scale=int(options.id.rsplit("-x", 1)[1]))
    if not header.licence:
        parser.error(f"{options.checkpoint} names no licence: sr train --licence")
    s = model.scale
    sets = read_sets(options.test_sets)
    pictures = [read_picture(p).frames[0].pixels for p in sorted(options.pictures.iterdir())[::16]]
    print(f"flat colours: up to {flat_error(model):.2f} off", end="", flush=True)
    if flat_error(model) > ALLOWED_FLAT_ERROR:
        model = calibrate_flat(model, [lr_tensor(p, model) for p in pictures])
        if header.recipe.get("rounded_weights"):
            model.load_state_dict(round_all_to_bf16(model.state_dict()))
        print(f", calibrated {flat_error(model):.2f}", end="")
    print()
    halo = measured_halo(model, pictures)
    safe = half_is_safe(model, sets)
    tensors = model.state_dict()
    if sum(t.numel() for t in tensors.values()) > SMALL:
        tensors = {n: t.half() if t.dtype == torch.float32 else t for n, t in tensors.items()}
    family = options.id.rsplit("-x", 1)[0]
    scales = header.scales if model.one_set_of_weights else [s]
    target = FOLDER / f"{family if model.one_set_of_weights else options.id}.safetensors"
    FOLDER.mkdir(exist_ok=True)
    data = options.data or header.data
    header = replace(header, data=data, scales=scales, halo=halo, half_is_safe=safe)
    save_checkpoint(target, header, tensors)
    lpips = LPIPS("alex", options.lpips) if options.lpips else None
    publish(target, header, tensors, sets, lpips, default=options.default)
    print(f"halo {halo}, half precision {safe}, {target.stat().st_size >> 10} KiB")


def publish(
    target: Path,
    header: Header,
    tensors: dict[str, torch.Tensor],
    sets: dict[str, list[np.ndarray]],
    lpips: LPIPS | None,
    *,
    default: bool = False,
) -> None:
    """Measure a checkpoint in the package, and write its figures into it and into the manifest."""
    stem = target.stem
    family = stem if len(header.scales) > 1 else stem.rsplit("-x", 1)[0]
    figures = {}
    for scale in header.scales:
        figures[scale] = measure(Upscaler(load_model(target, scale=scale)), sets, scale, lpips)
        print(f"{family}-x{scale}: {figures[scale]}", flush=True)
    told = (
        {f"x{s} {name}": value for s in header.scales for name, value in figures[s].items()}
        if len(header.scales) > 1
        else figures[header.scales[0]]
    )
    save_checkpoint(target, replace(header, figures=told), tensors)
    content = target.read_bytes()
    installed_manifest.cache_clear()
    manifest = load_manifest()
    defaults = {e.id for e in manifest.weights if e.default}
    once = {e.id for e in manifest.weights if e.once}
    ours = [
        Entry(
            id=f"{family}-x{scale}",
            network=header.model,
            scale=scale,
            file=target.name,
            bytes=len(content),
            sha256=sha256(content).hexdigest(),
            parameters=sum(p.numel() for p in load_model(target, scale=scale).network.parameters()),
            licence=header.licence,
            default=default or f"{family}-x{scale}" in defaults,
            figures=figures[scale],
            data=header.data,
            once=f"{family}-x{scale}" in once,
        )
        for scale in header.scales
    ]
    entries = [e for e in manifest.weights if e.id not in {o.id for o in ours}] + ours
    entries.sort(key=lambda e: (bool(e.url), e.id))
    changed = msgspec.structs.replace(manifest, weights=tuple(entries))
    MANIFEST.write_text(as_json(changed), encoding="utf-8")


def read_sets(folder: Path) -> dict[str, list[np.ndarray]]:
    """The originals of the test sets, by name."""
    return {
        name: [read_picture(p).frames[0].pixels for p in sorted((folder / name).iterdir())]
        for name in SETS
    }


def measure(
    upscaler: Upscaler, sets: dict[str, list[np.ndarray]], s: int, lpips: LPIPS | None
) -> dict[str, float]:
    """Mean PSNR-Y, and LPIPS, on each set."""
    figures = {}
    for name, pictures in sets.items():
        values, distances = [], []
        for picture in pictures:
            hr = crop_to_multiple(picture, s)
            sr = upscaler(downscale_bicubic(hr, s))
            values.append(psnr_y(sr, hr, border=s))
            if lpips is not None:
                distances.append(lpips.distance(*(rgb(p) for p in (sr, hr))))
        figures[f"{name} PSNR-Y"] = round(float(np.mean(values)), 3)
        if distances:
            figures[f"{name} LPIPS"] = round(float(np.mean(distances)), 4)
    return figures


if __name__ == "__main__":
    main()
