"""tools/from_edsr.py: a trained EDSR starts other networks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from helpers.images import save, smooth
from helpers.tools import run_tool

from sr_cli.networks import create_model
from sr_cli.registry.checkpoint import Header, save_checkpoint
from sr_cli.registry.ref import load_model


def started(tmp_path: Path, kind: str, scale: int, *more: str) -> tuple[torch.Tensor, torch.Tensor]:
    """What a small EDSR and the network started from it make of a picture."""
    torch.manual_seed(0)
    edsr = create_model("edsr", scale=scale, blocks=4, features=8)
    for parameter in edsr.parameters():
        torch.nn.init.normal_(parameter, std=0.15)
    header = Header(model="edsr", config=edsr.config, scales=[scale])
    save_checkpoint(tmp_path / "edsr.safetensors", header, edsr.state_dict())
    for number in range(3):
        save(tmp_path / f"{number}.png", 256, 256, seed=number)
    command = ("from_edsr", "edsr.safetensors", "--to", kind, "--scale", scale)
    done = run_tool(*command, "-o", "start.safetensors", *more, cwd=tmp_path)
    assert done.returncode == 0, done.stderr.decode()
    x = torch.from_numpy(smooth(48, 52)).permute(2, 0, 1)[None] / np.float32(255)
    with torch.inference_mode():
        made = load_model(tmp_path / "start.safetensors").network(x)
        return made, edsr.eval()(x)


def test_srresnet_starts_as_the_same_function(tmp_path: Path) -> None:
    for scale in (2, 3, 4):
        made, wanted = started(tmp_path, "srresnet", scale, "--data", ".")
        inside = slice(18 * scale, -18 * scale)
        # Its border differs: EDSR pads after it has subtracted a mean.
        difference = (made - wanted)[..., inside, inside].abs().max()
        assert float(difference) < 1e-3 * float(wanted.abs().max())


def test_rcan_starts_with_edsrs_layers(tmp_path: Path) -> None:
    made, wanted = started(tmp_path, "rcan", 2, "--groups", "2")
    assert made.shape == wanted.shape
    rcan = load_model(tmp_path / "start.safetensors").network
    edsr = load_model(tmp_path / "edsr.safetensors").network
    assert rcan.config["groups"] == rcan.config["blocks"] == 2
    first, last = rcan.body[0].branch[0].branch[0], rcan.body[1].branch[1].branch[0]
    assert torch.equal(first.weight, edsr.body[0].branch[0].weight)
    assert torch.equal(last.weight, edsr.body[3].branch[0].weight)
