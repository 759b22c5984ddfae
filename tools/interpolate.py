"""Mix two checkpoints of one network: SHARE of the first's weights, the rest of the second's.

    python tools/interpolate.py gan.safetensors base.safetensors --share 0.7 -o mix.safetensors

What an adversarial training invents too much of is taken back by the weights that it began with
(Wang et al., ESRGAN, section 3.4). The header is the first's.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from sr_cli.registry.checkpoint import load_checkpoint, save_checkpoint


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path)
    parser.add_argument("--share", type=float, default=0.7)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    if not 0 <= options.share <= 1:
        parser.error("--share: from 0 to 1")
    (first, header), (second, other) = map(load_checkpoint, (options.first, options.second))
    if (header.model, header.config, header.scales) != (other.model, other.config, other.scales):
        parser.error(f"{options.first} and {options.second} are not the same network")
    theirs = second.state_dict()
    mixed = {
        name: t.lerp(theirs[name], 1 - options.share) if t.is_floating_point() else t
        for name, t in first.state_dict().items()
    }
    save_checkpoint(options.output, replace(header, halo=None, figures={}), mixed)


if __name__ == "__main__":
    main()
