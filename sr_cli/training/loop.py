"""The training loop: steps, validation, log and state."""

from __future__ import annotations

import math
import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import asdict, dataclass

from sr_cli.errors import Note, RefusedError
from sr_cli.registry.checkpoint import Header, save_checkpoint
from sr_cli.training.crops import Batch
from sr_cli.training.events import Ended, Noted, OnEvent, Progress, Started, Stepped
from sr_cli.training.images import Pair
from sr_cli.training.monitoring import TensorBoard, add_strip, comparison_strip, draw_curves
from sr_cli.training.network import set_training_mode
from sr_cli.training.request import TrainingResult
from sr_cli.training.run_folder import RunFolder, RunSpec
from sr_cli.training.signals import StopRequest, stop_on_signals
from sr_cli.training.trainer import DivergedError, Trainer
from sr_cli.training.validation import (
    FIGURES,
    Example,
    upscale_example,
    validation_figure,
    validation_interval,
    validation_interval_seconds,
)

_LOG_EVERY = 50


@dataclass(frozen=True)
class Limit:
    """The length of a run: steps, or seconds over all its parts."""

    steps: int | None
    seconds: float = math.inf

    @classmethod
    def of(cls, spec: RunSpec, pairs: list[Pair]) -> Limit:
        """The limit of a run; an epoch sees as many lr pixels as the data has."""
        if spec.seconds is not None:
            return cls(None, spec.seconds)
        r = spec.recipe
        if spec.epochs is None:
            return cls(r.steps)
        scale = min(r.scales)
        pixels: float = sum(p.hr.shape[0] * p.hr.shape[1] for p in pairs) / scale**2
        return cls(max(1, math.ceil(spec.epochs * pixels / (r.batch * r.lr_side(scale) ** 2))))

    def share(self, progress: Progress) -> float:
        """The share of the run that is done, 0 to 1."""
        done = progress.seconds / self.seconds if self.steps is None else progress.step / self.steps
        return min(1.0, done)

    def check_not_exceeded(self, progress: Progress) -> None:
        """Check that a run is not beyond its limit.

        Raises:
            RefusedError: `run-beyond-limit`.
        """
        if self.steps is not None and progress.step > self.steps:
            raise RefusedError("run-beyond-limit", step=progress.step, steps=self.steps)


