"""DISTS and NIQE: published figures, properties, and `sr benchmark`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import SHARED
from helpers.command import Run
from helpers.images import smooth
from PIL import Image

from sr_cli.errors import SrError
from sr_cli.evaluation.dists import DISTS, SMALLEST
from sr_cli.evaluation.measure import read_8_bit
from sr_cli.evaluation.niqe import niqe
from sr_cli.training.crops import Batch
from sr_cli.training.papers import default_recipe
from sr_cli.training.trainer import Trainer

TRUNK = SHARED / "reference" / "lpips_vgg16.safetensors"
needs_trunk = pytest.mark.skipif(not TRUNK.is_file(), reason="VGG16's weights are not here")


@needs_trunk
def test_dists_has_its_properties() -> None:
    dists = DISTS(TRUNK)
    image = smooth(64, 80)
    noise = np.random.default_rng(0).normal(0, 1, image.shape)
    noisy = [np.clip(image + s * noise, 0, 255).astype(np.uint8) for s in (0, 5, 15, 40)]
    found = [dists.distance(n, image) for n in noisy]
    assert found[0] == 0 and found == sorted(found) and found[-1] > 0.1
    assert dists.distance(image, noisy[2]) == pytest.approx(found[2], abs=1e-5), "symmetric"
    x = torch.full((1, 3, 32, 32), 0.5, requires_grad=True)
    dists(x, torch.rand(1, 3, 32, 32)).sum().backward()
    assert x.grad is not None and torch.isfinite(x.grad).all() and x.grad.abs().sum() > 0
    with pytest.raises(SrError) as caught:
        dists.distance(image[: SMALLEST - 1], image[: SMALLEST - 1])
    assert caught.value.code == "image-too-small"


@needs_trunk
def test_dists_is_kind_to_texture_in_another_place() -> None:
    """What it is for (section 1): a texture is closer to its mirror image than to its blur."""
    dists = DISTS(TRUNK)
    texture = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    blurred = np.full_like(texture, 128)
    assert dists.distance(texture[::-1], texture) < dists.distance(blurred, texture) / 3


def test_niqe_is_matlabs(test_sets: Path) -> None:
    """BasicSR's documentation quotes MATLAB R2021a on this image: 5.72957338."""
    baboon = read_8_bit(test_sets / "Set14" / "baboon.bmp")
    assert niqe(baboon, border=0) == pytest.approx(5.72957338, abs=1e-4)


def test_niqe_rises_with_noise_and_needs_two_blocks_that_vary() -> None:
    random = np.random.default_rng(0)
    image = smooth(200, 300).astype(float) + random.normal(0, 3, (200, 300, 1))
    found = [
        niqe(np.clip(image + random.normal(0, s, image.shape), 0, 255).astype(np.uint8), border=4)
        for s in (0, 40)
    ]
    assert found[0] < found[1]
    for shape, needed in (((199, 191), 104), ((100, 100), 200)):
        with pytest.raises(SrError) as caught:
            niqe(np.zeros(shape, np.uint8), border=4)
        if caught.value.code == "image-too-small":
            assert caught.value.facts["needed"] >= needed
    with pytest.raises(SrError) as caught:
        niqe(np.full((200, 300, 3), 7, np.uint8), border=0)
    assert caught.value.code == "niqe-undefined"


