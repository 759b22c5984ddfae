"""Discriminators, steps judged on the device, crops by processes, LPIPS as the figure."""

from __future__ import annotations

import copy
import os
import signal
import sys
import threading
from contextlib import closing
from functools import partial
from pathlib import Path

import msgspec
import pytest
import torch
from helpers import SHARED
from helpers.images import smooth
from helpers.training import TINY, quick, tiny_recipe

from sr_cli.errors import RefusedError
from sr_cli.networks import create_model
from sr_cli.training import adversary
from sr_cli.training.adversary import UNetDiscriminator
from sr_cli.training.crop_processes import default_workers, prefetch_by_processes
from sr_cli.training.crops import Batch, Crops, prefetch
from sr_cli.training.deferred import DeferredChecks, step_if
from sr_cli.training.events import Ended, Event, Noted, Progress, Started
from sr_cli.training.images import Pair
from sr_cli.training.objective import Objective
from sr_cli.training.recipe import Recipe
from sr_cli.training.trainer import DivergedError, Trainer
from sr_cli.training.validation import FIGURES, Example, validation_figure

CPU = torch.device("cpu")
REFERENCE = SHARED / "reference" / "lpips_vgg16.safetensors"


@pytest.fixture(autouse=True)
def small_discriminators(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the papers take longer than all else here."""
    monkeypatch.setattr(adversary, "Discriminator", partial(UNetDiscriminator, 8))
    monkeypatch.setattr(adversary, "UNetDiscriminator", partial(UNetDiscriminator, 4))


def gan(**changes: object) -> Recipe:
    losses = {"l1": 1.0, "adversarial": 0.5}
    plain = Recipe("edsr", (2,), TINY, lr_patch=8, batch=2, losses=losses, precision="fp32")
    return msgspec.structs.replace(plain, **changes)


def batch(seed: int = 0, side: int = 8, channels: int = 3) -> Batch:
    random = torch.Generator().manual_seed(seed)
    lr = torch.rand(2, channels, side, side, generator=random)
    hr = torch.rand(2, channels, 2 * side, 2 * side, generator=random)
    return Batch(lr, hr, lr, 2)


def test_the_u_net_judges_every_pixel_with_normalised_weights() -> None:
    torch.manual_seed(0)
    network = UNetDiscriminator(features=4)
    images = torch.rand(2, 3, 16, 24, requires_grad=True)
    logits = network(images)
    assert logits.shape == (2, 1, 16, 24)
    logits.mean().backward()
    assert images.grad is not None and bool((images.grad != 0).any())
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.allclose(network(images).float(), logits, atol=0.05)
    for _ in range(20):  # One step of power iteration each.
        network(images)
    with torch.no_grad():
        largest = torch.linalg.matrix_norm(network.down[0].weight.flatten(1), ord=2)
    assert float(largest) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(("share", "seen"), [(1.0, 2), (0.5, 1), (0.01, 1)])
def test_the_discriminator_sees_its_share_of_the_crops(share: float, seen: int) -> None:
    trainer = Trainer(gan(adversarial_crops=share), device=CPU)
    assert trainer.adversary is not None
    crops = batch()
    sr = crops.hr.flip(3).requires_grad_()
    trainer.adversary.generator_loss(sr, crops.hr).backward()
    assert sr.grad is not None
    assert [bool((one != 0).any()) for one in sr.grad] == [i < seen for i in range(2)]
    hr = crops.hr.clone().requires_grad_()
    trainer.adversary.discriminator_loss(sr.detach(), hr).backward()
    assert hr.grad is not None
    assert [bool((one != 0).any()) for one in hr.grad] == [i < seen for i in range(2)]


@pytest.mark.skipif(not REFERENCE.is_file(), reason="no weights of LPIPS")
def test_the_perceptual_network_is_rounded_once_and_only_for_the_loss() -> None:
    plain = gan(losses={"lpips": 1.0}, validate="lpips")
    model = create_model("edsr", scale=2, **TINY)
    objective = Objective(plain, model, CPU, REFERENCE, torch.bfloat16)
    assert objective.lpips is not None and objective.lpips_loss is not None
    assert objective.lpips.features[0].weight.dtype is torch.float32
    assert objective.lpips_loss.features[0].weight.dtype is torch.bfloat16
    sr, hr = torch.rand(2, 2, 3, 48, 48, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(objective.lpips_loss(sr, hr), objective.lpips(sr, hr))


def test_the_adversarial_weight_rises() -> None:
    trainer = Trainer(gan(adversarial_rise=100), device=CPU)
    loss = torch.tensor(2.0)
    assert trainer.adversary is not None
    found = [float(trainer.adversary.weighted(loss, loss, step)) for step in (0, 50, 100, 1000)]
    assert found == [0.0, 0.5, 1.0, 1.0]


def test_the_adversarial_gradient_is_a_share_of_the_others() -> None:
    trainer = Trainer(
        gan(adversarial_share=0.4, losses={"l1": 1.0, "adversarial": 1.0}), device=CPU
    )
    assert trainer.adversary is not None
    last = [p for p in trainer.model.parameters() if p.dim() > 1][-1]
    data = batch()
    sr = trainer.model(data.lr)
    others = (sr - data.hr).abs().mean()
    # As large as it would be without the limit on the balance.
    own = 0.5 * (sr**2).mean()
    weighted = trainer.adversary.weighted(own, others, step=0)
    norms = [
        float(torch.autograd.grad(part, last, retain_graph=True)[0].norm())
        for part in (weighted, others)
    ]
    assert norms[0] == pytest.approx(0.4 * norms[1], rel=1e-3)
    before = float(trainer.adversary.balance)
    trainer.adversary.weighted(own * torch.nan, others, step=10)
    assert float(trainer.adversary.balance) == before


def test_steps_judged_on_the_device_are_the_same_steps() -> None:
    plain, deferred = (Trainer(gan(), device=CPU, deferred=d) for d in (False, True))
    assert plain.checks is None and deferred.checks is not None
    for step in range(6):
        plain.step(batch(step))
        deferred.step(batch(step))
    deferred.read()
    # Adam's first steps follow signs: differences in the last digit grow to a share of the rate.
    for name, tensor in plain.model.state_dict().items():
        assert torch.allclose(tensor, deferred.model.state_dict()[name], atol=1e-4), name
    for name, tensor in plain.ema.items():
        assert torch.allclose(tensor, deferred.ema[name], atol=1e-4), name
    assert set(deferred.progress.losses) == {"l1", "adversarial", "discriminator"}
    usual = deferred.progress.usual_loss
    assert usual == pytest.approx(plain.progress.usual_loss, rel=1e-4)


def test_a_bad_step_judged_on_the_device_changes_nothing() -> None:
    trainer = Trainer(gan(), device=CPU, deferred=True)
    trainer.step(batch())
    before = {k: v.clone() for k, v in trainer.model.state_dict().items()}
    bad = batch(1)
    bad.lr[0, 0, 0, 0] = torch.nan
    trainer.step(bad)
    trainer.read()
    assert trainer.progress.skipped >= 1 and trainer.progress.bad_in_a_row >= 1
    assert all(torch.equal(v, before[k]) for k, v in trainer.model.state_dict().items())
    trainer.step(batch(2))
    trainer.read()
    assert trainer.progress.bad_in_a_row == 0
    with pytest.raises(DivergedError):
        for _ in range(25):
            trainer.step(bad)


def test_deferred_counts_survive_a_saved_state() -> None:
    checks = DeferredChecks(CPU)
    good, loss = torch.tensor(True), torch.tensor(0.5)
    checks.count(good)
    checks.update_usual_loss(good, loss)
    assert not bool(checks.is_good(loss * 1000, loss, 100.0))
    assert not bool(checks.is_good(loss * torch.inf, loss, None))
    trainer = Trainer(gan(), device=CPU, deferred=True)
    for step in range(3):
        trainer.step(batch(step))
    again = Trainer(gan(), device=CPU, deferred=True)
    again.load_state(copy.deepcopy(trainer.state()))
    for one in (trainer, again):
        one.step(batch(9))
        one.read()
    assert again.progress == trainer.progress and again.progress.usual_loss > 0
    assert again.adversary is not None and trainer.adversary is not None
    weights = again.adversary.discriminator.state_dict()
    for name, tensor in trainer.adversary.discriminator.state_dict().items():
        assert torch.equal(tensor, weights[name]), name


def test_a_fused_step_is_skipped_by_its_flag() -> None:
    weight = torch.nn.Parameter(torch.ones(3))
    optimiser = torch.optim.Adam([weight], lr=0.1, fused=True)
    weight.grad = torch.ones(3)
    step_if(optimiser, torch.tensor(False))
    assert torch.equal(weight, torch.ones(3))
    step_if(optimiser, torch.tensor(True))
    assert bool((weight < 1).all())


def test_a_discriminator_is_taken_from_a_state(photos: Path, tmp_path: Path) -> None:
    recipe = gan(discriminator="unet", steps=2)
    quick(photos, tmp_path / "a.safetensors", recipe)
    state = tmp_path / "a.run" / "state.pt"
    trainer = Trainer(recipe, device=CPU, init_discriminator=state)
    assert trainer.adversary is not None
    saved = torch.load(state, weights_only=True)["discriminator"]
    for name, tensor in trainer.adversary.discriminator.state_dict().items():
        assert torch.equal(tensor, saved[name]), name
    for file, wanted in ((state, gan()), (tmp_path / "a.safetensors", recipe)):
        with pytest.raises(RefusedError) as caught:
            Trainer(wanted, device=CPU, init_discriminator=file)
        assert caught.value.code == "no-discriminator"


def crops() -> Crops:
    pairs = [Pair(str(i), smooth(96, 120, seed=i)) for i in range(2)]
    pairs.append(Pair("given", smooth(64, 64), smooth(32, 32)))
    recipe = Recipe("edsr", (2,), lr_patch=8, batch=2, degradation="photo")
    return Crops(pairs, recipe, channels=3)


def test_threads_are_enough_beside_a_cpu() -> None:
    assert default_workers(crops(), CPU) == 0
    assert default_workers(crops(), torch.device("cuda")) >= 1


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_processes_make_the_same_crops_and_threads_go_on_when_one_dies(tmp_path: Path) -> None:
    scratch, failures = tmp_path / "crops.bin", []
    made = prefetch_by_processes(
        crops(), 3, 9, rank=0, world=1, workers=1, device=CPU, scratch=scratch,
        on_failure=lambda: failures.append(1),
    )  # fmt: skip
    with closing(prefetch(crops(), 3, 9)) as wanted, closing(made) as found:
        for number, (a, b) in enumerate(zip(wanted, found, strict=True)):
            assert torch.equal(a.lr, b.lr) and torch.equal(a.hr, b.hr) and a.scale == b.scale
            if number == 1:
                for child in _children():
                    os.kill(child, signal.SIGKILL)
                threading.Event().wait(0.5)
    assert failures == [1] and not scratch.exists()


def _children() -> list[int]:
    """The processes of the pool."""
    import multiprocessing

    return [c.pid for c in multiprocessing.active_children() if c.pid is not None]


def test_lower_is_better_for_lpips() -> None:
    psnr, lpips = FIGURES["psnr"], FIGURES["lpips"]
    nothing = Progress().best
    assert psnr.is_better(20, nothing) and lpips.is_better(0.5, nothing)
    assert psnr.is_better(31, 30) and not psnr.is_better(30, 31)
    assert lpips.is_better(0.2, 0.3) and not lpips.is_better(0.3, 0.2)


@pytest.mark.skipif(not REFERENCE.is_file(), reason="LPIPS's weights are not here")
def test_lpips_chooses_the_best_weights(photos: Path, tmp_path: Path) -> None:
    recipe = gan(validate="lpips", steps=2)
    events: list[Event] = []
    result = quick(photos, tmp_path / "a.safetensors", recipe, events.append, trunk=REFERENCE)
    assert result.best is not None and 0 < result.best < 1 and result.best_step == 2
    assert isinstance(events[-1], Ended)
    assert not [e for e in events if isinstance(e, Noted)]
    assert [e.recipe.keeps_last for e in events if isinstance(e, Started)] == [False]
    assert "lpips" not in result.losses


def test_a_network_on_luma_has_no_lpips() -> None:
    with pytest.raises(RefusedError) as caught:
        Trainer(tiny_recipe(validate="lpips"), device=CPU)
    assert caught.value.code == "loss-needs-rgb"


def test_the_figure_is_psnr_without_a_network_for_lpips() -> None:
    hr = smooth(32, 32)
    example = Example("a", hr[::2, ::2].copy(), hr, 2)
    model = Trainer(tiny_recipe(), device=CPU).model.eval()
    assert 15 < validation_figure(model, [example], None) < 60
