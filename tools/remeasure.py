"""Measure checkpoints of the package again, after the engine changed what they make.

    python tools/remeasure.py [FILE.safetensors ...] --test-sets DIR --lpips FILE

Weights stay as they are; figures change in the files and in weights_manifest.json, and in the
files whether half precision is safe.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from release import half_is_safe, publish, read_sets
from safetensors.torch import load_file

from sr_cli.engine.device import prepare_cpu
from sr_cli.evaluation.lpips import LPIPS
from sr_cli.registry.checkpoint import load_checkpoint, read_header, save_checkpoint
from sr_cli.registry.manifest import FOLDER


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", help="names in the package; none: all of them")
    parser.add_argument("--test-sets", type=Path, required=True)
    parser.add_argument("--lpips", type=Path, required=True)
    parser.add_argument("--margin", type=int, help="a margin other than the network's")
    options = parser.parse_args()
    prepare_cpu()
    sets, lpips = read_sets(options.test_sets), LPIPS("alex", options.lpips)
    for name in options.files or sorted(p.name for p in FOLDER.glob("*.safetensors")):
        path = FOLDER / name
        header = read_header(path)
        if options.margin is not None:
            header = replace(header, margin=options.margin)
        models = [load_checkpoint(path, scale=scale)[0] for scale in header.scales]
        safe = all(half_is_safe(model, sets) for model in models)
        header, tensors = replace(header, half_is_safe=safe), load_file(path)
        save_checkpoint(path, header, tensors)
        publish(path, header, tensors, sets, lpips)


if __name__ == "__main__":
    main()
