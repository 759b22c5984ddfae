"""The programs in tools/, run inside the test's process."""

from __future__ import annotations

import contextlib
import importlib
import io
import sys
from pathlib import Path
from types import ModuleType
from unittest.mock import patch

from helpers import REPOSITORY
from helpers.command import Outcome, restored


def tool(name: str) -> ModuleType:
    """tools/NAME.py as a module."""
    with patch.object(sys, "path", [str(REPOSITORY / "tools"), *sys.path]):
        return importlib.import_module(name)


def run_tool(name: str, *arguments: object, cwd: Path) -> Outcome:
    """Run a tool with these arguments."""
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with (
        restored(cwd),
        patch.object(sys, "argv", [f"{name}.py", *map(str, arguments)]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            tool(name).main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
    return Outcome(code, out.getvalue().encode(), err.getvalue().encode())
