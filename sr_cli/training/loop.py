"""The training loop, from a plan to a checkpoint, in the order in which things happen."""

from __future__ import annotations

import math
import time
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from sr_cli.engine.device import pick_device, prepare_cpu
from sr_cli.errors import RefusedError
from sr_cli.registry.checkpoint import Header, save_checkpoint
from sr_cli.registry.ref import FileRef, parse_model
from sr_cli.training.crops import Crops, ahead
from sr_cli.training.memory import check_batch_fits
from sr_cli.training.parallel import join_group
from sr_cli.training.pictures import Pair
from sr_cli.training.plan import OnReport, Plan, Report, lasting_val, load_data
from sr_cli.training.run import DivergedError, Progress, Run
from sr_cli.training.run_folder import RunFolder, check_same
from sr_cli.training.sheet import add_strip, draw_curves, strip
from sr_cli.training.start import begin_to_learn
from sr_cli.training.stop import until_stopped
from sr_cli.training.tensorboard import Board
from sr_cli.training.validation import (
    Example,
    enlarge,
    seconds_between,
    steps_between,
    validate,
)

_LOG_EVERY = 50
_FOREVER = 1 << 40


@dataclass(frozen=True)
class Outcome:
    """How a run ended: `signal` is set when it was told to stop and can be resumed."""

    progress: Progress
    output: Path
    done: bool
    signal: int | None = None


def fit(plan: Plan, on_report: OnReport | None = None) -> Outcome:
    """Train as planned; the output holds the best averaged weights, NAME.run/ all the rest.

    A run that is resumed goes on exactly. Raises RefusedError for a plan that cannot work,
    SrError when the data or a state cannot be read or the run diverges.
    """
    tell = on_report or (lambda _: None)
    device = pick_device(plan.device)
    prepare_cpu(plan.threads)
    with ExitStack() as stack:
        group = stack.enter_context(join_group(device))
        recipe, folder = plan.recipe, RunFolder(plan.output)
        if recipe.batch % group.world:
            raise RefusedError(
                f"a batch of {recipe.batch} is not shared by {group.world} processes"
            )
        if recipe.frozen_normalisation and plan.init is None:
            raise RefusedError(
                "frozen_normalisation: there are no statistics to keep",
                "--init CHECKPOINT has some",
            )
        if plan.resume:
            check_same(folder.read_plan()[1], recipe)
        else:
            folder.check_free(overwrite=plan.overwrite)
        if group.leads:
            stack.enter_context(folder.held())

        board = Board(folder.path if plan.tensorboard and group.leads else None)
        init = None if plan.resume and folder.has_state() else plan.init
        run = Run(recipe, device=device, group=group, init=init, trunk=plan.trunk)
        found, examples = load_data(plan, folder, tell)
        check_batch_fits(run, lambda text: tell(Report("note", text=text)))
        if plan.resume:
            state, said = folder.load_state()
            if said:
                tell(Report("note", text=said))
            if state is not None:
                run.load_state(state)
                if group.leads:
                    folder.trim_log(run.progress.step)
        crops = Crops(found, recipe, channels=run.model.channels)
        crops.make_lr_ahead()
        steps, limit = step_limit(plan, found), plan.seconds or math.inf
        if steps is not None and run.progress.step > steps:
            raise RefusedError(
                f"the run is at step {run.progress.step} already, beyond {steps}",
                "--steps with a larger number",
            )
        if group.leads:
            if not plan.resume:
                folder.clear()
            folder.write_plan(_plan_table(plan), recipe)
        header = Header(
            recipe.model,
            list(recipe.scales),
            dict(run.model.config),
            recipe=asdict(recipe),
            data=", ".join(sorted({p.name for p in plan.data})),
            licence=plan.licence,
        )

        progress = run.progress
        began = time.monotonic() - progress.seconds
        saved = validated = time.monotonic()
        looking = 0.0
        every = steps_between(recipe, examples, steps) if steps else 0
        tell(Report("start", progress, steps=steps))
        begin_to_learn(run.model, recipe)
        crops_ahead = ahead(
            crops, progress.step, steps or _FOREVER, rank=group.rank, world=group.world
        )
        with until_stopped() as stop, closing(crops_ahead) as batches:
            done = 0.0
            while True:
                # 1. How far are we? A limit of time counts all legs of the run.
                progress.seconds = group.agreed(time.monotonic() - began)
                done = progress.step / steps if steps else progress.seconds / limit
                if done >= 1 or group.agreed(float(stop.signal is not None)):
                    break
                # 2. The next crops, which are there already unless the data is too slow.
                waiting = time.monotonic()
                batch = next(batches)
                progress.waited += time.monotonic() - waiting
                # 3. One step.
                run.set_learning_rate(done)
                try:
                    run.step(batch)
                except DivergedError:
                    # Bad steps change nothing: these are the last good weights.
                    if group.leads:
                        folder.save_state(run.state())
                    raise
                progress.figure = None
                # 4. From time to time: validate, keep the best, write the state.
                now = time.monotonic()
                due = (
                    progress.step % every == 0
                    if steps
                    else now - validated > seconds_between(limit, looking)
                )
                if group.agreed(float(due)):
                    look(run, examples, folder, header)
                    validated = time.monotonic()
                    looking = validated - now
                if group.leads and (progress.step % _LOG_EVERY == 0 or progress.figure is not None):
                    folder.log(progress)
                    board.log(progress)
                tell(Report("step", progress, done=done, steps=steps))
                if group.leads and now - saved > plan.save_seconds:
                    save_leg(run, folder, header)
                    saved = time.monotonic()
                patience_ends = bool(recipe.patience and progress.since_best >= recipe.patience)
                if group.agreed(float(patience_ends)):
                    tell(Report("note", text=f"no better figure in {recipe.patience} validations"))
                    done = 1.0
                    break
        # 5. The end of this leg: the last figure, the last state.
        if done >= 1 and progress.figure is None:
            look(run, examples, folder, header)
            if group.leads:
                folder.log(progress)
        if group.leads:
            save_leg(run, folder, header)
        tell(Report("end", progress, done=done, steps=steps))
        return Outcome(progress, plan.output, done >= 1, stop.signal)


