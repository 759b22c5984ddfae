"""The checks of benchmarks/gpu.py follow the engine; most of them can be tried on the CPU."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from helpers import REPOSITORY


def test_checks_run_on_the_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(REPOSITORY / "benchmarks")
    from gpu_checks.board import Board
    from gpu_checks.device import choose_setting
    from gpu_checks.results import equality
    from gpu_checks.speed import speed
    from gpu_checks.steps import breakdown

    board = Board(tmp_path, seconds=600, began=time.perf_counter())
    where = choose_setting("cpu", tiny=True)
    board.check("equality", lambda: equality(board, where, "espcn"), 200)
    board.check("speed", lambda: speed(board, where, "rrdb", 32), 200)
    board.check("breakdown", lambda: breakdown(board, where, "rrdb"), 200)

    found = board.values
    assert not [name for name in found if "failed" in found[name]]
    assert found["equality"]["fp32"]["max"] == 0
    assert found["speed"]["overlapped off by"] <= 1
    for label in ("net eager nchw", "net engine", "end engine", "end overlapped"):
        assert isinstance(found["speed"][label], float), found["speed"][label]
    assert (tmp_path / "gpu.json").is_file()
