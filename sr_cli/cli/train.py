"""`sr train`: from a folder of pictures to a checkpoint."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sr_cli.cli.console import print_json, say, shown
from sr_cli.cli.train_recipe import recipe_from, same_place, stored_run, whole_scales
from sr_cli.errors import ExitCode, RefusedError

if TYPE_CHECKING:
    from sr_cli.training.plan import Plan
    from sr_cli.training.recipe import Recipe

DEFAULT_VAL = "0.02"
_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}


def parse_duration(text: str) -> float:
    """`90`, `45s`, `30m`, `8h`, `1h30m` as seconds. Raises RefusedError for anything else."""
    compact = text.strip().lower().replace(" ", "")
    if re.fullmatch(r"\d+(\.\d+)?", compact):
        compact += "s"
    parts = re.findall(r"(\d+(?:\.\d+)?)(min|[smhd])", compact)
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if "".join(n + u for n, u in parts) != compact or seconds <= 0:
        raise RefusedError(f"'{text}' is no duration above 0", "for instance 90m or 8h")
    return seconds


def train(
    model: Annotated[
        str | None, typer.Option("-m", "--model", help="Network to train (see sr models).")
    ] = None,
    scale: Annotated[
        list[str] | None,
        typer.Option("-x", "-s", "--scale", help="2, 3 or 4; several for one set of weights."),
    ] = None,
    data: Annotated[
        list[Path] | None,
        typer.Option(
            "--data", help="Folder or file of pictures; a folder with hr/ and lr/ holds pairs."
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Checkpoint, ending in .safetensors."),
    ] = None,
    recipe: Annotated[
        Path | None,
        typer.Option("--recipe", help="TOML file, or a shipped recipe by name: espcn-x4."),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="One field of the recipe."),
    ] = None,
    val: Annotated[
        str | None,
        typer.Option(
            "--val", help="Validation: a share held back, a folder, or Set5,Set14…; default 0.02."
        ),
    ] = None,
    init: Annotated[
        str | None, typer.Option("--init", help="Start from this checkpoint's weights.")
    ] = None,
    teacher: Annotated[
        str | None, typer.Option("--teacher", help="Also learn from this model's pictures.")
    ] = None,
    steps: Annotated[int | None, typer.Option("--steps", help="Length of the run.")] = None,
    epochs: Annotated[
        float | None, typer.Option("--epochs", help="Length: how often each pixel is seen.")
    ] = None,
    time_limit: Annotated[
        str | None, typer.Option("--time-limit", help="Length: 90m, 8h; over all resumed legs.")
    ] = None,
    batch: Annotated[int | None, typer.Option("--batch", help="Crops a step.")] = None,
    lr_patch: Annotated[
        int | None,
        typer.Option("--lr-patch", help="Side of a crop in lr pixels (of the largest scale)."),
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option("--learning-rate", help="Highest learning rate.")
    ] = None,
    degradation: Annotated[
        str | None, typer.Option("--degradation", help="bicubic, noise or photo.")
    ] = None,
    precision: Annotated[
        str | None, typer.Option("--precision", help="auto, fp32, bf16 or fp16.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", help="All that is random follows it.")
    ] = None,
    trunk: Annotated[
        Path | None, typer.Option("--trunk", help="VGG's convolutions from a file; else fetched.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    threads: Annotated[int | None, typer.Option(help="CPU threads. Default: all cores.")] = None,
    memory: Annotated[
        int | None, typer.Option(help="MiB of pictures kept in memory; more go to a mapped file.")
    ] = None,
    save_every: Annotated[
        str, typer.Option("--save-every", help="How often the state is written.")
    ] = "2m",
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in NAME.run, exactly.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("-y", "--overwrite", help="Start anew where a run or result is.")
    ] = False,
    preview: Annotated[
        int | None,
        typer.Option("--preview", help="Draw so many crops into -o sheet.png, and stop."),
    ] = None,
    print_recipe: Annotated[
        bool, typer.Option("--print-recipe", help="Print the recipe as TOML, and stop.")
    ] = False,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Also log for TensorBoard (an extra).")
    ] = False,
    licence: Annotated[
        str, typer.Option("--licence", help="Licence of the weights, for the header.")
    ] = "",
    json_: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say only errors.")] = False,
) -> None:
    """Train a network on a folder of pictures; sr upscale reads the checkpoint.

    NAME.run/ beside the checkpoint holds the state, log.jsonl and curves.png. Ctrl-C saves the
    state; --resume goes on exactly. With torchrun, several processes share each batch.

    Exit codes: 0 trained; 1 failed; 2 refused before the first step; 130 interrupted;
    143 terminated; both can be resumed.
    """
    limits = [n for n, v in (("steps", steps), ("epochs", epochs), ("time-limit", time_limit)) if v]
    if len(limits) > 1:
        raise RefusedError(f"--{' and --'.join(limits)} contradict each other", "give one of them")
    if epochs is not None and not 0 < epochs < math.inf:
        raise RefusedError(f"--epochs {epochs:g}: must be a number above 0")
    for name, value in (("threads", threads), ("memory", memory)):
        if value is not None and value < 1:
            raise RefusedError(f"--{name} {value}: must be at least 1")
    if resume and overwrite:
        raise RefusedError("--resume and --overwrite contradict each other")
    seconds = None if time_limit is None else parse_duration(time_limit)
    own = {
        "model": model,
        "scales": whole_scales(scale) if scale else None,
        "steps": steps,
        "batch": batch,
        "lr_patch": lr_patch,
        "learning_rate": learning_rate,
        "degradation": degradation,
        "precision": precision,
        "seed": seed,
        "teacher": teacher,
    }
    given = {name: value for name, value in own.items() if value is not None}
    if resume:
        stored, chosen = stored_run(output, model, scale, recipe, given, set_ or [])
        data = data or [Path(p) for p in stored["data"]]
        for option, place in (("val", val), ("init", init)):
            if place is not None and not same_place(place, stored[option]):
                raise RefusedError(
                    f"the run to resume has --{option} {stored[option]}, not {place}"
                )
        val, init = stored["val"], stored["init"]
        trunk = trunk or (Path(stored["trunk"]) if stored["trunk"] else None)
        licence = licence or stored["licence"]
        threads = threads or stored.get("threads")
        if not limits:
            seconds, epochs = stored["seconds"], stored["epochs"]
    else:
        chosen = recipe_from(recipe, given, set_ or [])
    if print_recipe:
        from sr_cli.training.recipe_files import as_toml

        typer.echo(as_toml(chosen), nl=False)
        return
    if not data:
        raise RefusedError("no pictures to train on", "--data FOLDER")
    output = output or Path(f"{chosen.id}.{'png' if preview else 'safetensors'}")
    if preview is not None:
        _preview(chosen, data, output, preview, overwrite, memory)
        return
    if output.suffix != ".safetensors":
        raise RefusedError(f"{output}: a checkpoint ends in .safetensors")

    from sr_cli.training.plan import Plan

    plan = Plan(
        chosen,
        output,
        tuple(data),
        val=val or DEFAULT_VAL,
        seconds=seconds,
        epochs=epochs,
        init=init,
        trunk=trunk,
        device=device,
        threads=threads,
        memory=None if memory is None else memory << 20,
        save_seconds=parse_duration(save_every),
        resume=resume,
        overwrite=overwrite,
        tensorboard=tensorboard,
        licence=licence,
    )
    _run(plan, json_, quiet)


def _run(plan: Plan, json_: bool, quiet: bool) -> None:
    from sr_cli.cli.train_report import Watcher
    from sr_cli.training.loop import fit
    from sr_cli.training.parallel import is_leader

    with Watcher(plan, quiet) as watcher:
        outcome = fit(plan, watcher)
    progress = outcome.progress
    if json_ and is_leader():
        print_json(
            {
                "output": str(plan.output),
                "done": outcome.done,
                "step": progress.step,
                "seconds": round(progress.seconds, 1),
                "waited": round(progress.waited, 1),
                "psnr_y": progress.figure,
                "best_psnr_y": progress.best if progress.best_step else None,
                "best_step": progress.best_step,
                "skipped": progress.skipped,
            }
        )
    if outcome.signal is not None and not outcome.done:
        if is_leader():
            way = f"sr train --resume -o {shown(plan.output)}"
            say(f"stopped at step {progress.step}; to go on: {way}")
        interrupted = outcome.signal == 2
        raise typer.Exit(ExitCode.INTERRUPTED if interrupted else ExitCode.TERMINATED)


def _preview(
    recipe: Recipe,
    data: list[Path],
    output: Path,
    count: int,
    overwrite: bool,
    memory: int | None,
) -> None:
    if count < 1:
        raise RefusedError(f"--preview {count}: must be at least 1")
    if output.suffix.lower() != ".png":
        raise RefusedError(f"{output}: the sheet is a .png")
    if output.exists() and not overwrite:
        raise RefusedError(f"{output}: exists already", "-y overwrites")

    from sr_cli.training.plan import draw_preview

    draw_preview(recipe, tuple(data), output, count, None if memory is None else memory << 20)
    say(f"{output}: {count} crops, lr beside hr")
