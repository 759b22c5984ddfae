"""Degradations as data: names and ranges. `degrade` applies them to pixels."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Meta

from sr_cli.errors import RefusedError

Degradation = Literal["bicubic", "noise", "photo"]
DEGRADATIONS: tuple[str, ...] = get_args(Degradation)

KernelKind = Literal[
    "isotropic",
    "anisotropic",
    "generalised_isotropic",
    "generalised_anisotropic",
    "plateau_isotropic",
    "plateau_anisotropic",
]
Share = Annotated[float, Meta(ge=0, le=1)]
_Sigma = Annotated[float, Meta(ge=0.01, le=20)]
_Beta = Annotated[float, Meta(ge=0.01, le=1000)]
_Factor = Annotated[float, Meta(ge=0.01, le=8)]
_Strength = Annotated[float, Meta(ge=0, le=1000)]
_Quality = Annotated[float, Meta(ge=1, le=100)]


def _kernels() -> dict[KernelKind, float]:
    return {
        "isotropic": 0.45,
        "anisotropic": 0.25,
        "generalised_isotropic": 0.12,
        "generalised_anisotropic": 0.03,
        "plateau_isotropic": 0.12,
        "plateau_anisotropic": 0.03,
    }


class Round(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One round of blur, resize, noise and compression (Wang et al., Real-ESRGAN, section 3).

    Each field has its own description; shares are probabilities, pairs are ranges [low, high].

    Raises:
        RefusedError: `out-of-range` for a range whose ends are in the wrong order, and for shares
            that do not add up.
    """

    blur: Annotated[Share, Meta(description="How often the image is blurred.")] = 1.0
    sinc: Annotated[Share, Meta(description="How often the blur is a sinc filter.")] = 0.1
    kernels: Annotated[
        dict[KernelKind, Annotated[float, Meta(ge=0)]],
        Meta(
            description="How often each kind of kernel is used where the blur is no sinc filter.",
            extra_json_schema={"propertyNames": {"enum": list(get_args(KernelKind))}},
        ),
    ] = msgspec.field(default_factory=_kernels)
    blur_sigma: Annotated[
        tuple[_Sigma, _Sigma], Meta(description="Standard deviation of the blur, in pixels.")
    ] = (0.2, 3.0)
    generalised: Annotated[
        tuple[_Beta, _Beta], Meta(description="Shape (beta) of generalised Gaussian kernels.")
    ] = (0.5, 4.0)
    plateau: Annotated[
        tuple[_Strength, _Strength], Meta(description="Shape (beta) of plateau kernels.")
    ] = (1.0, 2.0)
    up: Annotated[Share, Meta(description="How often the image is resized up.")] = 0.2
    down: Annotated[Share, Meta(description="How often the image is resized down.")] = 0.7
    resize: Annotated[
        tuple[_Factor, _Factor], Meta(description="Factor of a resize; below 1 is down.")
    ] = (0.15, 1.5)
    gaussian: Annotated[
        Share, Meta(description="How often noise is Gaussian; otherwise it is Poisson noise.")
    ] = 0.5
    gaussian_sigma: Annotated[
        tuple[_Strength, _Strength],
        Meta(description="Standard deviation of Gaussian noise, in 8-bit steps."),
    ] = (1.0, 30.0)
    poisson_scale: Annotated[
        tuple[_Strength, _Strength], Meta(description="Strength of Poisson noise.")
    ] = (0.05, 3.0)
    gray: Annotated[Share, Meta(description="How often the noise is the same in all channels.")] = (
        0.4
    )
    jpeg: Annotated[
        tuple[_Quality, _Quality], Meta(description="Quality of the JPEG or WebP compression.")
    ] = (30.0, 95.0)
    webp: Annotated[Share, Meta(description="How often WebP takes the place of JPEG.")] = 0.1

    def __post_init__(self) -> None:
        for name in (
            "blur_sigma",
            "generalised",
            "plateau",
            "resize",
            "gaussian_sigma",
            "poisson_scale",
            "jpeg",
        ):
            low, high = getattr(self, name)
            if low > high:
                raise RefusedError("out-of-range", name, value=[low, high], allowed="low to high")
        if self.up + self.down > 1:
            value = round(self.up + self.down, 6)
            raise RefusedError("out-of-range", "up + down", value=value, allowed="at most 1")
        if not sum(self.kernels.values()) > 0:
            raise RefusedError("out-of-range", "kernels", value=0, allowed="a share above 0")


class Photo(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Two rounds, then a sinc filter and the second compression in random order.

    The ranges are those of Real-ESRGAN (section 4.1 and its published options), except for WebP.
    """

    first: Annotated[Round, Meta(description="The first round of degradation.")] = Round()
    second: Annotated[Round, Meta(description="The second round, on the result of the first.")] = (
        Round(
            blur=0.8,
            blur_sigma=(0.2, 1.5),
            up=0.3,
            down=0.4,
            resize=(0.3, 1.2),
            gaussian_sigma=(1.0, 25.0),
            poisson_scale=(0.05, 2.5),
        )
    )
    final_sinc: Annotated[Share, Meta(description="How often a sinc filter comes last.")] = 0.8
    clean: Annotated[
        Share,
        Meta(description="How often a crop is only downscaled, so that good images stay good."),
    ] = 0.0
