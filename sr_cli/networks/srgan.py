"""SRGAN: Ledig et al., Photo-Realistic Single Image Super-Resolution Using a GAN, CVPR 2017."""

from __future__ import annotations

from torch import Tensor, nn

from sr_cli.networks.srresnet import SRResNet


class SRGAN(SRResNet):
    """SRGAN's generator: SRResNet, trained against a discriminator."""

    name = "srgan"


class Discriminator(nn.Module):
    """Distinguishes hr from sr (figure 4, bottom): 64 to 512 features, two dense layers.

    (N, 3, h, w) in [0, 1], any size from 16x16 -> (N, 1) logits, without sigmoid.
    An adaptive pool before the dense layers gives 6x6, the size in the paper for 96x96 crops.
    """

    def __init__(self, features: int = 64) -> None:
        super().__init__()
        f = features
        layers: list[nn.Module] = [nn.Conv2d(3, f, 3, padding=1), nn.LeakyReLU(0.2)]
        plan = [(f, f, 2), (f, 2 * f, 1), (2 * f, 2 * f, 2), (2 * f, 4 * f, 1)]
        plan += [(4 * f, 4 * f, 2), (4 * f, 8 * f, 1), (8 * f, 8 * f, 2)]
        for inputs, outputs, stride in plan:
            layers += [
                nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1),
                nn.BatchNorm2d(outputs),
                nn.LeakyReLU(0.2),
            ]
        self.features = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d(6)
        self.dense = nn.Sequential(
            nn.Linear(8 * f * 36, 1024), nn.LeakyReLU(0.2), nn.Linear(1024, 1)
        )

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.dense(self.pool(self.features(image)).flatten(1))
        return logits


MODEL = SRGAN