def save_leg(run: Run, folder: RunFolder, header: Header) -> None:
    """What the run goes on from, and the averaged weights as they are."""
    folder.save_state(run.state())
    save_checkpoint(folder.last_file, header, run.averaged_weights())


def look(run: Run, examples: list[Example], folder: RunFolder, header: Header) -> None:
    """Validate the averaged weights and keep them where they are the best so far.

    An adversarial run looks better while its PSNR falls: there the last are kept.
    """
    if not run.group.leads:
        return
    if not all(bool(torch.isfinite(v).all()) for v in run.ema.values()):
        raise DivergedError(
            "the weights are not finite any more",
            "what was saved before is kept; a lower learning_rate or clip=1 may help",
        )
    progress, model = run.progress, run.averaged()
    progress.figure = validate(model, examples, run.half)
    progress.since_best += 1
    if progress.figure > progress.best:
        progress.best, progress.best_step, progress.since_best = progress.figure, progress.step, 0
    if progress.since_best == 0 or run.discriminator is not None:
        save_checkpoint(folder.output, header, run.averaged_weights())
    add_strip(folder.strips_file, strip(examples[0], enlarge(model, examples[0], run.half)))
    records = [*folder.read_log(progress.step), asdict(progress)]
    draw_curves(records, folder.strips_file, folder.curves_file)


def step_limit(plan: Plan, pairs: list[Pair]) -> int | None:
    """Steps of the whole run; None where time is the limit."""
    if plan.seconds is not None:
        return None
    if plan.epochs is None:
        return plan.recipe.steps
    r = plan.recipe
    pixels: float = sum(p.hr.shape[0] * p.hr.shape[1] for p in pairs) / min(r.scales) ** 2
    return max(1, math.ceil(plan.epochs * pixels / (r.batch * r.lr_side(min(r.scales)) ** 2)))


def _plan_table(plan: Plan) -> dict[str, Any]:
    """What resuming needs to know beside the recipe."""
    return {
        "data": [str(p.resolve()) for p in plan.data],
        "val": lasting_val(plan.val),
        "seconds": plan.seconds,
        "epochs": plan.epochs,
        "init": None if plan.init is None else _lasting_init(plan.init),
        "trunk": str(plan.trunk.resolve()) if plan.trunk else None,
        "licence": plan.licence,
        # Sums over more threads round differently.
        "threads": torch.get_num_threads(),
    }


def _lasting_init(name: str) -> str:
    """A file as a path that holds from everywhere; an id or an address as it is."""
    is_file = isinstance(parse_model(name), FileRef)
    return str(Path(name).resolve()) if is_file else name
