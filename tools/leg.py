"""One leg of training on another machine: from what travelled there to what comes back.

    python tools/leg.py train --data pack/ --recipe photo-x4 --init W.safetensors --trunk trunk.z \
        --seconds 480 --out OUT [-- more options of sr train]
    python tools/leg.py shrink lpips_vgg16.safetensors -o trunk.z

Little may travel, so VGG16's kernels go in 8 bits; and little may come back, so OUT gets the best
weights, the last, a few on the way, the discriminator and a small archive of the run, each under
16 MiB. The seconds count everything, from the start of this program.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tarfile
import threading
import time
import zlib
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load, load_file, save, save_file
from torch import Tensor

_STARTING = 25.0
"""Seconds for imports, images and the first kernels before the first step."""

_SNAPSHOTS = 3


def main() -> None:
    began = time.monotonic()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    commands = parser.add_subparsers(required=True)
    shrinking = commands.add_parser("shrink")
    shrinking.add_argument("trunk", type=Path)
    shrinking.add_argument("-o", "--output", type=Path, required=True)
    shrinking.set_defaults(do=lambda o: o.output.write_bytes(shrunk(load_file(o.trunk))))
    training = commands.add_parser("train")
    for name in ("data", "trunk", "out"):
        training.add_argument(f"--{name}", type=Path, required=True)
    for name in ("recipe", "init"):
        training.add_argument(f"--{name}", required=True)
    training.add_argument("--seconds", type=float, required=True)
    training.add_argument("more", nargs="*")
    training.set_defaults(do=lambda o: train(o, began))
    options = parser.parse_args()
    options.do(options)


def shrunk(tensors: dict[str, Tensor]) -> bytes:
    """Kernels in 8 bits with a scale for each output; the rest as it is."""
    small: dict[str, Tensor] = {}
    for name, values in tensors.items():
        if name.startswith("features") and values.dim() == 4:
            scale = values.float().abs().amax((1, 2, 3), keepdim=True) / 127
            small[name] = (values.float() / scale).round().to(torch.int8)
            small[f"{name}.scale"] = scale
        else:
            small[name] = values
    return zlib.compress(save(small), 9)


def grown(packed: bytes) -> dict[str, Tensor]:
    """What `shrunk` made, in half precision."""
    small = load(zlib.decompress(packed))
    scales = {n.removesuffix(".scale"): t for n, t in small.items() if n.endswith(".scale")}
    kept = {n: t for n, t in small.items() if not n.endswith(".scale")}
    return {n: (t.float() * scales[n]).half() if n in scales else t for n, t in kept.items()}


def train(options: argparse.Namespace, began: float) -> None:
    """`sr train`, and afterwards, whatever happened, everything that is to come back."""
    # Not its `main`, which leaves the process without coming back.
    from sr_cli.cli.main import app
    from sr_cli.evaluation import lpips

    output = options.out / "best.safetensors"
    scratch = Path(os.environ.get("SR_CACHE", "/tmp")) / f"leg-{options.out.name}"
    scratch.mkdir(parents=True, exist_ok=True)
    made = scratch / "trained.safetensors"
    trunk = scratch / "trunk.safetensors"
    tensors = grown(options.trunk.read_bytes())
    save_file(tensors, trunk)
    # The loss accepts the published weights alone: here it is told what their 8 bits amount to.
    known = lpips.NETWORKS["vgg"]
    lpips.NETWORKS["vgg"] = replace(known, content=lpips.content_hash(tensors))

    options.out.mkdir(parents=True, exist_ok=True)
    run = made.with_suffix(".run")
    limit = max(options.seconds / 2, options.seconds - _STARTING)
    late = threading.Timer(
        options.seconds + 8 - (time.monotonic() - began), os.kill, (os.getpid(), signal.SIGTERM)
    )
    late.daemon = True
    late.start()
    threading.Thread(target=keep_snapshots, args=(run, options.out), daemon=True).start()
    sys.argv = ["sr", "train", "--recipe", options.recipe, "--init", options.init]
    sys.argv += ["--data", str(options.data), "--trunk", str(trunk), "-o", str(made), "-y"]
    sys.argv += ["--time-limit", f"{limit:.0f}s", "--save-every", f"{limit / 4:.0f}s", "--json"]
    sys.argv += options.more
    try:
        app()
    finally:
        late.cancel()
        collect(made, run, output)
        print(f"leg: {time.monotonic() - began:.0f} s in all", flush=True)


def keep_snapshots(run: Path, out: Path) -> None:
    """Copies of the averaged weights as they are written."""
    last, seen, count = run / "last.safetensors", 0.0, 0
    while count < _SNAPSHOTS:
        time.sleep(2)
        if last.exists() and last.stat().st_mtime != seen:
            seen, count = last.stat().st_mtime, count + 1
            shutil.copy(last, out / f"snapshot-{count}.safetensors")


def collect(made: Path, run: Path, output: Path) -> None:
    """The best and the last weights, the discriminator, and the run's log and curves."""
    out = output.parent
    if made.exists():
        shutil.copy(made, output)
    if (run / "last.safetensors").exists():
        shutil.copy(run / "last.safetensors", out / "last.safetensors")
    if (run / "state.pt").exists():
        state = torch.load(run / "state.pt", map_location="cpu", weights_only=True)
        warm = {"model": state["model"]}
        if "discriminator" in state:
            warm["discriminator"] = {n: t.half() for n, t in state["discriminator"].items()}
        torch.save(warm, out / "warm.pt")
    with tarfile.open(out / "run.tar.gz", "w:gz") as archive:
        for name in ("log.jsonl", "run.json", "curves.png", "strips.png"):
            if (run / name).exists():
                archive.add(run / name, name)
    sizes = {f.name: f.stat().st_size for f in sorted(out.iterdir())}
    print("leg:", ", ".join(f"{n} {s / (1 << 20):.1f} MiB" for n, s in sizes.items()), flush=True)


if __name__ == "__main__":
    main()