@needs_trunk
def test_benchmark(sr: Run, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    noise = np.random.default_rng(0).normal(0, 20, (208, 208, 3))
    Image.fromarray(np.clip(smooth(208, 208) + noise, 0, 255).astype(np.uint8)).save(
        tmp_path / "mine" / "a.png"
    )
    words = ("benchmark", "mine", "-m", "bicubic", "-x2", "--dists", "--trunk", str(TRUNK))
    figures = sr(*words, "--niqe", "--json").document["results"][0]["sets"]["mine"]
    assert 0 < figures["dists"] < 1 and figures["niqe"] > 0 and "lpips" not in figures
    table = sr(*words, "--csv").stdout.decode()
    assert "mine DISTS" in table and "NIQE" not in table
    for others, code in (
        (("--trunk", "x"), "option-requires"),
        (("--dists", "--check"), "conflicting-options"),
        (("--niqe", "--ocr", "eng"), "conflicting-options"),
    ):
        refused = sr("benchmark", "mine", *others)
        assert refused.returncode == 2 and f"error[{code}]".encode() in refused.stderr
    save_small = Image.new("RGB", (100, 100))
    save_small.save(tmp_path / "mine" / "b.png")
    failed = sr("benchmark", "mine", "-m", "bicubic", "-x2", "--niqe")
    assert failed.returncode == 1 and b"error[image-too-small]" in failed.stderr


@needs_trunk
def test_dists_as_a_loss_and_as_the_judge(sr: Run, tmp_path: Path) -> None:
    for number in range(3):
        Image.fromarray(smooth(64, 64, seed=number)).save(tmp_path / f"{number}.png")
    words = ("train", "-m", "edsr", "-x2", "--data", ".", "--steps", "2", "--lr-patch", "16",
             "--batch", "2", "--set", "config.blocks=1", "--set", "config.features=8")  # fmt: skip
    done = sr(*words, "--set", "losses.dists=0.1", "--set", "validate=dists", "--trunk", TRUNK,
              "-o", "a.safetensors")  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    logged = json.loads((tmp_path / "a.run" / "log.jsonl").read_text().splitlines()[-1])
    assert 0 < logged["losses"]["dists"] < 1 and 0 < logged["best"] < 1
    refused = sr("train", "-m", "espcn", "-x2", "--data", ".", "--set", "validate=dists")
    assert refused.returncode == 2 and b"error[loss-needs-rgb]" in refused.stderr


def test_the_teacher_gives_way_to_the_truth() -> None:
    losses = {"l1": 1.0, "teacher": 0.5}
    recipe = default_recipe(
        "espcn", (2,), losses=losses, teacher="espcn-x2", teacher_until=0.5, batch=1, lr_patch=8
    )
    trainer = Trainer(recipe, device=torch.device("cpu"))
    lr, hr = torch.rand(1, 1, 8, 8), torch.rand(1, 1, 16, 16)
    batch = Batch(lr, hr, lr.expand(1, 3, 8, 8), 2)
    weights = {0.0: (0.0, 0.5), 0.25: (0.5, 0.25), 0.5: (1.0, 0.0), 1.0: (1.0, 0.0)}
    for done, (l1, teacher) in weights.items():
        trainer.set_learning_rate(done)
        _, parts, total = trainer._forward(lr, hr, batch)
        # What does not count is not computed: the teacher's pass would take most of the time.
        assert ("l1" in parts, "teacher" in parts) == (bool(l1), bool(teacher))
        wanted = l1 * float(parts.get("l1", 0)) + teacher * float(parts.get("teacher", 0))
        assert float(total.detach()) == pytest.approx(wanted, rel=1e-5)


def test_teacher_until_needs_a_teacher_and_a_truth(sr: Run, photos: Path) -> None:
    words = ("train", "-m", "espcn", "-x2", "--data", str(photos), "--set", "teacher_until=0.5")
    for more in ((), ("--set", "losses={teacher=1.0}", "--set", "teacher=espcn-x2")):
        refused = sr(*words, *more)
        assert refused.returncode == 2 and b"error[option-requires]" in refused.stderr


def test_ldl_is_trained_with_the_averaged_network(sr: Run, photos: Path, tmp_path: Path) -> None:
    words = ("train", "-m", "srresnet", "-x2", "--data", str(photos), "--steps", "3",
             "--lr-patch", "8", "--batch", "2", "--precision", "fp32",
             "--set", "config.blocks=1", "--set", "config.features=8")  # fmt: skip
    done = sr(*words, "--set", "losses={l1=1.0, ldl=1.0}", "-o", "a.safetensors")
    assert done.returncode == 0, done.stderr.decode()
    logged = json.loads((tmp_path / "a.run" / "log.jsonl").read_text().splitlines()[-1])
    assert logged["losses"]["l1"] > 0 and logged["losses"]["ldl"] >= 0


def test_the_averaged_output_is_that_of_the_averaged_weights() -> None:
    tiny = {"config": {"features": 8, "blocks": 1}, "batch": 2, "lr_patch": 8, "precision": "fp32"}
    recipe = default_recipe("srresnet", (2,), losses={"l1": 1.0, "ldl": 1.0}, **tiny)
    trainer = Trainer(recipe, device=torch.device("cpu"))
    trainer.model.train()
    lr, hr = torch.rand(2, 3, 8, 8), torch.rand(2, 3, 16, 16)
    for _ in range(3):
        trainer.step(Batch(lr, hr, lr, 2))
    before = {name: tensor.clone() for name, tensor in trainer.ema.items()}
    found = trainer._averaged_output(lr)
    wanted = trainer.averaged_model()(lr)
    assert torch.allclose(found, wanted, atol=1e-4) and not torch.equal(trainer.model(lr), wanted)
    assert trainer.model.training and not found.requires_grad
    assert all(torch.equal(trainer.ema[name], before[name]) for name in before)
    assert trainer.progress.losses["ldl"] > 0
