"""The pages of the documentation, and the code in them."""

from __future__ import annotations

import re
from pathlib import Path

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)


def page(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def blocks(path: Path, language: str) -> list[str]:
    """The code blocks of a page in one language."""
    return [code for kind, code in FENCE.findall(page(path)) if kind == language]
