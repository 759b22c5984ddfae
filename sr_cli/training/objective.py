"""What a network is trained for: the recipe's losses, and the networks that they need."""

from __future__ import annotations

from pathlib import Path

import msgspec
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sr_cli.errors import RefusedError, SrError
from sr_cli.evaluation.lpips import LPIPS
from sr_cli.networks.base import SRModel
from sr_cli.networks.srgan import Discriminator
from sr_cli.registry.ref import load_model
from sr_cli.training import losses
from sr_cli.training.crops import Batch, luma_of
from sr_cli.training.distributed import Group
from sr_cli.training.network import to_device
from sr_cli.training.optimisers import make_optimiser
from sr_cli.training.recipe import Recipe

_NEEDS_RGB = ("perceptual", "texture", "lpips", "adversarial")


class Objective:
    """The recipe's losses but the adversarial one.

    Args:
        recipe: Which losses, with which layers and teacher.
        model: The network to train.
        device: Where it is.
        trunk: A file with VGG's weights; None fetches them where a loss needs them.

    Raises:
        RefusedError: `loss-needs-rgb`, `invalid-teacher`, `teacher-scale`, `teacher-is-luma`,
            `teacher-needs-one-scale`.
        SrError: As `Features` and LPIPS.
    """

    def __init__(
        self, recipe: Recipe, model: SRModel, device: torch.device, trunk: Path | None
    ) -> None:
        self.recipe = recipe
        self.model = model
        self.device = device
        for name in _NEEDS_RGB:
            if name in recipe.losses and model.channels != 3:
                raise RefusedError("loss-needs-rgb", recipe.model, loss=name)
        self.teacher = self._load_teacher()
        self.features: losses.Features | None = None
        if {"perceptual", "texture"} & set(recipe.losses):
            features = losses.Features(
                recipe.perceptual_network,
                recipe.perceptual_layer,
                activated=recipe.perceptual_activated,
                weights=trunk,
            )
            self.features = to_device(features, device)
        self.lpips = to_device(LPIPS("vgg", trunk), device) if "lpips" in recipe.losses else None

    def __call__(self, sr: Tensor, hr: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Each loss by name, not weighted: scalars that gradients go through.

        Args:
            sr: The network's output (N, C, h, w).
            hr: The batch's, on the same device.
            batch: For the teacher.
        """
        wanted = self.recipe.losses
        found = {n: loss(sr, hr) for n, loss in losses.PIXEL_LOSSES.items() if n in wanted}
        if self.features is not None or self.lpips is not None:
            found |= self._perceptual(*losses.random_window(sr, hr))
        if self.teacher is not None and "teacher" in wanted:
            found["teacher"] = F.l1_loss(sr, self._teacher_output(self.teacher, batch))
        return found

    def _perceptual(self, sr: Tensor, hr: Tensor) -> dict[str, Tensor]:
        found = {}
        if self.features is not None:
            with torch.no_grad():
                of_hr = self.features(hr)
            of_sr = self.features(sr)
            if "perceptual" in self.recipe.losses:
                found["perceptual"] = losses.perceptual_loss(of_sr, of_hr)
            if "texture" in self.recipe.losses:
                found["texture"] = losses.texture_loss(of_sr, of_hr)
        if self.lpips is not None:
            found["lpips"] = self.lpips(sr, hr).mean()
        return found

    @torch.no_grad()
    def _teacher_output(self, teacher: SRModel, batch: Batch) -> Tensor:
        """The teacher's output for the batch, in the network's channels."""
        rgb = batch.rgb.to(self.device)
        if teacher.channels == 1:
            found: Tensor = teacher(luma_of(rgb)).float()
            return found
        found = teacher(rgb).float().clamp(0, 1)
        return luma_of(found) if self.model.channels == 1 else found

    def _load_teacher(self) -> SRModel | None:
        name, scales = self.recipe.teacher, self.recipe.scales
        if not name:
            return None
        if len(scales) > 1:
            raise RefusedError("teacher-needs-one-scale", name)
        try:
            teacher = load_model(name, scale=scales[0]).network
        except SrError as error:
            raise RefusedError("invalid-teacher", name, cause=error) from error
        if teacher.scale != scales[0]:
            raise RefusedError("teacher-scale", name, scale=teacher.scale, wanted=scales[0])
        if teacher.channels < self.model.channels:
            raise RefusedError("teacher-is-luma", name)
        return to_device(teacher, self.device).requires_grad_(False)


class Adversary:
    """The discriminator of an adversarial training, and its optimiser.

    Args:
        recipe: Its learning rate and the kind of loss.
        device: Where it computes.
        group: The processes that share a batch.
    """

    def __init__(self, recipe: Recipe, device: torch.device, group: Group) -> None:
        self.relativistic = recipe.adversary == "relativistic"
        self.discriminator: nn.Module = to_device(Discriminator(), device)
        self.wrapped = group.wrap(self.discriminator)
        # Its last layer learns as fast as the others.
        recipe = msgspec.structs.replace(recipe, last_layer_rate=1.0)
        self.optimiser = make_optimiser(
            recipe, self.discriminator, recipe.discriminator_learning_rate
        )

    def generator_loss(self, sr: Tensor, hr: Tensor) -> Tensor:
        """What the network gets; gradients go through sr alone."""
        self.discriminator.requires_grad_(False)
        with torch.no_grad():
            real = self.discriminator(hr).float() if self.relativistic else sr.new_zeros(1)
        fake = self.discriminator(sr).float()
        return losses.generator_loss(real, fake, relativistic=self.relativistic)

    def discriminator_loss(self, sr: Tensor, hr: Tensor) -> Tensor:
        """What the discriminator gets."""
        self.discriminator.requires_grad_(True)
        real = self.wrapped(hr).float()
        fake = self.wrapped(sr.detach()).float()
        return losses.discriminator_loss(real, fake, relativistic=self.relativistic)
