"""From model names and a factor to something that enlarges pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sr_cli.engine.enlarge import (
    BicubicEnlarger,
    Enlarger,
    NetworkEnlarger,
    RestoringEnlarger,
    best_scale,
)
from sr_cli.errors import RefusedError
from sr_cli.registry.manifest import Choice


@dataclass(frozen=True)
class EngineOptions:
    """How to compute: see `Upscaler`."""

    device: str = "auto"
    threads: int | None = None
    precision: str = "auto"
    tile: int | None = None
    tta: bool = False


def build_enlarger(choices: Sequence[Choice], factor: float, options: EngineOptions) -> Enlarger:
    """The networks of `choices` at the scale that suits `factor`, averaged when several.

    Bicubic alone needs no torch, and does not import it unless a device is named.

    Raises RefusedError when several have no scale in common, and what loading raises.
    """
    networks = [c for c in choices if not c.is_bicubic]
    if not networks and options.device in ("auto", "cpu"):
        return BicubicEnlarger()

    from sr_cli.engine.device import pick_device, prepare_cpu
    from sr_cli.engine.upscaler import Upscaler
    from sr_cli.networks import create_model
    from sr_cli.registry.load import load_choice, scales_of

    pick_device(options.device)
    if not networks:
        return BicubicEnlarger()
    prepare_cpu(options.threads)
    if any(c.chain for c in networks) or any(scales_of(c) == [1] for c in networks):
        return _restoring(choices, factor, options)
    scale = network_scale(networks, factor)
    if scale is None:
        names = ", ".join(c.name for c in networks)
        raise RefusedError(f"{names} have no scale in common")
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


def network_scale(choices: Sequence[Choice], factor: float) -> int | None:
    """The scale at which `build_enlarger` would take the networks; None if they share none, or
    for bicubic alone.
    """
    networks = [c for c in choices if not c.is_bicubic]
    if not networks:
        return None
    from sr_cli.registry.load import scales_of

    common = set.intersection(*(set(scales_of(c)) for c in networks))
    return best_scale(factor, sorted(common)) if common else None


def _restoring(choices: Sequence[Choice], factor: float, options: EngineOptions) -> Enlarger:
    """A chain: networks that keep the size, then at most one that enlarges."""
    from sr_cli.engine.upscaler import Upscaler
    from sr_cli.registry.load import load_choice, scales_of

    if len(choices) > 1:
        raise RefusedError("chains and networks that keep the size are not averaged with others")
    chain = choices[0].chain or choices
    first, last = list(chain[:-1]), chain[-1]
    if not last.is_bicubic and scales_of(last) == [1]:
        first, last = list(chain), Choice("bicubic")
    for step in first:
        if step.is_bicubic or scales_of(step) != [1]:
            raise RefusedError(
                f"{step.name} enlarges: in a chain only the last one may", "-m denoise.pth+edsr"
            )
    networks = [
        Upscaler(
            load_choice(step, scale=1),
            device=options.device,
            precision=options.precision,
            tile=options.tile,
            tta=options.tta,
        )
        for step in first
    ]
    return RestoringEnlarger(networks, build_enlarger([last], factor, options))
