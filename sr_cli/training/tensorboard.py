"""TensorBoard, for those who have the extra."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sr_cli.errors import RefusedError
from sr_cli.training.run import Progress


class Board:
    """Writes scalars into `folder`; does nothing without one.

    Raises RefusedError when the extra is not installed.
    """

    def __init__(self, folder: Path | None) -> None:
        self._writer: Any = None
        if folder is None:
            return
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise RefusedError(
                "TensorBoard is an extra", "pip install 'sr-cli[tensorboard]'"
            ) from None
        self._writer = SummaryWriter(str(folder))

    def log(self, progress: Progress) -> None:
        """Losses, learning rate and validation figure at the present step."""
        if self._writer is None:
            return
        values = {f"loss/{name}": value for name, value in progress.losses.items()}
        values["learning_rate"] = progress.learning_rate
        if progress.figure is not None:
            values["PSNR-Y"] = progress.figure
        for name, value in values.items():
            self._writer.add_scalar(name, value, progress.step)
        self._writer.flush()
