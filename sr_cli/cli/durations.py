"""Durations on the command line."""

from __future__ import annotations

import re

from sr_cli.errors import RefusedError

_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}


def parse_duration(text: str, hint: str | None = None) -> float:
    """`90`, `45s`, `30m`, `8h`, `1h30m` as seconds.

    Args:
        text: The duration.
        hint: Of the error; None for the usual one.

    Raises:
        RefusedError: `invalid-duration` for anything else.
    """
    compact = text.strip().lower().replace(" ", "")
    if re.fullmatch(r"\d+(\.\d+)?", compact):
        compact += "s"
    parts = re.findall(r"(\d+(?:\.\d+)?)(min|[smhd])", compact)
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if "".join(n + u for n, u in parts) != compact or seconds <= 0:
        raise RefusedError("invalid-duration", text, hint=hint)
    return seconds
