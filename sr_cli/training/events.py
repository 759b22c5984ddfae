"""Events of a training, as data."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from sr_cli.errors import Note
from sr_cli.training.recipe import Recipe


@dataclass
class Progress:
    """The progress of a run.

    Attributes:
        step: Steps taken so far.
        seconds: Duration of the run so far, including interrupted parts.
        waited: Seconds spent waiting for crops.
        learning_rate: Of the last step.
        losses: Of the last step, by name; on a GPU, means over the last steps.
        figure: Of the last step's validation, by the recipe's `validate`: PSNR-Y in dB or LPIPS.
            None if it was not validated.
        best: The best figure so far.
        best_step: The step of the best figure.
        since_best: Validations since then.
        skipped: Steps skipped because of a non-finite gradient or an exploding loss.
        bad_in_a_row: Consecutive skipped steps up to now.
        usual_loss: A moving average of the loss, to detect explosions.
    """

    step: int = 0
    seconds: float = 0.0
    waited: float = 0.0
    learning_rate: float = 0.0
    losses: dict[str, float] = field(default_factory=dict)
    figure: float | None = None
    best: float = -math.inf
    best_step: int = 0
    since_best: int = 0
    skipped: int = 0
    bad_in_a_row: int = 0
    usual_loss: float = 0.0


@dataclass(frozen=True)
class Loading:
    """`done` of `total` images have been read."""

    done: int
    total: int


@dataclass(frozen=True)
class Noted:
    """A note for the user."""

    note: Note


@dataclass(frozen=True)
class Started:
    """The first step, or the first after an interruption, is about to begin."""

    recipe: Recipe
    output: Path
    progress: Progress


@dataclass(frozen=True)
class Stepped:
    """A step was taken.

    Attributes:
        progress: The live progress of the run, which changes with the next step.
        done: Share of the run, 0 to 1.
        steps: Steps of the whole run; None if it is limited by time.
    """

    progress: Progress
    done: float
    steps: int | None


@dataclass(frozen=True)
class Ended:
    """The run is over (`done` is 1) or was interrupted."""

    progress: Progress
    done: float


Event = Loading | Noted | Started | Stepped | Ended
OnEvent = Callable[[Event], None]


def ignore_event(event: Event) -> None:
    """An event handler that does nothing."""
