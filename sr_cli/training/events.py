"""What a training reports while it runs, as data."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from sr_cli.errors import Note
from sr_cli.training.recipe import Recipe


@dataclass
class Progress:
    """Where a run stands.

    Attributes:
        step: Steps that were made.
        seconds: Time of the run so far, that of interrupted parts included.
        waited: How much of it was spent waiting for crops.
        learning_rate: Of the last step.
        losses: Of the last step, by name; on a graphics card means over the last steps.
        figure: Of the last step's validation, by the recipe's `validate`: PSNR-Y in dB or LPIPS.
            None where there was no validation.
        best: The best figure so far.
        best_step: When that was.
        since_best: Validations since then.
        skipped: Steps that were skipped for a gradient that is not finite or a loss that explodes.
        bad_in_a_row: How many of them were the last ones.
        usual_loss: A moving average, against which an explosion is measured.
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
    """So many of the images are read."""

    done: int
    total: int


@dataclass(frozen=True)
class Noted:
    """Something worth telling that is no error."""

    note: Note


@dataclass(frozen=True)
class Started:
    """The first step, or the first after an interruption, is about to begin."""

    recipe: Recipe
    output: Path
    progress: Progress


@dataclass(frozen=True)
class Stepped:
    """A step was made.

    Attributes:
        progress: The run's own, which changes with the next step.
        done: Share of the run, 0 to 1.
        steps: Steps of the whole run; None where time is the limit.
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
    """Report to nobody."""
