"""Which of torchrun's processes this is. Does not import torch."""

from __future__ import annotations

import os


def is_main_process() -> bool:
    """Whether this process is torchrun's first, or the only one."""
    return int(os.environ.get("RANK", "0")) == 0
