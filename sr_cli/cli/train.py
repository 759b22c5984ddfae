"""`sr train`: options become a recipe and a request; the result becomes JSON and an exit code."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sr_cli.cli.console import print_json, say, shown
from sr_cli.cli.durations import parse_duration
from sr_cli.cli.options import takes
from sr_cli.cli.upscale_options import parse_scale
from sr_cli.errors import ExitCode, RefusedError

if TYPE_CHECKING:
    from sr_cli.training.recipe import Recipe
    from sr_cli.training.request import TrainingRequest, TrainingResult


def parse_scales(texts: list[str]) -> list[int]:
    """`-x 4`, `-x 2 -x 3`, `-x 2,3,4` as integers.

    Raises:
        RefusedError: `wrong-type` for a factor that is no integer, and as `parse_scale`.
    """
    found = []
    for text in ",".join(texts).split(","):
        factor = parse_scale(text)
        if factor != int(factor):
            raise RefusedError("wrong-type", "--scale", value=text, wanted="an integer")
        found.append(int(factor))
    return sorted(set(found))


@dataclass(frozen=True)
class Options:
    """The command line of `sr train`."""

    model: Annotated[
        str | None, typer.Option("-m", "--model", help="Network to train (see sr models).")
    ] = None
    scale: Annotated[
        list[str] | None,
        typer.Option(
            "-x",
            "-s",
            "--scale",
            help="2, 3 or 4. Several (2,3,4) for a network with one set of weights.",
        ),
    ] = None
    data: Annotated[
        list[Path] | None,
        typer.Option(
            "--data",
            help="Folder or file of images; a folder with hr/ and lr/ holds pairs. Repeat for "
            "several.",
        ),
    ] = None
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Checkpoint to write, ending in .safetensors."),
    ] = None
    recipe: Annotated[
        Path | None,
        typer.Option(
            "--recipe", help="Recipe: a TOML file, or a shipped one by name, such as espcn-x4."
        ),
    ] = None
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Set one field of the recipe."),
    ] = None
    val: Annotated[
        str | None,
        typer.Option(
            "--val",
            help="Validation data: a share to hold back, a folder, or test sets (Set5,Set14). "
            "Default: 0.02.",
        ),
    ] = None
    init: Annotated[
        str | None, typer.Option("--init", help="Start from the weights of this model.")
    ] = None
    teacher: Annotated[
        str | None, typer.Option("--teacher", help="Also learn from the output of this model.")
    ] = None
    steps: Annotated[int | None, typer.Option("--steps", help="Length of the run in steps.")] = None
    epochs: Annotated[
        float | None,
        typer.Option("--epochs", help="Length of the run: how often each pixel is seen."),
    ] = None
    time_limit: Annotated[
        str | None,
        typer.Option(
            "--time-limit",
            help="Length of the run as a time: 90m, 8h. Includes interrupted parts.",
        ),
    ] = None
    batch: Annotated[int | None, typer.Option("--batch", help="Crops per step.")] = None
    lr_patch: Annotated[
        int | None,
        typer.Option("--lr-patch", help="Crop size in lr pixels, at the largest scale."),
    ] = None
    learning_rate: Annotated[
        float | None, typer.Option("--learning-rate", help="Peak learning rate.")
    ] = None
    degradation: Annotated[
        str | None, typer.Option("--degradation", help="bicubic, noise or photo.")
    ] = None
    precision: Annotated[
        str | None, typer.Option("--precision", help="auto, fp32, bf16 or fp16.")
    ] = None
    seed: Annotated[int | None, typer.Option("--seed", help="Random seed.")] = None
    trunk: Annotated[
        Path | None,
        typer.Option(
            "--trunk", help="Read VGG's weights from this file instead of downloading them."
        ),
    ] = None
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto"
    threads: Annotated[int | None, typer.Option(help="CPU threads. Default: all cores.")] = None
    memory: Annotated[
        int | None,
        typer.Option(
            help="Keep up to this many MiB of images in memory, the rest in a mapped file."
        ),
    ] = None
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            help="Processes that make crops; 0 for threads. Default: chosen for the device.",
        ),
    ] = None
    init_discriminator: Annotated[
        Path | None,
        typer.Option("--init-discriminator", help="Start from the discriminator of this state.pt."),
    ] = None
    save_every: Annotated[
        str, typer.Option("--save-every", help="How often to save the state.")
    ] = "2m"
    resume: Annotated[
        bool, typer.Option("--resume", help="Resume the interrupted run in NAME.run.")
    ] = False
    overwrite: Annotated[
        bool, typer.Option("-y", "--overwrite", help="Overwrite an existing run or checkpoint.")
    ] = False
    preview: Annotated[
        int | None,
        typer.Option(
            "--preview", help="Draw this many training crops into -o sheet.png, and exit."
        ),
    ] = None
    print_recipe: Annotated[
        bool, typer.Option("--print-recipe", help="Print the recipe as TOML, and exit.")
    ] = False
    print_schema: Annotated[
        bool,
        typer.Option(
            "--print-schema", help="Print the JSON schema of recipes, for editors, and exit."
        ),
    ] = False
    tensorboard: Annotated[
        bool,
        typer.Option("--tensorboard", help="Also log to TensorBoard (extra: tensorboard)."),
    ] = False
    licence: Annotated[
        str,
        typer.Option(
            "--licence", "--license", help="Licence of the weights, stored in the checkpoint."
        ),
    ] = ""
    json_: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False
    quiet: Annotated[bool, typer.Option("--quiet", help="Print only errors.")] = False


@takes(Options)
def train(options: Options) -> None:
    """Train a network on a folder of images.

    NAME.run/ next to the checkpoint holds the state, log.jsonl and
    curves.png. Ctrl-C saves the state, and --resume continues from it
    exactly. Under torchrun, several processes share each batch.

    Exit codes: 0 trained; 1 failed; 2 refused before the first step;
    130 interrupted; 141 stdout closed; 143 terminated. Runs that ended
    with 130 or 143 can be resumed.
    """
    if options.print_schema:
        from sr_cli.training.recipe_files import recipe_schema

        typer.echo(recipe_schema(), nl=False)
    elif options.print_recipe:
        from sr_cli.training.recipe_files import as_toml

        typer.echo(as_toml(_recipe(options)), nl=False)
    elif options.preview is not None:
        _preview(options, options.preview)
    else:
        recipe = _recipe(options)
        _train(recipe, _request(options), options)


def _recipe(options: Options) -> Recipe:
    """The recipe of a new run, or that of the run to resume, overridden by the options."""
    from sr_cli.training.recipe_files import read_recipe
    from sr_cli.training.train import build_recipe, default_output

    given = {
        "model": options.model,
        "scales": parse_scales(options.scale) if options.scale else None,
        "steps": options.steps,
        "batch": options.batch,
        "lr_patch": options.lr_patch,
        "learning_rate": options.learning_rate,
        "degradation": options.degradation,
        "precision": options.precision,
        "seed": options.seed,
    }
    table: dict[str, Any] = read_recipe(options.recipe) if options.recipe else {}
    table |= {name: value for name, value in given.items() if value is not None}
    resume = None
    if options.resume:
        if options.output is None and not (options.model and options.scale):
            raise RefusedError("missing-option", "--output", example="-o mine.safetensors")
        resume = options.output or default_output(table["model"], table["scales"])
    return build_recipe(table, options.settings or [], teacher=options.teacher, resume=resume)


def _request(options: Options) -> TrainingRequest:
    from sr_cli.training.request import TrainingRequest

    return TrainingRequest(
        data=options.data or (),
        output=options.output,
        val=options.val,
        steps=options.steps,
        epochs=options.epochs,
        seconds=None if options.time_limit is None else parse_duration(options.time_limit),
        init=options.init,
        trunk=options.trunk,
        device=options.device,
        threads=options.threads,
        memory=None if options.memory is None else options.memory << 20,
        workers=options.workers,
        init_discriminator=options.init_discriminator,
        save_seconds=parse_duration(options.save_every),
        resume=options.resume,
        overwrite=options.overwrite,
        tensorboard=options.tensorboard,
        licence=options.licence,
    )


def _train(recipe: Recipe, request: TrainingRequest, options: Options) -> None:
    from sr_cli.cli.train_view import TrainingView
    from sr_cli.training.ranks import is_main_process
    from sr_cli.training.train import train as train_network

    with TrainingView(options.quiet) as view:
        result = train_network(recipe, request, view)
    if not is_main_process():
        raise typer.Exit(_exit_code(result))
    if options.json_:
        print_json(_record(result, recipe))
    if code := _exit_code(result):
        say(
            f"stopped at step {result.steps}; "
            f"to resume: sr train --resume -o {shown(result.output)}"
        )
    raise typer.Exit(code)


def _record(result: TrainingResult, recipe: Recipe) -> dict[str, Any]:
    figure = {"psnr": "psnr_y"}.get(recipe.validate, recipe.validate)
    return {
        "output": str(result.output),
        "done": result.done,
        "step": result.steps,
        "seconds": round(result.seconds, 1),
        "waited": round(result.waited, 1),
        figure: result.figure,
        f"best_{figure}": result.best,
        "best_step": result.best_step,
        "skipped": result.skipped,
    }


def _exit_code(result: TrainingResult) -> int:
    if result.done or result.signal is None:
        return ExitCode.OK
    return ExitCode.INTERRUPTED if result.signal == signal.SIGINT else ExitCode.TERMINATED


def _preview(options: Options, count: int) -> None:
    recipe = _recipe(options)
    if count < 1:
        raise RefusedError("out-of-range", "--preview", value=count, allowed="at least 1")
    if not options.data:
        raise RefusedError("missing-option", "--data", example="--data photos/")
    output = options.output or Path(f"{recipe.id}.png")
    if output.suffix.lower() != ".png":
        raise RefusedError("wrong-suffix", output, suffix=".png")
    if output.exists() and not options.overwrite:
        raise RefusedError("already-exists", output)

    from sr_cli.training.preview import draw_preview

    memory = None if options.memory is None else options.memory << 20
    draw_preview(recipe, options.data, output, count, memory=memory)
    say(f"{shown(output)}: {count} crops, lr beside hr")
