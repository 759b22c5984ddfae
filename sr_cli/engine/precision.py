"""The names of the precisions, apart from torch: usage errors must not wait for it."""

from __future__ import annotations

from sr_cli.errors import RefusedError

PRECISION_NAMES = ("fp32", "bf16", "fp16")


def check_precision_name(name: str) -> None:
    """Raises RefusedError unless `name` is `auto` or one of the precisions."""
    if name not in ("auto", *PRECISION_NAMES):
        raise RefusedError(
            f"unknown precision '{name}'", f"known: auto, {', '.join(PRECISION_NAMES)}"
        )
