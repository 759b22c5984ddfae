"""What turns hr into lr, as data: names and ranges. The pixels are in `degrade`."""

from __future__ import annotations

from dataclasses import dataclass, field

from sr_cli.errors import RefusedError

DEGRADATIONS = ("bicubic", "noise", "photo")

Range = tuple[float, float]

_KERNELS = {
    "isotropic": 0.45,
    "anisotropic": 0.25,
    "generalised_isotropic": 0.12,
    "generalised_anisotropic": 0.03,
    "plateau_isotropic": 0.12,
    "plateau_anisotropic": 0.03,
}


@dataclass(frozen=True)
class Round:
    """One round of blur, resize, noise and compression (Wang et al., Real-ESRGAN, section 3).

    blur: how often there is any; sinc: how often it is a sinc filter; kernels: how often each
        other kind. blur_sigma in pixels; generalised and plateau: the ranges of their beta.
    up, down: how often the picture is enlarged and reduced; resize: by which factors.
    gaussian: how often noise is Gaussian (else Poisson); gaussian_sigma in 8-bit steps;
        poisson_scale: how strong; gray: how often it is the same in all channels.
    jpeg: range of the quality; webp: how often WebP takes JPEG's place.
    """

    blur: float = 1.0
    sinc: float = 0.1
    kernels: dict[str, float] = field(default_factory=lambda: dict(_KERNELS))
    blur_sigma: Range = (0.2, 3.0)
    generalised: Range = (0.5, 4.0)
    plateau: Range = (1.0, 2.0)
    up: float = 0.2
    down: float = 0.7
    resize: Range = (0.15, 1.5)
    gaussian: float = 0.5
    gaussian_sigma: Range = (1.0, 30.0)
    poisson_scale: Range = (0.05, 3.0)
    gray: float = 0.4
    jpeg: Range = (30.0, 95.0)
    webp: float = 0.1

    def __post_init__(self) -> None:
        """Raises RefusedError for shares and ranges that make no sense."""
        for name in ("blur", "sinc", "up", "down", "gaussian", "gray", "webp"):
            if not 0 <= getattr(self, name) <= 1:
                raise RefusedError(f"photo: {name} {getattr(self, name)} is no share from 0 to 1")
        if self.up + self.down > 1:
            raise RefusedError("photo: up and down are more than 1 together")
        least = {"resize": 0.01, "jpeg": 1.0, "blur_sigma": 0.01, "generalised": 0.01}
        most = {"resize": 8.0, "jpeg": 100.0, "blur_sigma": 20.0}
        for name in (
            "blur_sigma", "generalised", "plateau", "resize", "gaussian_sigma", "poisson_scale",
            "jpeg",
        ):  # fmt: skip
            low, high = getattr(self, name)
            if not least.get(name, 0.0) <= low <= high <= most.get(name, 1000.0):
                raise RefusedError(f"photo: {name} [{low:g}, {high:g}] is no usable range")
        if unknown := sorted(set(self.kernels) - set(_KERNELS)):
            raise RefusedError(f"photo: no kernel '{unknown[0]}'", ", ".join(_KERNELS))
        if min(self.kernels.values(), default=0) < 0 or not sum(self.kernels.values()):
            raise RefusedError("photo: kernels need shares that are not negative, one above 0")


@dataclass(frozen=True)
class Photo:
    """Two rounds, then a sinc filter and the second compression in random order.

    The ranges are those of Real-ESRGAN (section 4.1 and its published options); WebP is ours.
    clean: how often a crop is only reduced by bicubic, so that good pictures stay good.
    """

    first: Round = field(default_factory=Round)
    second: Round = field(
        default_factory=lambda: Round(
            blur=0.8,
            blur_sigma=(0.2, 1.5),
            up=0.3,
            down=0.4,
            resize=(0.3, 1.2),
            gaussian_sigma=(1.0, 25.0),
            poisson_scale=(0.05, 2.5),
        )
    )
    final_sinc: float = 0.8
    clean: float = 0.0
