"""A Dask cluster of two worker processes, which can be made to misbehave; comparing its results."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sr_cli.system.cores import available_cores

needs_dask = pytest.mark.skipif(
    importlib.util.find_spec("distributed") is None, reason="the extra 'cluster' is not installed"
)
needs_two_cores = pytest.mark.skipif(available_cores() < 2, reason="needs two cores")

SETUP = "from sr_cli.upscale.cluster import check, task\ndef dask_setup(worker):\n"
"""The beginning of a preload; indented lines follow, run as a worker starts."""


@contextmanager
def dask_cluster(folder: Path, setup: str = "", **options: Any) -> Iterator[str]:
    """Start workers 0 and 1 of one thread each.

    Args:
        folder: For a file.
        setup: Lines of Python that each worker process runs first, with `worker` from Dask, and
            the modules `check` and `task` of `sr`.
        options: Of `LocalCluster`.

    Yields:
        The address of the scheduler.
    """
    from distributed import LocalCluster

    preload = folder / "preload.py"
    preload.write_text(SETUP + "".join(f"    {line}\n" for line in (setup or "pass").splitlines()))
    with LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
        memory_limit=0,
        silence_logs=logging.CRITICAL,
        preload=[str(preload)],
        **options,
    ) as cluster:
        yield cluster.scheduler_address


def files_of(folder: Path) -> dict[str, bytes]:
    """All files below a folder, hidden ones too."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def without_time(records: list[dict[str, Any]], output: str) -> list[dict[str, Any]]:
    """Records of `--json` that can be compared between runs."""
    return sorted(
        (
            {k: str(v).replace(f"{output}/", "") for k, v in record.items() if k != "seconds"}
            for record in records
        ),
        key=lambda record: record["input"],
    )
