"""The two sides of the adversarial loss, on logits (N, 1) of the discriminator."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def discriminator_loss(real: Tensor, fake: Tensor, *, relativistic: bool = False) -> Tensor:
    """-log D(hr) - log(1 - D(sr)) (SRGAN, equation 2).

    Relativistic: each logit less the mean of the other side's (ESRGAN, section 3.2, L_D).
    """
    if relativistic:
        real, fake = real - fake.mean(), fake - real.mean()
    return _says(real, True) + _says(fake, False)


def generator_loss(real: Tensor, fake: Tensor, *, relativistic: bool = False) -> Tensor:
    """-log D(sr) (SRGAN, equation 6); relativistic: ESRGAN, equation 1, where hr counts too."""
    if not relativistic:
        return _says(fake, True)
    return _says(real - fake.mean(), False) + _says(fake - real.mean(), True)


def _says(logits: Tensor, verdict: bool) -> Tensor:
    wanted = torch.ones_like(logits) if verdict else torch.zeros_like(logits)
    return F.binary_cross_entropy_with_logits(logits, wanted)
