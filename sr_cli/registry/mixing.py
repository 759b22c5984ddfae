"""One network between two sets of weights that share their start."""

from __future__ import annotations

from dataclasses import replace

from sr_cli.errors import SrError
from sr_cli.registry.loaded import LoadedModel


def mix(strong: LoadedModel, faithful: LoadedModel, strength: float, name: str) -> LoadedModel:
    """Interpolate the weights of two networks (Wang et al., ESRGAN, section 3.4).

    Args:
        strong: The weights at 1; its network is changed.
        faithful: The weights at 0.
        strength: The share of `strong`.
        name: The name of the model, for errors.

    Returns:
        `strong` with other weights. Tiles get the larger halo of the two.

    Raises:
        SrError: `weights-not-mixable` for networks of different shapes.
    """
    own, other = strong.network.state_dict(), faithful.network.state_dict()
    if {n: t.shape for n, t in own.items()} != {n: t.shape for n, t in other.items()}:
        raise SrError("weights-not-mixable", name)
    strong.network.load_state_dict(
        {n: other[n].lerp(t, strength) if t.is_floating_point() else t for n, t in own.items()}
    )
    a, b = strong.traits, faithful.traits
    halo = None if a.halo is None or b.halo is None else max(a.halo, b.halo)
    traits = replace(a, halo=halo, half_is_safe=a.half_is_safe and b.half_is_safe)
    return replace(strong, traits=traits)
