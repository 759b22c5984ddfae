"""Adversarial training: the discriminator, its losses and its optimiser."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import msgspec
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import spectral_norm

from sr_cli.errors import RefusedError, SrError
from sr_cli.networks.base import SRModel
from sr_cli.networks.srgan import Discriminator
from sr_cli.registry.tensors import load_pickle
from sr_cli.training.distributed import ProcessGroup
from sr_cli.training.losses import discriminator_loss, generator_loss
from sr_cli.training.network import to_device
from sr_cli.training.optimisers import make_optimiser
from sr_cli.training.recipe import Recipe

_SLOPE = 0.2
_BALANCE_EVERY, _MAX_BALANCE = 10, 10.0


class Adversary:
    """A discriminator in training.

    Args:
        recipe: The kind, the learning rate, and the weight of the loss.
        model: The network that is trained.
        device: Where to compute.
        group: The processes that share a batch.
        fused: Whether the optimiser must be able to skip a step on the device.
        init: A training state with the initial discriminator.

    Raises:
        RefusedError: `no-discriminator` if `init` has no discriminator of this kind.
    """

    def __init__(
        self,
        recipe: Recipe,
        model: SRModel,
        device: torch.device,
        group: ProcessGroup,
        *,
        fused: bool = False,
        init: Path | None = None,
    ) -> None:
        self.recipe = recipe
        self.model = model
        self.group = group
        self.relativistic = recipe.adversary == "relativistic"
        made = UNetDiscriminator() if recipe.discriminator == "unet" else Discriminator()
        self.discriminator: nn.Module = to_device(made, device)
        if init is not None:
            load_discriminator(self.discriminator, init)
        self.wrapped = group.wrap(self.discriminator)
        # Its last layer learns as fast as the others.
        even = msgspec.structs.replace(recipe, last_layer_rate=1.0)
        self.optimiser = make_optimiser(
            even, self.discriminator, recipe.discriminator_learning_rate, fused=fused
        )
        self.balance = torch.ones((), device=device)

    def generator_loss(self, sr: Tensor, hr: Tensor) -> Tensor:
        """The loss of the network on sr and hr (N, 3, h, w); only sr gets gradients."""
        self.discriminator.requires_grad_(False)
        sr, hr = self._seen(sr, hr)
        with torch.no_grad():
            real = self.discriminator(hr).float() if self.relativistic else sr.new_zeros(1)
        fake = self.discriminator(sr).float()
        return generator_loss(real, fake, relativistic=self.relativistic)

    def discriminator_loss(self, sr: Tensor, hr: Tensor) -> Tensor:
        """The loss of the discriminator on sr and hr (N, 3, h, w)."""
        self.discriminator.requires_grad_(True)
        sr, hr = self._seen(sr, hr)
        # Spectral norms are taken once for both.
        with parametrize.cached():
            real = self.wrapped(hr).float()
            fake = self.wrapped(sr.detach()).float()
        return discriminator_loss(real, fake, relativistic=self.relativistic)

    def _seen(self, sr: Tensor, hr: Tensor) -> tuple[Tensor, Tensor]:
        """The crops that the discriminator sees. They are random: the first are as good as any."""
        count = math.ceil(self.recipe.adversarial_crops * len(sr))
        return sr[:count], hr[:count]

    def weighted(self, loss: Tensor, others: Tensor, step: int) -> Tensor:
        """Weight the adversarial loss of the network.

        Args:
            loss: From `generator_loss`.
            others: The weighted sum of all other losses.
            step: The step; the weight rises over the first `adversarial_rise` steps.
        """
        r = self.recipe
        weight = r.losses["adversarial"]
        if r.adversarial_rise:
            weight *= min(1.0, step / r.adversarial_rise)
        if not r.adversarial_share:
            return weight * loss
        if step % _BALANCE_EVERY == 0:
            self._update_balance(loss, others, step)
        return weight * self.balance * loss

    def _update_balance(self, loss: Tensor, others: Tensor, step: int) -> None:
        """Esser et al., Taming Transformers, 2021, section 3.1, smoothed."""
        last = [p for p in self.model.parameters() if p.dim() > 1][-1]
        of_others, own = (
            torch.autograd.grad(part, last, retain_graph=True)[0].float().norm()
            for part in (others, loss)
        )
        wanted = self.group.mean(self.recipe.adversarial_share * of_others / (own + 1e-12))
        # Smoothed, so that no single batch sets the balance; non-finite values are ignored.
        moved = self.balance.lerp(wanted.clamp(max=_MAX_BALANCE), 0.1 if step else 1.0)
        self.balance = torch.where(torch.isfinite(moved), moved, self.balance)

    def state(self) -> dict[str, Any]:
        """Everything needed to resume exactly."""
        return {
            "discriminator": self.discriminator.state_dict(),
            "optimiser_d": self.optimiser.state_dict(),
            "balance": self.balance,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Resume from `state()`."""
        self.discriminator.load_state_dict(state["discriminator"])
        self.optimiser.load_state_dict(state["optimiser_d"])
        self.balance = state.get("balance", torch.ones(())).to(self.balance.device)