class Loop:
    """Runs the steps, with validation, logging and saving in between."""

    def __init__(
        self,
        trainer: Trainer,
        examples: list[Example],
        limit: Limit,
        folder: RunFolder,
        header: Header,
        board: TensorBoard,
        on_event: OnEvent,
    ) -> None:
        self.trainer = trainer
        self.examples = examples
        self.limit = limit
        self.folder = folder
        self.header = header
        self.board = board
        self.on_event = on_event
        self.group = trainer.group
        self.progress = trainer.progress
        self.done = 0.0
        now = time.monotonic()
        self._began = now - self.progress.seconds
        self._saved = self._validated = now
        self._validation_took = 0.0
        steps = limit.steps
        self._validate_every = validation_interval(trainer.recipe, examples, steps) if steps else 0

    def run(self, batches: Generator[Batch, None, None], *, save_seconds: float) -> TrainingResult:
        """Run the remaining steps, until the limit or a signal.

        Args:
            batches: From the current step on; they are closed.
            save_seconds: The time between saved states.
        """
        recipe, group, progress = self.trainer.recipe, self.group, self.progress
        self.on_event(Started(recipe, self.folder.output, progress))
        set_training_mode(self.trainer.model, recipe)
        with stop_on_signals() as stop, closing(batches):
            while not self._is_over(stop):
                # 1. The next crops, usually ready.
                waiting = time.monotonic()
                batch = next(batches)
                progress.waited += time.monotonic() - waiting
                # 2. One step.
                self._step(batch)
                # 3. When due: validate and keep the best weights, log, save the state.
                if group.from_main(float(self._validation_is_due())):
                    self._validate()
                self._log()
                self.on_event(Stepped(progress, self.done, self.limit.steps))
                if group.is_main and time.monotonic() - self._saved > save_seconds:
                    self._save()
        return self._finish(stop)

    def _is_over(self, stop: StopRequest) -> bool:
        """Whether the limit is reached, a signal was received, or patience has run out."""
        progress, patience = self.progress, self.trainer.recipe.patience
        if self.group.from_main(float(bool(patience and progress.since_best >= patience))):
            self.on_event(Noted(Note("stopped-early", {"validations": patience})))
            self.done = 1.0
            return True
        progress.seconds = self.group.from_main(time.monotonic() - self._began)
        self.done = self.limit.share(progress)
        return self.done >= 1 or bool(self.group.from_main(float(stop.signal is not None)))

    def _step(self, batch: Batch) -> None:
        self.trainer.set_learning_rate(self.done)
        try:
            self.trainer.step(batch)
        except DivergedError:
            # Bad steps are skipped, so these are the last good weights.
            if self.group.is_main:
                self.folder.save_state(self.trainer.state())
            raise
        self.progress.figure = None

    def _validation_is_due(self) -> bool:
        if self._validate_every:
            return self.progress.step % self._validate_every == 0
        pause = validation_interval_seconds(self.limit.seconds, self._validation_took)
        return time.monotonic() - self._validated > pause

    def _validate(self) -> None:
        began = time.monotonic()
        if self.group.is_main:
            validate(self.trainer, self.examples, self.folder, self.header)
        self._validated = time.monotonic()
        self._validation_took = self._validated - began

    def _log(self) -> None:
        progress = self.progress
        if progress.step % _LOG_EVERY == 0:
            self.trainer.read()
        due = progress.step % _LOG_EVERY == 0 or progress.figure is not None
        if due and self.group.is_main:
            self.folder.log(progress)
            self.board.log(progress)

    def _save(self) -> None:
        """Save the state for resuming, and the current averaged weights."""
        self.folder.save_state(self.trainer.state())
        save_checkpoint(self.folder.last_file, self.header, self.trainer.averaged_weights())
        self._saved = time.monotonic()

    def _finish(self, stop: StopRequest) -> TrainingResult:
        """Validate and save for the last time, and return the result."""
        progress = self.progress
        if self.done >= 1 and progress.figure is None:
            self._validate()
            if self.group.is_main:
                self.folder.log(progress)
        if self.group.is_main:
            self._save()
        self.on_event(Ended(progress, self.done))
        return TrainingResult(
            output=self.folder.output,
            done=self.done >= 1,
            steps=progress.step,
            seconds=progress.seconds,
            waited=progress.waited,
            losses=dict(progress.losses),
            learning_rate=progress.learning_rate,
            figure=progress.figure,
            best=progress.best if progress.best_step else None,
            best_step=progress.best_step,
            skipped=progress.skipped,
            signal=stop.signal,
        )


def validate(trainer: Trainer, examples: list[Example], folder: RunFolder, header: Header) -> None:
    """Validate the averaged weights, keep them if they are the best, and draw the curves.

    In adversarial runs, PSNR decreases while images get better: with PSNR, such runs keep the last
    weights.

    Raises:
        DivergedError: `weights-not-finite`.
    """
    trainer.read()
    recipe, progress, precision = trainer.recipe, trainer.progress, trainer.precision
    model, wanted = trainer.averaged_model(), FIGURES[recipe.validate]
    progress.figure = validation_figure(model, examples, precision, trainer.objective.judge)
    progress.since_best += 1
    if wanted.is_better(progress.figure, progress.best):
        progress.best, progress.best_step, progress.since_best = progress.figure, progress.step, 0
    if progress.since_best == 0 or recipe.keeps_last:
        save_checkpoint(folder.output, header, trainer.averaged_weights())
    sr = upscale_example(model, examples[0], precision)
    add_strip(folder.strips_file, comparison_strip(examples[0], sr))
    records = [*folder.read_log(progress.step), asdict(progress)]
    draw_curves(records, folder.strips_file, folder.curves_file, figure=wanted.name)
