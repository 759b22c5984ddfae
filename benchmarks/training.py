"""Training speed: `sr train`'s step against a plain float32 NCHW loop, in turns, in one run.

    python benchmarks/training.py --data photos/ [--model edsr --model srresnet] [--quality 300]

The plain loop lives in a process of its own, because the allocator's settings hold for a whole
process; the two take turns, never at the same time.

Prints steps a second of both, their ratio, and the share of time in which the step waited for
crops. With --quality both train for so many steps from the same start on the same crops, and
the PSNR-Y on held-back images is compared.

    python benchmarks/training.py --recipe photo-x4 --against ../before --trunk FILE
        --set batch=8 --set lr_patch=24 --change discriminator_share=0.5

compares a recipe's step with that of another checkout of sr, in turns; --change holds for this one
only. Prints crops a second of both and their ratio.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F

from sr_cli.engine.device import prepare_cpu

if "--plain" not in sys.argv:
    prepare_cpu()

from sr_cli.networks import create_model
from sr_cli.networks.base import SRModel
from sr_cli.training.crops import Batch, Crops, prefetch
from sr_cli.training.data import DataReader, load_data
from sr_cli.training.events import ignore_event
from sr_cli.training.optimisers import learning_rate_factor
from sr_cli.training.papers import default_recipe
from sr_cli.training.recipe import Recipe
from sr_cli.training.recipe_files import make_recipe, read_recipe
from sr_cli.training.request import DEFAULT_VAL
from sr_cli.training.trainer import Trainer
from sr_cli.training.validation import Example, validation_figure


class Plain:
    """What a tutorial would write: float32, NCHW, Adam."""

    def __init__(self, recipe: Recipe) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe = recipe
        self.model: SRModel = create_model(recipe.model, scale=recipe.scales[0], **recipe.config)
        self.optimiser = torch.optim.Adam(self.model.parameters(), lr=recipe.learning_rate)
        self.model.train()

    def step(self, lr: torch.Tensor, hr: torch.Tensor) -> None:
        measure = F.mse_loss if "l2" in self.recipe.losses else F.l1_loss
        loss = measure(self.model(lr), hr)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawTextHelpFormatter
    parser.add_argument("--data", type=Path)
    parser.add_argument("--model", action="append")
    parser.add_argument("--scale", type=int, default=4)
    parser.add_argument("--steps", type=int, default=6, help="steps a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quality", type=int, default=0, help="compare after so many steps")
    parser.add_argument("--recipe", help="compare its step with that of --against")
    parser.add_argument("--against", type=Path, help="the folder of another checkout")
    parser.add_argument("--set", action="append", default=[], dest="settings")
    parser.add_argument("--change", action="append", default=[], help="as --set, only here")
    parser.add_argument("--trunk", type=Path)
    parser.add_argument("--plain", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve_recipe(options)
        return
    if options.recipe:
        if options.against is None:
            parser.error("--recipe requires --against")
        compare_builds(options)
        return
    if options.data is None:
        parser.error("--data or --recipe is required")
    for name in options.model or ["edsr", "srresnet"]:
        recipe = default_recipe(name, (options.scale,), batch=16, lr_patch=48)
        if options.plain:
            serve_plain(recipe)
        else:
            compare(recipe, options)


def serve_recipe(options: argparse.Namespace) -> None:
    """For each line on stdin, that many steps of a recipe; their seconds on stdout."""
    recipe = make_recipe(read_recipe(Path(options.recipe)), options.settings)
    trainer = Trainer(recipe, device=torch.device("cpu"), trunk=options.trunk)
    trainer.model.train()
    scale, side = recipe.scales[0], recipe.lr_patch
    lr = torch.rand(recipe.batch, trainer.model.channels, side, side)
    hr = torch.rand(*lr.shape[:2], side * scale, side * scale)
    lr, hr = (x.contiguous(memory_format=torch.channels_last) for x in (lr, hr))
    batch = Batch(lr, hr, lr, scale)
    for line in sys.stdin:
        began = time.perf_counter()
        for _ in range(int(line)):
            trainer.step(batch)
        print(time.perf_counter() - began, flush=True)


def compare_builds(options: argparse.Namespace) -> None:
    """A recipe's step here and in another checkout, in turns."""
    root = Path(__file__).resolve().parents[1]
    words = [sys.executable, __file__, "--serve", "--recipe", options.recipe]
    words += [] if options.trunk is None else ["--trunk", str(options.trunk.resolve())]
    words += [f"--set={setting}" for setting in options.settings]
    sides = {
        root: [f"--set={setting}" for setting in options.change],
        options.against.resolve(): [],
    }
    servers = [
        subprocess.Popen(
            [*words, *own],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(folder)},
        )
        for folder, own in sides.items()
    ]
    seconds: list[list[float]] = [[], []]
    for round_ in range(options.rounds + 1):
        for server, spent in zip(servers, seconds, strict=True):
            assert server.stdin is not None and server.stdout is not None
            print(options.steps, file=server.stdin, flush=True)
            taken = float(server.stdout.readline())
            if round_:  # The first round warms up.
                spent.append(taken)
    for server in servers:
        server.communicate()
    recipe = make_recipe(read_recipe(Path(options.recipe)), options.settings)
    crops = recipe.batch * options.steps
    ours, theirs = (statistics.median(spent) for spent in seconds)
    ratio = statistics.median(b / a for a, b in zip(*seconds, strict=True))
    print(
        f"{options.recipe}: here {crops / ours:.2f} crops/s, there {crops / theirs:.2f} crops/s, "
        f"ratio {ratio:.2f}"
    )


