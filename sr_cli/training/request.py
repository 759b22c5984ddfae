"""The request and the result of a training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sr_cli.errors import RefusedError
from sr_cli.system.types import check_types

DEFAULT_VAL = "0.02"


@dataclass(frozen=True)
class TrainingRequest:
    """Data, duration and device of a training; all other settings are in the recipe.

    Attributes:
        data: Folders and files of images; a folder with `hr` and `lr` folders holds pairs.
            A resumed run has its own.
        output: The checkpoint to write, ending in .safetensors; None for NETWORK-xSCALE.safetensors
            in the current folder.
        val: What to validate on: a share of the data to hold back (`0.02`, `2%`), a folder, or
            names of test sets (`Set5,Set14`). None for 2%, or the value of the resumed run.
        steps: Length of the run, instead of the recipe's. At most one of `steps`, `epochs` and
            `seconds` may be given.
        epochs: Length of the run: how often each pixel of the data is seen.
        seconds: Length of the run as a time, including interrupted parts.
        init: The model with the initial weights, as for `sr upscale -m`.
        trunk: A file with VGG's weights, for losses that need them; None downloads them.
        device: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.
        threads: CPU threads; None for all cores.
        memory: Bytes of pixels to keep in memory, the rest in a mapped file; None for a third of
            the free memory.
        workers: Processes that make crops; 0 for threads; None to choose for the device.
        init_discriminator: A training state (state.pt) with the initial discriminator.
        save_seconds: The time between saved states.
        resume: Resume the run of this output exactly where it was interrupted.
        overwrite: Overwrite an existing output or run.
        tensorboard: Also log to TensorBoard.
        licence: Of the weights, stored in the checkpoint.

    Raises:
        RefusedError: `invalid-request`, `conflicting-options`, `out-of-range`, `wrong-suffix`,
            `missing-option`.
    """

    data: Sequence[Path | str] = ()
    output: Path | str | None = None
    val: str | None = None
    steps: int | None = None
    epochs: float | None = None
    seconds: float | None = None
    init: str | None = None
    trunk: Path | str | None = None
    device: str = "auto"
    threads: int | None = None
    memory: int | None = None
    workers: int | None = None
    init_discriminator: Path | str | None = None
    save_seconds: float = 120.0
    resume: bool = False
    overwrite: bool = False
    tensorboard: bool = False
    licence: str = ""

    def __post_init__(self) -> None:
        check_types(self)
        limits = {"--steps": self.steps, "--epochs": self.epochs, "--time-limit": self.seconds}
        given = [name for name, value in limits.items() if value is not None]
        if len(given) > 1:
            raise RefusedError("conflicting-options", given[0], other=given[1])
        if self.resume and self.overwrite:
            raise RefusedError("conflicting-options", "--resume", other="--overwrite")
        for name, value in limits.items():
            if value is not None and not 0 < value < math.inf:
                raise RefusedError("out-of-range", name, value=value, allowed="above 0")
        for name, count in (("--threads", self.threads), ("--memory", self.memory)):
            if count is not None and count < 1:
                raise RefusedError("out-of-range", name, value=count, allowed="at least 1")
        if self.workers is not None and self.workers < 0:
            raise RefusedError(
                "out-of-range", "--workers", value=self.workers, allowed="at least 0"
            )
        if self.output is not None and Path(self.output).suffix != ".safetensors":
            raise RefusedError("wrong-suffix", self.output, suffix=".safetensors")
        if not self.data and not self.resume:
            raise RefusedError("missing-option", "--data", example="--data photos/")

    @property
    def is_limited(self) -> bool:
        """Whether the length of the run is given."""
        return not (self.steps is None and self.epochs is None and self.seconds is None)


@dataclass(frozen=True)
class TrainingResult:
    """The result of a training.

    Attributes:
        output: The checkpoint with the best averaged weights.
        done: Whether the run is complete; an interrupted one can be resumed.
        steps: Steps taken, including interrupted parts.
        seconds: Duration of the run, including interrupted parts.
        waited: Seconds spent waiting for crops.
        losses: Of the last step, by name.
        learning_rate: Of the last step.
        figure: The last validation's, by the recipe's `validate`: PSNR-Y in dB, higher is better,
            or LPIPS, lower is better. None if the last step was not validated.
        best: The best figure; None before the first validation.
        best_step: The step of the best figure.
        skipped: Steps skipped because of a non-finite gradient or an exploding loss.
        signal: The signal that stopped the run, if any.
    """

    output: Path
    done: bool
    steps: int
    seconds: float
    waited: float
    losses: dict[str, float] = field(default_factory=dict)
    learning_rate: float = 0.0
    figure: float | None = None
    best: float | None = None
    best_step: int = 0
    skipped: int = 0
    signal: int | None = None
