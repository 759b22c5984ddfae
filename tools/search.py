"""A search for a network's shape: the best of those that are fast enough here, by halving.

    python tools/search.py swift-x4 --data photos/ -o search/ --time-limit 2m
        --try features=24,32,40,48 --try blocks=3,5,7,9,12 --try layers=2,3 --try kernel=3,5

Every combination of the settings is built and timed in the engine on this machine, all in turn,
so that what else runs slows all of them; the shortest time of the rounds counts. Of those
whose time is --within so many times that of the recipe's own shape, --count are drawn. All train
equally long; the better ones, one in --divide, go on until they have trained --divide times as
long, and so on for --rungs (successive halving: Jamieson and Talwalkar, Non-stochastic Best Arm
Identification and Hyperparameter Optimization, 2016, figure 3). The figure is that of the recipe,
on held-back images. The recipe's own shape goes through all rungs, to compare with.

The output folder has a checkpoint and a run for each shape, and search.json. The same command
continues an interrupted search. The data is read anew for each shape: a few hundred images do.
"""

from __future__ import annotations

import argparse
import itertools
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from sr_cli.cli.console import report_error, say
from sr_cli.cli.durations import parse_duration
from sr_cli.engine.device import prepare_cpu
from sr_cli.errors import RefusedError, SrError
from sr_cli.system.files import atomic_write
from sr_cli.training.recipe import Recipe
from sr_cli.training.recipe_files import as_table, make_recipe, read_recipe
from sr_cli.training.request import DEFAULT_VAL, TrainingRequest, TrainingResult
from sr_cli.training.run_folder import RunFolder
from sr_cli.training.train import train

TRIED = {
    "swift": {
        "features": [24, 32, 40, 48],
        "blocks": [3, 5, 7, 9, 12],
        "layers": [2, 3],
        "kernel": [3, 5],
        "activation": ["relu", "leaky_relu"],
    }
}
"""What is tried of a network without --try."""

Setting = int | str
Config = dict[str, Setting]


class UnsuitableError(Exception):
    """Options that cannot work, said in a sentence."""


class Shape(msgspec.Struct):
    """One configuration, and what is known of it.

    Attributes:
        config: The network's settings.
        parameters: Weights and biases.
        seconds: Of the engine for one image, the shortest.
        figures: After each rung that it went through; None where the training diverged.
    """

    config: Config
    parameters: int
    seconds: float
    figures: list[float | None] = []

    @property
    def name(self) -> str:
        return "-".join(f"{key}-{value}" for key, value in self.config.items())


class Search(msgspec.Struct):
    """What search.json holds: how it searches, and the shapes so far, the recipe's own first."""

    settings: dict[str, Any]
    shapes: list[Shape]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("recipe", help="a recipe: a TOML file, or a shipped one by name")
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--val", default=DEFAULT_VAL, help="as in sr train")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the search")
    parser.add_argument("--try", action="append", default=[], dest="tried", metavar="NAME=A,B,...")
    parser.add_argument("--set", action="append", default=[], dest="changes", metavar="NAME=VALUE")
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--time-limit", metavar="TIME", help="of the first rung, for each shape")
    length.add_argument("--steps", type=int, help="of the first rung, instead of a time")
    parser.add_argument("--count", type=int, default=18, help="shapes to train (18)")
    parser.add_argument("--divide", type=int, default=3, help="one in so many goes on (3)")
    parser.add_argument("--rungs", type=int, default=3)
    parser.add_argument(
        "--within",
        type=float,
        nargs=2,
        default=[0.6, 1.0],
        metavar=("LOW", "HIGH"),
        help="time in the engine, in times that of the recipe's own shape (0.6 1.0)",
    )
    parser.add_argument("--size", type=int, default=128, help="side of the timed lr image (128)")
    parser.add_argument("--rounds", type=int, default=10, help="in which all are timed (10)")
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    least = {"count": 1, "divide": 2, "rungs": 1, "size": 8, "rounds": 1, "threads": 1, "steps": 1}
    for name, smallest in least.items():
        value = getattr(options, name)
        if value is not None and value < smallest:
            parser.error(f"--{name} must be at least {smallest}")
    try:
        raise SystemExit(run(options))
    except UnsuitableError as error:
        parser.error(str(error))
    except SrError as error:
        report_error(error)
        raise SystemExit(error.exit_code) from error
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def run(options: argparse.Namespace) -> int:
    """The whole search, or the rest of it; the exit code.

    Raises:
        UnsuitableError: As `parse_tried`, `read_search` and `candidates`.
        SrError: As `train`.
    """
    prepare_cpu(options.threads)
    for place in options.data:
        if not place.exists():
            raise RefusedError("path-not-found", place)
    recipe = make_recipe(read_recipe(options.recipe), options.changes)
    seconds = None if options.time_limit is None else parse_duration(options.time_limit)
    settings = {
        "recipe": as_table(recipe),
        "tried": parse_tried(options.tried) or TRIED.get(recipe.model, {}),
        "data": [str(place.resolve()) for place in options.data],
        **{name: getattr(options, name) for name in ("val", "steps", "count", "divide", "rungs")},
        **{name: getattr(options, name) for name in ("within", "size", "rounds", "threads")},
        "seconds": seconds,
    }
    if not settings["tried"]:
        raise UnsuitableError(f"--try says what to try of {recipe.model}, such as features=24,32")
    search = read_search(options.output, settings)
    if search is None:
        search = Search(settings, candidates(recipe, settings))
        save(options.output, search)
    for rung in range(options.rungs):
        for shape in in_rung(search, rung):
            if len(shape.figures) > rung:
                continue
            result = train_shape(options.output, shape, recipe, settings, rung)
            if result is not None and not result.done:
                say("the search was interrupted; the same command continues it")
                return 128 + (result.signal or 2)
            shape.figures.append(None if result is None else result.best)
            save(options.output, search)
            say(f"rung {rung + 1}: {shape.name}: {cell(shape.figures[-1])}")
    print(table(search))
    return 0