def serve_plain(recipe: Recipe) -> None:
    """For each line on stdin, that many steps; their seconds on stdout."""
    plain = Plain(recipe)
    scale = recipe.scales[0]
    lr = torch.rand(recipe.batch, plain.model.channels, recipe.lr_patch, recipe.lr_patch)
    hr = torch.rand(*lr.shape[:2], recipe.lr_patch * scale, recipe.lr_patch * scale)
    for line in sys.stdin:
        began = time.perf_counter()
        for _ in range(int(line)):
            plain.step(lr, hr)
        print(time.perf_counter() - began, flush=True)


def compare(recipe: Recipe, options: argparse.Namespace) -> None:
    """One network, both ways."""
    reader = DataReader(recipe, None, Path("unused.run"), ignore_event)
    pairs, examples = load_data(reader, [options.data], DEFAULT_VAL)
    ours = Trainer(recipe, device=torch.device("cpu"))
    ours.model.train()
    crops = Crops(pairs, recipe, channels=ours.model.channels)
    crops.precompute_lr()
    words = [sys.executable, __file__, "--plain", "--model", recipe.model]
    words += ["--scale", str(recipe.scales[0]), "--data", str(options.data)]
    theirs = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert theirs.stdin is not None and theirs.stdout is not None
    seconds, waited, fewer = [0.0, 0.0], 0.0, max(2, options.steps // 3)
    for round_ in range(options.rounds + 1):
        first = round_ * options.steps
        batches = prefetch(crops, first, first + options.steps)
        began = time.perf_counter()
        waiting = 0.0
        for _ in range(options.steps):
            t = time.perf_counter()
            batch = next(batches)
            waiting += time.perf_counter() - t
            ours.step(batch)
        spent = time.perf_counter() - began
        batches.close()
        print(fewer, file=theirs.stdin, flush=True)
        plain_spent = float(theirs.stdout.readline()) * options.steps / fewer
        if round_:  # The first round warms up.
            seconds[0] += spent
            seconds[1] += plain_spent
            waited += waiting
    theirs.stdin.close()
    theirs.wait()
    count = options.steps * options.rounds
    half = {None: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}[ours.precision]
    print(
        f"{recipe.id}: ours {count / seconds[0]:.2f} it/s ({half}), plain fp32 NCHW "
        f"{count / seconds[1]:.2f} it/s, ratio {seconds[1] / seconds[0]:.2f}, "
        f"computing {100 * (1 - waited / seconds[0]):.1f}% of the time",
        flush=True,
    )
    if options.quality:
        quality(recipe, crops, examples, options.quality)


def quality(recipe: Recipe, crops: Crops, examples: list[Example], steps: int) -> None:
    """The same crops, the same start, the same schedule: how far apart do they end?"""
    ours, plain = Trainer(recipe, device=torch.device("cpu")), Plain(recipe)
    ours.model.train()
    for step in range(steps):
        batch = crops.batch(step)
        ours.set_learning_rate(step / steps)
        ours.step(batch)
        for group in plain.optimiser.param_groups:
            group["lr"] = recipe.learning_rate * learning_rate_factor(recipe, step / steps, step)
        plain.step(batch.lr.contiguous(), batch.hr.contiguous())
    a = validation_figure(ours.model.eval(), examples, None)
    b = validation_figure(plain.model.eval(), examples, None)
    print(
        f"{recipe.id}: after {steps} steps {a:.3f} dB, plain {b:.3f} dB, {a - b:+.3f}", flush=True
    )


if __name__ == "__main__":
    main()
