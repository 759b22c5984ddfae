"""From model names and a factor to something that enlarges pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sr_cli.errors import RefusedError
from sr_cli.inference.enlarge import BicubicEnlarger, Enlarger, NetworkEnlarger, best_scale
from sr_cli.weights.manifest import Choice


@dataclass(frozen=True)
class EngineOptions:
    """How to compute: see `Upscaler`."""

    device: str = "auto"
    threads: int | None = None
    precision: str = "auto"
    tile: int | None = None
    tta: bool = False


def trained_scales(choice: Choice) -> list[int]:
    """The scales for which a choice has weights; bicubic has every one."""
    if choice.file is not None:
        from sr_cli.weights.checkpoint import read_header

        return sorted(read_header(choice.file).scales)
    return [e.scale for e in choice.entries]


def build_enlarger(choices: Sequence[Choice], factor: float, options: EngineOptions) -> Enlarger:
    """The networks of `choices` at the scale that suits `factor`, averaged when several.

    Bicubic alone needs no torch, and does not import it unless a device is named.

    Raises RefusedError when several have no scale in common, and what loading raises.
    """
    networks = [c for c in choices if not c.is_bicubic]
    if not networks and options.device in ("auto", "cpu"):
        return BicubicEnlarger()

    from sr_cli.inference.device import pick_device, prepare_cpu
    from sr_cli.inference.upscaler import Upscaler
    from sr_cli.models import create_model
    from sr_cli.weights.load import load_choice

    pick_device(options.device)
    if not networks:
        return BicubicEnlarger()
    prepare_cpu(options.threads)
    common = set.intersection(*(set(trained_scales(c)) for c in networks))
    if not common:
        names = ", ".join(c.name for c in networks)
        raise RefusedError(f"{names} have no scale in common")
    scale = best_scale(factor, sorted(common))
    models = [
        create_model("bicubic", scale=scale) if c.is_bicubic else load_choice(c, scale=scale)
        for c in choices
    ]
    upscaler = Upscaler(
        models,
        device=options.device,
        precision=options.precision,
        tile=options.tile,
        tta=options.tta,
    )
    return NetworkEnlarger(upscaler)