def parse_tried(texts: list[str]) -> dict[str, list[Setting]]:
    """`features=24,32` as the settings to combine.

    Raises:
        UnsuitableError: For anything else.
    """
    tried = {}
    for text in texts:
        name, _, values = text.partition("=")
        parts = [part.strip() for part in values.split(",")]
        if not name.strip() or not all(parts):
            raise UnsuitableError(f"--try {text}: not NAME=VALUE,VALUE,...")
        tried[name.strip()] = [int(part) if part.isdecimal() else part for part in parts]
    return tried


def read_search(folder: Path, settings: dict[str, Any]) -> Search | None:
    """The search in a folder; None for a folder that is new or empty.

    Raises:
        UnsuitableError: For a folder of something else, and for a search with other settings.
        RefusedError: `unreadable-file`.
    """
    file = folder / "search.json"
    if not file.exists():
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UnsuitableError(f"{folder}: exists, and no search is in it")
        return None
    try:
        search = msgspec.json.decode(file.read_bytes(), type=Search)
    except (OSError, msgspec.MsgspecError) as error:
        raise RefusedError("unreadable-file", file, reason=str(error)) from error
    wanted = msgspec.json.decode(msgspec.json.encode(settings))
    other = [name for name in wanted if wanted[name] != search.settings.get(name)]
    if other:
        raise UnsuitableError(f"{folder}: this search was begun with another {', '.join(other)}")
    return search


def save(folder: Path, search: Search) -> None:
    """Write search.json."""
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(folder / "search.json") as file:
        file.write(msgspec.json.format(msgspec.json.encode(search), indent=1))


def candidates(recipe: Recipe, settings: dict[str, Any]) -> list[Shape]:
    """The recipe's own shape, and those drawn from all that are about as fast.

    Raises:
        UnsuitableError: Where none is.
        RefusedError: As `create_model`.
    """
    tried = settings["tried"]
    grid = [dict(zip(tried, values, strict=True)) for values in itertools.product(*tried.values())]
    *others, own = timed([*grid, recipe.config], recipe, settings)
    others = [shape for shape in others if shape.config != own.config]
    low, high = (limit * own.seconds for limit in settings["within"])
    fit = [shape for shape in others if low <= shape.seconds <= high]
    say(f"{len(others)} shapes, {len(fit)} of them within the limits of time")
    if not fit:
        found = ", ".join(f"{time:.2f}" for time in sorted(s.seconds / own.seconds for s in others))
        raise UnsuitableError(f"no shape is --within these times of the recipe's own ({found})")
    random = np.random.default_rng(recipe.seed)
    drawn = random.permutation(len(fit))[: settings["count"]]
    return [own, *(fit[index] for index in sorted(drawn))]


