"""The training loop."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sr_cli.evaluation.metrics import psnr_y
from sr_cli.files import atomic_write
from sr_cli.imaging.colour import luma
from sr_cli.models import create_model
from sr_cli.models.base import SRModel
from sr_cli.models.srgan import Discriminator
from sr_cli.training.adversarial import discriminator_loss, generator_loss
from sr_cli.training.data import Crops, Loaded, Pair, ahead
from sr_cli.training.losses import PIXEL_LOSSES, Loss
from sr_cli.training.recipe import Recipe
from sr_cli.weights.checkpoint import Header, load_checkpoint, save_checkpoint


@dataclass
class Limits:
    """When to stop: after `steps`, or after `seconds` of training over all legs."""

    steps: int | None = None
    seconds: float | None = None


@dataclass
class Progress:
    """Where a run stands."""

    step: int = 0
    seconds: float = 0.0
    best: float = -math.inf
    losses: dict[str, float] = field(default_factory=dict)
    learning_rate: float = 0.0
    psnr: float | None = None
    skipped: int = 0


def learning_rate_at(recipe: Recipe, done: float, step: int) -> float:
    """The factor on the learning rate when the share `done` (0 to 1) of the run is over."""
    rise = min(1.0, (step + 1) / recipe.warmup) if recipe.warmup else 1.0
    if recipe.schedule == "cosine":
        return rise * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
    return rise


class Run:
    """One training: the networks, their optimisers and the state that resuming needs."""

    def __init__(
        self,
        recipe: Recipe,
        *,
        half: torch.dtype | None,
        perceptual: Loss | None = None,
        init: Path | None = None,
    ) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe = recipe
        self.half = half
        self.perceptual = perceptual
        self.model = create_model(recipe.model, scale=recipe.scales[0], **recipe.config)
        if init is not None:
            start_from(self.model, init)
        self.model = self.model.to(memory_format=torch.channels_last)
        self.ema = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        self.optimiser = torch.optim.Adam(
            self.model.parameters(), lr=recipe.learning_rate, betas=recipe.betas
        )
        self.discriminator: nn.Module | None = None
        if "adversarial" in recipe.losses:
            self.discriminator = Discriminator().to(memory_format=torch.channels_last)
            self.optimiser_d = torch.optim.Adam(
                self.discriminator.parameters(), lr=recipe.discriminator_learning_rate
            )
        self.progress = Progress()

    def step(self, lr: Tensor, hr: Tensor, scale: int) -> dict[str, float]:
        """One update of the network (and of the discriminator). Returns the loss parts."""
        parts: dict[str, Tensor] = {}
        self.model.scale = scale
        with self._autocast():
            sr = self.model(lr)
            sr = sr.float()
            for name, loss in PIXEL_LOSSES.items():
                if name in self.recipe.losses:
                    parts[name] = loss(sr, hr)
            if "perceptual" in self.recipe.losses:
                assert self.perceptual is not None
                parts["perceptual"] = self.perceptual(sr, hr)
            if self.discriminator is not None:
                self.discriminator.requires_grad_(False)
                parts["adversarial"] = generator_loss(self.discriminator(sr).float())
        total = sum((self.recipe.losses[n] * p for n, p in parts.items()), torch.zeros(()))
        self._update(self.optimiser, total, self.model)
        self._average()
        if self.discriminator is not None:
            self.discriminator.requires_grad_(True)
            with self._autocast():
                real, fake = self.discriminator(hr).float(), self.discriminator(sr.detach()).float()
                parts["discriminator"] = discriminator_loss(real, fake)
            self._update(self.optimiser_d, parts["discriminator"], self.discriminator)
        return {name: float(part) for name, part in parts.items()}

    def _autocast(self) -> torch.autocast:
        return torch.autocast("cpu", dtype=self.half or torch.bfloat16, enabled=bool(self.half))

    def _update(self, optimiser: torch.optim.Optimizer, loss: Tensor, net: nn.Module) -> None:
        """A step down the gradient; one that is not finite is skipped and counted."""
        if not torch.isfinite(loss):
            self.progress.skipped += 1
            return
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if self.recipe.clip:
            nn.utils.clip_grad_norm_(net.parameters(), self.recipe.clip)
        optimiser.step()

    def _average(self) -> None:
        # Early on the mean follows closely, so that it does not drag the random start along.
        decay = min(self.recipe.ema, (1 + self.progress.step) / (10 + self.progress.step))
        with torch.no_grad():
            for name, value in self.model.state_dict().items():
                if value.dtype.is_floating_point:
                    self.ema[name].lerp_(value, 1 - decay)
                else:
                    self.ema[name].copy_(value)

    def set_learning_rate(self, factor: float) -> None:
        """Scale the recipe's learning rates by the schedule's factor."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.recipe.learning_rate * factor
        if self.discriminator is not None:
            for group in self.optimiser_d.param_groups:
                group["lr"] = self.recipe.discriminator_learning_rate * factor
        self.progress.learning_rate = self.recipe.learning_rate * factor

    def state(self) -> dict[str, Any]:
        """Everything needed to go on exactly; tensors and plain values only."""
        state = {
            "recipe": asdict(self.recipe),
            "progress": asdict(self.progress),
            "model": self.model.state_dict(),
            "ema": self.ema,
            "optimiser": self.optimiser.state_dict(),
            "random": torch.get_rng_state(),
        }
        if self.discriminator is not None:
            state["discriminator"] = self.discriminator.state_dict()
            state["optimiser_d"] = self.optimiser_d.state_dict()
        return state

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from `state()`."""
        self.progress = Progress(**state["progress"])
        self.model.load_state_dict(state["model"])
        self.ema = {k: v.clone() for k, v in state["ema"].items()}
        self.optimiser.load_state_dict(state["optimiser"])
        torch.set_rng_state(state["random"])
        if self.discriminator is not None:
            self.discriminator.load_state_dict(state["discriminator"])
            self.optimiser_d.load_state_dict(state["optimiser_d"])


def start_from(model: SRModel, checkpoint: Path) -> None:
    """Take every tensor of `checkpoint` that fits: another scale gives its body, not its tail."""
    source = load_checkpoint(checkpoint)[0].state_dict()
    own = model.state_dict()
    own.update({k: v for k, v in source.items() if k in own and own[k].shape == v.shape})
    model.load_state_dict(own)


@torch.no_grad()
def validate(run: Run, pairs: list[Pair]) -> float:
    """Mean PSNR-Y of the averaged weights on held-back pictures, over all scales."""
    model = create_model(run.recipe.model, scale=run.recipe.scales[0], **run.recipe.config)
    model.load_state_dict(run.ema)
    model = model.eval().to(memory_format=torch.channels_last)
    values = []
    for scale in run.recipe.scales:
        model.scale = scale
        for pair in pairs:
            lr = pair.lr[scale]
            if model.channels == 1:
                x = torch.from_numpy(luma(lr) / 255).float()[None, None]
            else:
                x = torch.from_numpy(lr).permute(2, 0, 1).float()[None] / 255
            with torch.autocast("cpu", dtype=run.half or torch.bfloat16, enabled=bool(run.half)):
                sr = model(x).float()[0].permute(1, 2, 0).clamp(0, 1).numpy() * 255
            if model.channels == 1:
                wanted = luma(pair.hr)[scale:-scale, scale:-scale]
                error = ((sr[scale:-scale, scale:-scale, 0] - wanted) ** 2).mean()
                values.append(10 * math.log10(255**2 / max(error, 1e-9)))
            else:
                values.append(psnr_y((sr + 0.5).astype("uint8"), pair.hr, border=scale))
    return sum(values) / len(values)


def fit(
    run: Run,
    data: Loaded,
    output: Path,
    limits: Limits,
    *,
    describe: Header,
    on_step: Callable[[Progress], None] | None = None,
    validate_every: int = 500,
    save_every_seconds: float = 120.0,
) -> Path:
    """Train until the limits are reached; the output holds the best averaged weights.

    States and the log lie in `output`.run/; a state that is there is gone on from.
    """
    folder = output.with_suffix(".run")
    folder.mkdir(parents=True, exist_ok=True)
    state_file = folder / "state.pt"
    if state_file.exists():
        run.load_state(torch.load(state_file, weights_only=True))
    progress = run.progress
    crops = Crops(data.train, run.recipe, channels=run.model.channels)
    run.model.train()
    began = time.monotonic() - progress.seconds
    saved = time.monotonic()
    log = (folder / "log.jsonl").open("a")
    for batch in ahead(crops, progress.step, limits.steps or 10**9):
        progress.seconds = time.monotonic() - began
        done = (
            progress.step / limits.steps
            if limits.steps
            else progress.seconds / (limits.seconds or math.inf)
        )
        if done >= 1:
            break
        run.set_learning_rate(learning_rate_at(run.recipe, done, progress.step))
        progress.losses = run.step(batch.lr, batch.hr, batch.scale)
        progress.step += 1
        progress.psnr = None
        if progress.step % validate_every == 0:
            _keep_best(run, data.held_back, output, describe)
        if on_step is not None:
            on_step(progress)
        if progress.step % 50 == 0:
            log.write(json.dumps(asdict(progress)) + "\n")
            log.flush()
        if time.monotonic() - saved > save_every_seconds:
            _save_state(run, state_file)
            saved = time.monotonic()
    _keep_best(run, data.held_back, output, describe)
    _save_state(run, state_file)
    return output


def _keep_best(run: Run, pairs: list[Pair], output: Path, describe: Header) -> None:
    progress = run.progress
    progress.psnr = validate(run, pairs)
    # An adversarial run gets better to the eye while its PSNR falls: there the last is kept.
    if progress.psnr > progress.best or run.discriminator is not None:
        progress.best = progress.psnr
        save_checkpoint(output, describe, run.ema)


def _save_state(run: Run, path: Path) -> None:
    with atomic_write(path) as file:
        torch.save(run.state(), file)
