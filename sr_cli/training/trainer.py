"""The trainer: a network, its optimiser and averaged weights, and the training step."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from sr_cli.errors import RefusedError, SrError
from sr_cli.layers.edges import mirror_beyond
from sr_cli.networks import create_model
from sr_cli.networks.base import SRModel
from sr_cli.training.adversary import Adversary
from sr_cli.training.crops import Batch
from sr_cli.training.deferred import READ_EVERY, DeferredChecks, step_if
from sr_cli.training.distributed import ProcessGroup
from sr_cli.training.events import Progress
from sr_cli.training.fast_layers import use_fast_layers
from sr_cli.training.network import (
    load_initial_weights,
    round_all_to_bf16,
    set_training_mode,
    to_device,
    training_precision,
    weights_in_bf16,
)
from sr_cli.training.objective import Objective
from sr_cli.training.optimisers import learning_rate_factor, make_optimiser, set_learning_rate
from sr_cli.training.recipe import Recipe

MAX_BAD_STEPS = 20
"""The consecutive bad steps that end a run."""

_EXPLOSION = 100.0
"""A step is bad if its loss is this many times the usual one…"""

_SETTLED = 100
"""…after this many steps."""


class DivergedError(SrError):
    """The training has diverged; the last saved state is good."""


class Trainer:
    """The state of one training.

    Args:
        recipe: How to train.
        device: Where to compute.
        group: The processes that share each batch.
        init: The model with the initial weights; of another scale, all tensors that fit.
        trunk: A file with VGG's weights; None downloads them if a loss needs them.
        init_discriminator: A training state with the initial discriminator.
        deferred: Whether steps are checked on the device and read back only every few steps. None
            for a GPU with Adam or AdamW, whose fused forms can skip a step on the device.

    Raises:
        RefusedError: `network-needs-one-scale`, and what Objective, Adversary and
            `load_initial_weights` raise.
        SrError: What they raise.
    """

    def __init__(
        self,
        recipe: Recipe,
        *,
        device: torch.device,
        group: ProcessGroup | None = None,
        init: str | None = None,
        trunk: Path | None = None,
        init_discriminator: Path | None = None,
        deferred: bool | None = None,
    ) -> None:
        self.recipe = recipe
        self.device = device
        self.group = group or ProcessGroup()
        self.precision = training_precision(recipe, device)
        # After choosing the precision, whose measurement may draw random numbers.
        torch.manual_seed(recipe.seed)
        self.model = create_model(recipe.model, scale=recipe.scales[0], **recipe.config)
        if len(recipe.scales) > 1 and not self.model.one_set_of_weights:
            raise RefusedError("network-needs-one-scale", recipe.model)
        if init is not None:
            load_initial_weights(self.model, init)
        to_device(self.model, device)
        if device.type == "cpu":
            own = recipe.batch // self.group.world
            use_fast_layers(self.model, first=self.group.rank * own)
        self.wrapped = self.group.wrap(self.model)
        self.ema = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        can_defer = recipe.optimiser in ("adam", "adamw") and self.precision is not torch.float16
        if deferred is None:
            deferred = device.type == "cuda"
        self.checks = DeferredChecks(device) if deferred and can_defer else None
        fused = self.checks is not None
        self.optimiser = make_optimiser(recipe, self.model, recipe.learning_rate, fused=fused)
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.precision is torch.float16)
        self.objective = Objective(recipe, self.model, device, trunk, self.precision)
        self.adversary: Adversary | None = None
        if recipe.is_adversarial:
            self.adversary = Adversary(
                recipe, self.model, device, self.group, fused=fused, init=init_discriminator
            )
        self.progress = Progress()
        # The share of the run, from which losses take their weights.
        self.done = 0.0

    def step(self, batch: Batch) -> None:
        """Update the network, and the discriminator if there is one.

        A step with a non-finite gradient or an exploding loss is skipped and counted.

        Raises:
            DivergedError: `diverged` after MAX_BAD_STEPS of them in a row.
        """
        self.model.scale = batch.scale
        if self.checks is None:
            self._step(batch)
            self.progress.step += 1
            return
        self._deferred_step(batch, self.checks)
        self.progress.step += 1
        if self.progress.step % READ_EVERY == 0:
            self.read()

    def _step(self, batch: Batch) -> None:
        lr, hr = batch.lr.to(self.device), batch.hr.to(self.device)
        with weights_in_bf16(self.model, self.recipe.rounded_weights):
            sr, parts, total = self._forward(lr, hr, batch)
            good = self._checked_backward(self.optimiser, total, self.model)
        if good:
            self._update(self.optimiser)
            self._update_usual_loss(total)
            self._update_average()
            if self.adversary is not None:
                loss = parts["discriminator"] = self._discriminator_loss(self.adversary, sr, hr)
                adversary = self.adversary
                if self._checked_backward(adversary.optimiser, loss, adversary.discriminator):
                    self._update(adversary.optimiser)
        self.progress.losses = {name: float(part.detach()) for name, part in parts.items()}

    def _deferred_step(self, batch: Batch, checks: DeferredChecks) -> None:
        """As `_step`, with the check on the device."""
        lr = batch.lr.to(self.device, non_blocking=True)
        hr = batch.hr.to(self.device, non_blocking=True)
        with weights_in_bf16(self.model, self.recipe.rounded_weights):
            sr, parts, total = self._forward(lr, hr, batch)
            norm = self._backward(self.optimiser, total, self.model)
        loss = self.group.mean(total.detach())
        limit = _EXPLOSION if self.progress.step > _SETTLED else None
        good = checks.is_good(loss, norm, limit)
        checks.count(good)
        checks.update_usual_loss(good, loss)
        step_if(self.optimiser, good)
        self._update_average()
        if self.adversary is not None:
            loss = parts["discriminator"] = self._discriminator_loss(self.adversary, sr, hr)
            optimiser = self.adversary.optimiser
            norm = self._backward(optimiser, loss, self.adversary.discriminator)
            good_too = checks.is_good(self.group.mean(loss.detach()), norm, None)
            checks.count(good_too | ~good)
            step_if(optimiser, good & good_too)
        checks.add(parts)

    def read(self) -> None:
        """Update the progress from the device, if steps are checked there.

        Raises:
            DivergedError: `diverged`.
        """
        if self.checks is None:
            return
        progress, reading = self.progress, self.checks.read()
        progress.losses = reading.losses or progress.losses
        progress.skipped, progress.bad_in_a_row = reading.skipped, reading.bad_in_a_row
        progress.usual_loss = reading.usual_loss
        self._check_not_diverged()

    def _forward(
        self, lr: Tensor, hr: Tensor, batch: Batch
    ) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """sr, its losses by name, and their weighted sum."""
        with self._autocast():
            sr = self._upscale(self.wrapped, lr).float()
            weights = {name: self._weight(name) for name in self.recipe.losses}
            wanted = [name for name, weight in weights.items() if weight]
            parts = self.objective(wanted, sr, hr, batch, partial(self._averaged_output, lr))
            if self.adversary is not None:
                parts["adversarial"] = self.adversary.generator_loss(sr, hr)
        total = torch.zeros_like(sr[0, 0, 0, 0])
        for name, part in parts.items():
            if name != "adversarial":
                total = total + weights[name] * part
        if self.adversary is not None:
            adversarial = parts["adversarial"]
            total = total + self.adversary.weighted(adversarial, total, self.progress.step)
            if self.recipe.adversarial_share:
                parts["balance"] = self.adversary.balance
        return sr, parts, total

    def _upscale(self, network: Callable[[Tensor], Tensor], lr: Tensor) -> Tensor:
        """A network's output for crops that are continued as the engine continues images."""
        margin = self.recipe.mirrored_margin
        if not margin:
            whole: Tensor = network(lr)
            return whole
        sr: Tensor = network(mirror_beyond(lr, before=margin, below=margin, right=margin))
        inside = slice(margin * self.model.scale, -margin * self.model.scale)
        return sr[..., inside, inside]

    @torch.no_grad()
    def _averaged_output(self, lr: Tensor) -> Tensor:
        """What the averaged weights make of lr, as in validation."""
        weights = self.averaged_weights()
        self.model.eval()
        made = self._upscale(lambda x: functional_call(self.model, weights, (x,)), lr).float()
        set_training_mode(self.model, self.recipe)
        return made

    def _discriminator_loss(self, adversary: Adversary, sr: Tensor, hr: Tensor) -> Tensor:
        with self._autocast():
            return adversary.discriminator_loss(sr, hr)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, self.precision, enabled=self.precision is not None)

    def _backward(
        self, optimiser: torch.optim.Optimizer, loss: Tensor, network: nn.Module
    ) -> Tensor:
        """Compute and clip the gradient, and return its norm."""
        optimiser.zero_grad(set_to_none=True)
        # torch leaves backward untyped.
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self.scaler.unscale_(optimiser)
        return nn.utils.clip_grad_norm_(network.parameters(), self.recipe.clip or math.inf)

    def _checked_backward(
        self, optimiser: torch.optim.Optimizer, loss: Tensor, network: nn.Module
    ) -> bool:
        """Compute and clip the gradient; count it as bad or return True."""
        value = float(self.group.mean(loss.detach()))
        usual = self.progress.usual_loss if optimiser is self.optimiser else 0.0
        good = math.isfinite(value)
        if usual and self.progress.step > _SETTLED and value > _EXPLOSION * usual:
            good = False
        if good:
            norm = self._backward(optimiser, loss, network)
            # The scaler itself skips steps that overflowed.
            good = bool(torch.isfinite(norm)) or self.scaler.is_enabled()
        if not good:
            self.progress.skipped += 1
            self.progress.bad_in_a_row += 1
            self._check_not_diverged()
        return good

    def _update(self, optimiser: torch.optim.Optimizer) -> None:
        self.scaler.step(optimiser)
        self.scaler.update()

    def _update_usual_loss(self, loss: Tensor) -> None:
        progress = self.progress
        progress.bad_in_a_row = 0
        share = 0.02 if progress.usual_loss else 1.0
        value = float(self.group.mean(loss.detach()))
        progress.usual_loss += share * (value - progress.usual_loss)

    def _check_not_diverged(self) -> None:
        if self.progress.bad_in_a_row >= MAX_BAD_STEPS:
            raise DivergedError("diverged", self.recipe.id, steps=MAX_BAD_STEPS)

    @torch.no_grad()
    def _update_average(self) -> None:
        # Early averages follow closely, so that they do not retain the initial weights.
        step = self.progress.step
        decay = min(self.recipe.ema, (1 + step) / (10 + step))
        values = self.model.state_dict()
        floats = [n for n, v in values.items() if v.is_floating_point()]
        # In one call, because many small ones keep a GPU waiting.
        torch._foreach_lerp_([self.ema[n] for n in floats], [values[n] for n in floats], 1 - decay)
        for name in values.keys() - set(floats):
            self.ema[name].copy_(values[name])

    def _weight(self, name: str) -> float:
        """The weight of a loss now: from what the teacher makes to the truth."""
        weight, until = self.recipe.losses[name], self.recipe.teacher_until
        if not until:
            return weight
        truth = min(1.0, self.done / until)
        return weight * (1 - truth if name == "teacher" else truth)

    def set_learning_rate(self, done: float) -> None:
        """Set what the schedule gives for the share `done` of the run: rate, and mix of losses."""
        recipe = self.recipe
        self.done = done
        factor = learning_rate_factor(recipe, done, self.progress.step)
        set_learning_rate(self.optimiser, recipe.learning_rate * factor)
        if self.adversary is not None:
            rate = recipe.discriminator_learning_rate * factor
            set_learning_rate(self.adversary.optimiser, rate)
        self.progress.learning_rate = recipe.learning_rate * factor

    def averaged_weights(self) -> dict[str, Tensor]:
        """The averaged weights, rounded to bfloat16 if the recipe says so."""
        return round_all_to_bf16(self.ema) if self.recipe.rounded_weights else self.ema

    def averaged_model(self) -> SRModel:
        """A copy of the network with the averaged weights, in evaluation mode.

        Raises:
            DivergedError: `weights-not-finite`.
        """
        if not all(bool(torch.isfinite(v).all()) for v in self.ema.values()):
            raise DivergedError("weights-not-finite", self.recipe.id)
        model = create_model(self.recipe.model, scale=self.recipe.scales[0], **self.recipe.config)
        model.load_state_dict(self.averaged_weights())
        return to_device(model, self.device).eval()

    def state(self) -> dict[str, Any]:
        """Everything needed to resume exactly; tensors and plain values only."""
        self.read()
        state = {
            "progress": asdict(self.progress),
            "model": self.model.state_dict(),
            "ema": self.ema,
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
            "random": torch.get_rng_state(),
        }
        if self.adversary is not None:
            state |= self.adversary.state()
        return state

    def load_state(self, state: dict[str, Any]) -> None:
        """Resume from `state()`."""
        self.progress = Progress(**state["progress"])
        if self.checks is not None:
            self.checks.restore(self.progress.skipped, self.progress.usual_loss)
        self.model.load_state_dict(state["model"])
        self.ema = {k: v.to(self.device).clone() for k, v in state["ema"].items()}
        self.optimiser.load_state_dict(state["optimiser"])
        self.scaler.load_state_dict(state["scaler"])
        torch.set_rng_state(state["random"])
        if self.adversary is not None:
            self.adversary.load_state(state)
