"""The two sides of the adversarial loss, on logits (SRGAN, section 2.2)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """-log D(hr) - log(1 - D(sr)), from logits (SRGAN, equation 2)."""
    return F.binary_cross_entropy_with_logits(
        real, torch.ones_like(real)
    ) + F.binary_cross_entropy_with_logits(fake, torch.zeros_like(fake))


def generator_loss(fake: Tensor) -> Tensor:
    """-log D(sr), from logits (SRGAN, equation 6)."""
    return F.binary_cross_entropy_with_logits(fake, torch.ones_like(fake))