def load_discriminator(discriminator: nn.Module, state: Path) -> None:
    """Load the discriminator of a training state.

    Raises:
        RefusedError: `no-discriminator` if the file has no discriminator of this kind.
    """
    try:
        discriminator.load_state_dict(load_pickle(state)["discriminator"])
    except SrError as error:
        raise RefusedError("no-discriminator", state, reason=error.facts["reason"]) from error
    except Exception as error:
        # Whatever else the file holds has no such entry, or raises errors of any type.
        reason = str(error).splitlines()[0][:80]
        raise RefusedError("no-discriminator", state, reason=reason) from error


class UNetDiscriminator(nn.Module):
    """Tells hr from sr pixel by pixel (Wang et al., Real-ESRGAN, section 3.3).

    (N, 3, h, w) in [0, 1], sides that are multiples of 8 -> (N, 1, h, w) logits. A VGG-style
    discriminator says only that a crop is fake, this one also where.
    """

    def __init__(self, features: int = 64) -> None:
        super().__init__()
        f = features
        self.first = nn.Conv2d(3, f, 3, padding=1)
        self.down = nn.ModuleList(
            spectral_norm(nn.Conv2d(f << i, f << (i + 1), 4, stride=2, padding=1, bias=False))
            for i in range(3)
        )
        self.up = nn.ModuleList(
            spectral_norm(nn.Conv2d(f << (i + 1), f << i, 3, padding=1, bias=False))
            for i in (2, 1, 0)
        )
        self.smooth = nn.ModuleList(
            spectral_norm(nn.Conv2d(f, f, 3, padding=1, bias=False)) for _ in range(2)
        )
        self.last = nn.Conv2d(f, 1, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        # Weights are normalised once a pass and in float32: autocast would take the power
        # iteration's products in half precision, and its last one does not mix the two.
        with parametrize.cached():
            with torch.autocast(image.device.type, enabled=False):
                for layer in (*self.down, *self.up, *self.smooth):
                    assert isinstance(layer.weight, Tensor)
            return self._logits(image)

    def _logits(self, image: Tensor) -> Tensor:
        x = _leaky(self.first(image))
        skips = [x]
        for layer in self.down:
            x = _leaky(layer(x))
            skips.append(x)
        skips.pop()
        for layer in self.up:
            x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
            x = _leaky(layer(x)) + skips.pop()
        for layer in self.smooth:
            x = _leaky(layer(x))
        logits: Tensor = self.last(x)
        return logits


def _leaky(x: Tensor) -> Tensor:
    """Leaky ReLU in place: convolutions keep their inputs for the gradient, not their outputs."""
    return F.leaky_relu(x, _SLOPE, inplace=True)