def timed(configs: list[Config], recipe: Recipe, settings: dict[str, Any]) -> list[Shape]:
    """All shapes with the shortest time of the engine, each round one after the other."""
    from sr_cli.engine.upscaler import Upscaler
    from sr_cli.networks import create_model

    pixels = np.random.default_rng(0).integers(0, 256, (settings["size"],) * 2 + (3,), np.uint8)
    shapes, upscalers = [], []
    for config in configs:
        model = create_model(recipe.model, scale=recipe.scales[0], **recipe.config | config).eval()
        own = {name: model.config[name] for name in settings["tried"]}
        shapes.append(Shape(own, model.count_parameters(), float("inf")))
        upscalers.append(Upscaler(model))
        upscalers[-1](pixels)
    for _ in range(settings["rounds"]):
        for shape, upscaler in zip(shapes, upscalers, strict=True):
            began = time.perf_counter()
            upscaler(pixels)
            shape.seconds = min(shape.seconds, time.perf_counter() - began)
    return shapes


def in_rung(search: Search, rung: int) -> list[Shape]:
    """The recipe's own shape and those that go through a rung (0: all), the best first."""
    own, *others = search.shapes
    if rung == 0:
        return [own, *others]
    others = ranked([shape for shape in others if len(shape.figures) >= rung], search, rung)
    return [own, *others[: -(-len(others) // search.settings["divide"])]]


def ranked(shapes: list[Shape], search: Search, rung: int) -> list[Shape]:
    """The shapes by their figure after so many rungs, the best first."""
    from sr_cli.training.validation import FIGURES

    sign = -1 if FIGURES[search.settings["recipe"]["validate"]].higher_is_better else 1

    def key(shape: Shape) -> float:
        figure = shape.figures[rung - 1]
        return float("inf") if figure is None else sign * figure

    return sorted(shapes, key=key)


def train_shape(
    folder: Path, shape: Shape, recipe: Recipe, settings: dict[str, Any], rung: int
) -> TrainingResult | None:
    """Train a shape until the end of a rung, from where it is; None if it diverged."""
    times = settings["divide"] ** rung
    steps, seconds = settings["steps"], settings["seconds"]
    output = folder / f"{shape.name}.safetensors"
    resume = RunFolder(output).run_file.exists()
    request = TrainingRequest(
        data=settings["data"],
        val=settings["val"],
        output=output,
        steps=None if steps is None else steps * times,
        seconds=None if seconds is None else seconds * times,
        threads=settings["threads"],
        resume=resume,
        overwrite=not resume,
    )
    own = msgspec.structs.replace(recipe, config=recipe.config | shape.config)
    try:
        return train(None if resume else own, request)
    except SrError as error:
        if error.code != "diverged":
            raise
        return None


def table(search: Search) -> str:
    """All shapes as Markdown, the best after the most rungs first, the recipe's own last."""
    from sr_cli.training.validation import FIGURES

    settings, (own, *rest) = search.settings, search.shapes
    rungs, wanted = settings["rungs"], FIGURES[settings["recipe"]["validate"]]
    unit = "s" if settings["steps"] is None else "steps"
    length = settings["seconds"] or settings["steps"]
    ends = [f"{wanted.name}, {length * settings['divide'] ** r:g} {unit}" for r in range(rungs)]
    columns = [*settings["tried"], "parameters", "ms", "time", *ends]
    lines = ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    order: list[Shape] = []
    for rung in range(rungs, 0, -1):
        found = [s for s in rest if len(s.figures) >= rung and s not in order]
        order += ranked(found, search, rung)
    for shape in [*order, own]:
        figures = [cell(f, wanted.digits) for f in shape.figures]
        times = [f"{shape.seconds * 1000:.1f}", f"{shape.seconds / own.seconds:.2f}"]
        cells = [*map(str, shape.config.values()), f"{shape.parameters:,}", *times, *figures]
        lines.append("| " + " | ".join(cells + [""] * (len(columns) - len(cells))) + " |")
    return "\n".join(lines)


def cell(figure: float | None, digits: int = 3) -> str:
    """A figure as text."""
    return "diverged" if figure is None else f"{figure:.{digits}f}"


if __name__ == "__main__":
    main()
