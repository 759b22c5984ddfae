"""Make a trained checkpoint a released one: float16, measured halo, figures, manifest entry.

    python recipes/release.py edsr-x4.safetensors edsr-baseline-x4 --test-sets DIR [--default]

DIR holds Set5, Set14 and BSD100 as folders of originals. The file goes into the package, its
entry into weights_manifest.json. Figures are measured at the machine's default precision.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch

from sr_cli.evaluation.metrics import psnr_y
from sr_cli.imaging.decode import read_picture
from sr_cli.imaging.resize import crop_to_multiple, downscale_bicubic
from sr_cli.inference.device import prepare_cpu
from sr_cli.inference.upscaler import Upscaler
from sr_cli.models.base import SRModel
from sr_cli.weights.checkpoint import load_checkpoint, save_checkpoint
from sr_cli.weights.manifest import FOLDER, SCHEMA, Entry, load_manifest

MANIFEST = Path(__file__).resolve().parent.parent / "weights_manifest.json"
SETS = ("Set5", "Set14", "BSD100")
ALLOWED_DIFFERENCE = 3e-5
"""Of the 1e-4 that tiles may differ by: the probes are few, pictures are many."""


@torch.inference_mode()
def measured_halo(model: SRModel, pictures: list[np.ndarray]) -> int | None:
    """The smallest halo with which a tile's core equals the whole picture's; None: the radius."""
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
            x = torch.from_numpy(crop).float().permute(2, 0, 1)[None] / 255
            probes.append(x if model.channels == 3 else x.mean(1, keepdim=True))
    net = model.for_inference()
    wholes = [net(p) for p in probes]
    s = model.scale
    for halo in range(4, radius, 2):
        cut = slice(radius - halo, radius + core + halo)
        worst = 0.0
        for probe, whole in zip(probes, wholes, strict=True):
            part = net(probe[:, :, cut, cut])[:, :, halo * s : -halo * s, halo * s : -halo * s]
            inner = slice(radius * s, (radius + core) * s)
            worst = max(worst, float((part - whole[:, :, inner, inner]).abs().max()))
        if worst <= ALLOWED_DIFFERENCE:
            return halo
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("id")
    parser.add_argument("--test-sets", type=Path, required=True)
    parser.add_argument("--default", action="store_true")
    options = parser.parse_args()
    prepare_cpu()
    model, header = load_checkpoint(options.checkpoint, scale=int(options.id.rsplit("-x", 1)[1]))
    s = model.scale
    sets = {
        name: [
            read_picture(p).frames[0].pixels for p in sorted((options.test_sets / name).iterdir())
        ]
        for name in SETS
    }
    colour = [p for p in sets["Set14"] if p.ndim == 3]
    halo = measured_halo(model, colour)
    tensors = {
        n: t.half() if t.dtype == torch.float32 else t for n, t in model.state_dict().items()
    }
    target = FOLDER / f"{options.id}.safetensors"
    FOLDER.mkdir(exist_ok=True)
    save_checkpoint(target, replace(header, scales=[s], halo=halo), tensors)
    model, header = load_checkpoint(target)
    upscaler = Upscaler(model)
    figures = {}
    for name, pictures in sets.items():
        values = []
        for picture in pictures:
            hr = crop_to_multiple(picture, s)
            values.append(psnr_y(upscaler(downscale_bicubic(hr, s)), hr, border=s))
        figures[f"{name} PSNR-Y"] = round(float(np.mean(values)), 3)
    save_checkpoint(target, replace(header, figures=figures), tensors)
    content = target.read_bytes()
    entry = Entry(
        id=options.id,
        network=header.model,
        scale=s,
        file=target.name,
        bytes=len(content),
        sha256=sha256(content).hexdigest(),
        parameters=sum(p.numel() for p in model.parameters()),
        licence=header.licence,
        default=options.default,
        figures=figures,
        data=header.data,
    )
    manifest = load_manifest()
    entries = [e for e in manifest.entries if e.id != entry.id] + [entry]
    entries.sort(key=lambda e: e.id)
    document = {
        "schema": SCHEMA,
        "general": manifest.general,
        "weights": [asdict(e) for e in entries],
    }
    MANIFEST.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    print(f"{entry.id}: halo {halo}, {figures}")


if __name__ == "__main__":
    main()
