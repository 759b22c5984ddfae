"""Give a network what a relative has learnt since both had the same layers, without training.

    python tools/transfer.py edsr-baseline-x2.safetensors --from new-x4.safetensors \
        --since old-x4.safetensors --share 0.4 --layers head body -o start.safetensors

Adds --share of the relative's change between --since and --from to the layers of the same name and
shape (task arithmetic: Ilharco et al., ICLR 2023), only those whose names begin as --layers say
where it is given. Good for another scale's body, and for a network that began as the relative
(`tools/from_edsr.py` on both of its states). Held-back images say how large the share may be.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from sr_cli.registry.checkpoint import load_checkpoint, save_checkpoint


def transfer(
    own: dict[str, Tensor],
    later: dict[str, Tensor],
    earlier: dict[str, Tensor],
    *,
    share: float,
    layers: tuple[str, ...] = (),
) -> dict[str, Tensor]:
    """`own` with share * (later - earlier) added wherever all three have such a tensor."""
    moved = dict(own)
    for name, tensor in own.items():
        if (
            (not layers or name.startswith(layers))
            and name in later
            and name in earlier
            and later[name].shape == earlier[name].shape == tensor.shape
        ):
            moved[name] = tensor + share * (later[name] - earlier[name])
    return moved


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("network", type=Path)
    parser.add_argument("--from", dest="later", type=Path, required=True)
    parser.add_argument("--since", dest="earlier", type=Path, required=True)
    parser.add_argument("--share", type=float, default=0.4)
    parser.add_argument("--layers", nargs="+", default=[], help="how the names of layers begin")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    model, header = load_checkpoint(options.network)
    own, later, earlier = (
        m.state_dict()
        for m in (model, *(load_checkpoint(f)[0] for f in (options.later, options.earlier)))
    )
    made = transfer(own, later, earlier, share=options.share, layers=tuple(options.layers))
    changed = sum(not made[name].equal(tensor) for name, tensor in own.items())
    if not changed:
        parser.error(f"{options.network} and {options.later} have no such layers in common")
    save_checkpoint(options.output, replace(header, halo=None, figures={}), made)
    print(f"{changed} of {len(own)} tensors changed")


if __name__ == "__main__":
    main()
