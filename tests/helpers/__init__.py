"""What several tests share: commands, images, networks, a server with faults, a small world."""

from __future__ import annotations

import os
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGE = REPOSITORY / "sr_cli"
SHARED = Path(os.environ.get("SR_SHARED", REPOSITORY.parent / "shared"))
"""A folder of data sets and checkpoints that not every machine has."""
