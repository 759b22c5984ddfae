"""A training in progress: networks, optimisers, averaged weights, and one step of them."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sr_cli.errors import RefusedError, SrError
from sr_cli.evaluation.lpips import LPIPS
from sr_cli.networks import create_model
from sr_cli.networks.base import SRModel
from sr_cli.networks.srgan import Discriminator
from sr_cli.registry.ref import load_model
from sr_cli.training.adversarial import discriminator_loss, generator_loss
from sr_cli.training.crops import Batch, luma_of
from sr_cli.training.losses import PIXEL_LOSSES, Features, perceptual_loss, shifted, texture_loss
from sr_cli.training.optimise import learning_rate_factor, make_optimiser, set_learning_rate
from sr_cli.training.parallel import Group
from sr_cli.training.quick import quicken
from sr_cli.training.recipe import Recipe
from sr_cli.training.rounding import all_rounded, rounded
from sr_cli.training.start import place, start_from, training_precision

MAX_BAD_STEPS = 20
"""So many bad steps in a row end the run."""

_EXPLOSION = 100.0
_SETTLED = 100


class DivergedError(SrError):
    """So many bad steps in a row that the run has no future."""


@dataclass
class Progress:
    """Where a run stands. `seconds` counts all legs; `waited` those spent waiting for data."""

    step: int = 0
    seconds: float = 0.0
    waited: float = 0.0
    learning_rate: float = 0.0
    losses: dict[str, float] = field(default_factory=dict)
    figure: float | None = None
    best: float = -math.inf
    best_step: int = 0
    since_best: int = 0
    skipped: int = 0
    bad_in_a_row: int = 0
    usual_loss: float = 0.0


class Run:
    """The state of one training, on `device`, as the recipe has it.

    init: a checkpoint to start from; one of another scale gives all tensors that fit.
    trunk: a file with VGG's convolutions; None fetches them where a loss needs them.
    Raises RefusedError and SrError for what cannot be loaded or does not fit together.
    """

    def __init__(
        self,
        recipe: Recipe,
        *,
        device: torch.device,
        group: Group | None = None,
        init: str | None = None,
        trunk: Path | None = None,
    ) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe = recipe
        self.device = device
        self.group = group or Group()
        self.half = training_precision(recipe, device)
        self.model = create_model(recipe.model, scale=recipe.scales[0], **recipe.config)
        if len(recipe.scales) > 1 and not self.model.one_set_of_weights:
            raise RefusedError(f"{recipe.model} is trained for one scale at a time")
        if init is not None:
            start_from(self.model, init)
        place(self.model, device)
        if device.type == "cpu":
            own = recipe.batch // self.group.world
            quicken(self.model, first=self.group.rank * own)
        self.net = self.group.wrap(self.model)
        self.ema = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        self.optimiser = make_optimiser(recipe, self.model, recipe.learning_rate)
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.half is torch.float16)
        self.teacher = self._load_teacher()
        self.features = self._load_features(trunk)
        self.lpips = self._load_lpips(trunk)
        self.discriminator: nn.Module | None = None
        if recipe.is_adversarial:
            if self.model.channels != 3:
                raise RefusedError(f"{recipe.model} works on luma: no adversarial loss")
            self.judge = place(Discriminator(), device)
            self.discriminator = self.group.wrap(self.judge)
            judging = replace(recipe, last_layer_rate=1.0)
            self.optimiser_d = make_optimiser(
                judging, self.judge, recipe.discriminator_learning_rate
            )
        self.progress = Progress()

    def step(self, batch: Batch) -> None:
        """One update of the network, and of the discriminator where there is one."""
        lr, hr = batch.lr.to(self.device), batch.hr.to(self.device)
        self.model.scale = batch.scale
        with rounded(self.model, self.recipe.rounded_weights):
            with self._autocast():
                sr = self.net(lr).float()
                parts = self._losses(sr, hr, batch)
            total = sum(
                (self.recipe.losses[n] * p for n, p in parts.items()),
                torch.zeros_like(sr[0, 0, 0, 0]),
            )
            good = self._descend(self.optimiser, total, self.model)
        if good:
            self._move(self.optimiser, total)
            self._average()
        if self.discriminator is not None and good:
            self.judge.requires_grad_(True)
            with self._autocast():
                real = self.discriminator(hr).float()
                fake = self.discriminator(sr.detach()).float()
                parts["discriminator"] = discriminator_loss(
                    real, fake, relativistic=self.recipe.adversary == "relativistic"
                )
            self._update(self.optimiser_d, parts["discriminator"], self.judge)
        self.progress.losses = {name: float(part.detach()) for name, part in parts.items()}
        self.progress.step += 1

    def _losses(self, sr: Tensor, hr: Tensor, batch: Batch) -> dict[str, Tensor]:
        wanted = self.recipe.losses
        parts = {n: loss(sr, hr) for n, loss in PIXEL_LOSSES.items() if n in wanted}
        sr_window, hr_window = shifted(sr, hr)
        if self.features is not None:
            with torch.no_grad():
                hr_features = self.features(hr_window)
            sr_features = self.features(sr_window)
            if "perceptual" in wanted:
                parts["perceptual"] = perceptual_loss(sr_features, hr_features)
            if "texture" in wanted:
                parts["texture"] = texture_loss(sr_features, hr_features)
        if self.lpips is not None:
            parts["lpips"] = self.lpips(sr_window, hr_window).mean()
        if self.teacher is not None and "teacher" in wanted:
            parts["teacher"] = F.l1_loss(sr, self._taught(batch))
        if self.discriminator is not None:
            self.judge.requires_grad_(False)
            relativistic = self.recipe.adversary == "relativistic"
            with torch.no_grad():
                real = self.judge(hr).float() if relativistic else sr.new_zeros(1)
            fake = self.judge(sr).float()
            parts["adversarial"] = generator_loss(real, fake, relativistic=relativistic)
        return parts

    @torch.no_grad()
    def _taught(self, batch: Batch) -> Tensor:
        """What the teacher makes of the batch, in the network's channels."""
        assert self.teacher is not None
        rgb = batch.rgb.to(self.device)
        if self.teacher.channels == 1:
            found: Tensor = self.teacher(luma_of(rgb)).float()
            return found
        found = self.teacher(rgb).float().clamp(0, 1)
        return luma_of(found) if self.model.channels == 1 else found

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, self.half, enabled=self.half is not None)

    def _update(self, optimiser: torch.optim.Optimizer, loss: Tensor, net: nn.Module) -> bool:
        """A step down the gradient; whether it was a good one."""
        good = self._descend(optimiser, loss, net)
        if good:
            self._move(optimiser, loss)
        return good

    def _descend(self, optimiser: torch.optim.Optimizer, loss: Tensor, net: nn.Module) -> bool:
        """The gradient; one that is not finite, or explodes, is counted and not good."""
        value = float(self.group.mean(loss.detach()))
        usual = self.progress.usual_loss if optimiser is self.optimiser else 0.0
        good = math.isfinite(value)
        if usual and self.progress.step > _SETTLED and value > _EXPLOSION * usual:
            good = False
        optimiser.zero_grad(set_to_none=True)
        if good:
            # torch leaves backward untyped.
            self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            self.scaler.unscale_(optimiser)
            limit = self.recipe.clip or math.inf
            norm = nn.utils.clip_grad_norm_(net.parameters(), limit)
            good = bool(torch.isfinite(norm)) or self.scaler.is_enabled()
        if not good:
            self._count_a_bad_step()
        return good

    def _move(self, optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
        self.scaler.step(optimiser)
        self.scaler.update()
        if optimiser is self.optimiser:
            progress = self.progress
            progress.bad_in_a_row = 0
            share = 0.02 if progress.usual_loss else 1.0
            value = float(self.group.mean(loss.detach()))
            progress.usual_loss += share * (value - progress.usual_loss)

    def _count_a_bad_step(self) -> None:
        self.progress.skipped += 1
        self.progress.bad_in_a_row += 1
        if self.progress.bad_in_a_row >= MAX_BAD_STEPS:
            raise DivergedError(
                f"{MAX_BAD_STEPS} steps in a row had no finite gradient or an exploding loss",
                "the last good state is kept; a lower learning_rate or clip=1 may help",
            )

    @torch.no_grad()
    def _average(self) -> None:
        # Early on the mean follows closely, so that it does not drag the random start along.
        step = self.progress.step
        decay = min(self.recipe.ema, (1 + step) / (10 + step))
        for name, value in self.model.state_dict().items():
            if value.dtype.is_floating_point:
                self.ema[name].lerp_(value, 1 - decay)
            else:
                self.ema[name].copy_(value)

    def set_learning_rate(self, done: float) -> None:
        """As the schedule has it when the share `done` of the run is over."""
        factor = learning_rate_factor(self.recipe, done, self.progress.step)
        set_learning_rate(self.optimiser, self.recipe.learning_rate * factor)
        if self.discriminator is not None:
            set_learning_rate(self.optimiser_d, self.recipe.discriminator_learning_rate * factor)
        self.progress.learning_rate = self.recipe.learning_rate * factor

    def averaged_weights(self) -> dict[str, Tensor]:
        """What is saved: the averaged weights, rounded where the recipe has it so."""
        return all_rounded(self.ema) if self.recipe.rounded_weights else self.ema

    def averaged(self) -> SRModel:
        """A copy of the network with the averaged weights, for looking at pictures."""
        model = create_model(self.recipe.model, scale=self.recipe.scales[0], **self.recipe.config)
        model.load_state_dict(self.averaged_weights())
        place(model, self.device)
        return model.eval()

    def state(self) -> dict[str, Any]:
        """Everything needed to go on exactly; tensors and plain values only."""
        state = {
            "progress": asdict(self.progress),
            "model": self.model.state_dict(),
            "ema": self.ema,
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
            "random": torch.get_rng_state(),
        }
        if self.discriminator is not None:
            state["discriminator"] = self.judge.state_dict()
            state["optimiser_d"] = self.optimiser_d.state_dict()
        return state

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from `state()`."""
        self.progress = Progress(**state["progress"])
        self.model.load_state_dict(state["model"])
        self.ema = {k: v.to(self.device).clone() for k, v in state["ema"].items()}
        self.optimiser.load_state_dict(state["optimiser"])
        self.scaler.load_state_dict(state["scaler"])
        torch.set_rng_state(state["random"])
        if self.discriminator is not None:
            self.judge.load_state_dict(state["discriminator"])
            self.optimiser_d.load_state_dict(state["optimiser_d"])

    def _load_teacher(self) -> SRModel | None:
        if not self.recipe.teacher:
            return None
        if len(self.recipe.scales) > 1:
            raise RefusedError("a teacher serves one scale", "give one -x")
        try:
            teacher = load_model(self.recipe.teacher, scale=self.recipe.scales[0]).network
        except SrError as error:
            raise RefusedError("teacher-unusable", self.recipe.teacher, cause=error) from error
        if teacher.scale != self.recipe.scales[0]:
            raise RefusedError(
                f"{self.recipe.teacher} enlarges x{teacher.scale}, not x{self.recipe.scales[0]}"
            )
        if teacher.channels < self.model.channels:
            raise RefusedError(f"{self.recipe.teacher} works on luma: it cannot teach colours")
        place(teacher, self.device)
        return teacher.requires_grad_(False)

    def _load_lpips(self, trunk: Path | None) -> LPIPS | None:
        if "lpips" not in self.recipe.losses:
            return None
        if self.model.channels != 3:
            raise RefusedError(f"{self.recipe.model} works on luma: no lpips loss")
        return place(LPIPS("vgg", trunk), self.device)

    def _load_features(self, trunk: Path | None) -> Features | None:
        recipe = self.recipe
        if not {"perceptual", "texture"} & set(recipe.losses):
            return None
        if self.model.channels != 3:
            raise RefusedError(f"{recipe.model} works on luma: no perceptual or texture loss")
        features = Features(
            recipe.perceptual_network,
            recipe.perceptual_layer,
            activated=recipe.perceptual_activated,
            trunk=trunk,
        )
        place(features, self.device)
        return features
