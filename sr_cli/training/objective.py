"""The objective: the recipe's losses, and the networks that they need."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from sr_cli.errors import RefusedError, SrError
from sr_cli.evaluation.dists import DISTS
from sr_cli.evaluation.lpips import LPIPS
from sr_cli.networks.base import SRModel
from sr_cli.registry.ref import load_model
from sr_cli.training import losses
from sr_cli.training.crops import Batch, luma_of
from sr_cli.training.network import to_device
from sr_cli.training.recipe import Recipe

_PERCEPTUAL = {"perceptual", "texture", "lpips", "dists"}
_NEEDS_RGB = (*sorted(_PERCEPTUAL), "adversarial")


class Objective:
    """The losses of a recipe, except the adversarial one.

    Args:
        recipe: Which losses, with which layers and teacher.
        model: The network to train.
        device: Where it is.
        trunk: A file with VGG's weights; None downloads them if a loss needs them.
        precision: The half precision of autocast, or None.

    Raises:
        RefusedError: `loss-needs-rgb`, `invalid-teacher`, `teacher-scale`, `teacher-is-luma`,
            `teacher-needs-one-scale`.
        SrError: As `VGGFeatures`, LPIPS and DISTS.
    """

    def __init__(
        self,
        recipe: Recipe,
        model: SRModel,
        device: torch.device,
        trunk: Path | None,
        precision: torch.dtype | None = None,
    ) -> None:
        self.recipe = recipe
        self.model = model
        self.device = device
        for name in _NEEDS_RGB:
            if name in (*recipe.losses, recipe.validate) and model.channels != 3:
                raise RefusedError("loss-needs-rgb", recipe.model, loss=name)
        self.teacher = self._load_teacher()
        self.features: losses.VGGFeatures | None = None
        if {"perceptual", "texture"} & set(recipe.losses):
            features = losses.VGGFeatures(
                recipe.perceptual_network,
                recipe.perceptual_layer,
                activated=recipe.perceptual_activated,
                weights=trunk,
            )
            features.features.to(precision)
            self.features = to_device(features, device)
        self.lpips: LPIPS | None = None
        if "lpips" in (*recipe.losses, recipe.validate):
            self.lpips = to_device(LPIPS("vgg", trunk), device)
        self.lpips_loss: LPIPS | None = None
        if self.lpips is not None and "lpips" in recipe.losses:
            # Autocast rounds frozen weights anew in each pass. Validation is in float32.
            self.lpips_loss = copy.deepcopy(self.lpips)
            self.lpips_loss.features.to(precision)
        self.dists: DISTS | None = None
        if "dists" in (*recipe.losses, recipe.validate):
            self.dists = to_device(DISTS(trunk), device)

    def __call__(
        self,
        wanted: Collection[str],
        sr: Tensor,
        hr: Tensor,
        batch: Batch,
        averaged: Callable[[], Tensor],
    ) -> dict[str, Tensor]:
        """Compute losses, unweighted, as scalars with gradients.

        Args:
            wanted: Names of the recipe's losses; only these are computed.
            sr: The network's output (N, C, h, w).
            hr: The original (N, C, h, w), on the same device.
            batch: For the teacher.
            averaged: Computes the output of the averaged weights, for `ldl`.
        """
        found = {n: loss(sr, hr) for n, loss in losses.PIXEL_LOSSES.items() if n in wanted}
        if "ldl" in wanted:
            found["ldl"] = losses.ldl(sr, hr, averaged())
        if _PERCEPTUAL & set(wanted):
            window = losses.random_window(sr, hr, self.recipe.perceptual_window)
            found |= self._perceptual(*window)
        if self.teacher is not None and "teacher" in wanted:
            found["teacher"] = F.l1_loss(sr, self._teacher_output(self.teacher, batch))
        return found

    @property
    def judge(self) -> LPIPS | DISTS | None:
        """The distance by which the best weights are chosen; None for PSNR."""
        return {"lpips": self.lpips, "dists": self.dists}.get(self.recipe.validate)

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
        if self.lpips_loss is not None:
            found["lpips"] = self.lpips_loss(sr, hr).mean()
        if self.dists is not None and "dists" in self.recipe.losses:
            found["dists"] = self.dists(sr, hr).mean()
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
