"""The connection to workers: processes of this machine, or those of a Dask cluster."""

from __future__ import annotations

import asyncio
import gc
import logging
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sr_cli.errors import RefusedError, SrError
from sr_cli.upscale.cluster.local import LocalWorkers
from sr_cli.upscale.cluster.options import WorkerOptions

PATIENCE = 10
"""Seconds to wait for a scheduler."""

_FETCH = 2.0
"""Seconds to wait for the value of a finished task before looking whether its worker is there."""

_QUIET = (
    "asyncio",
    "distributed",
    "distributed.client",
    "distributed.nanny",
    "distributed.worker",
    "tornado",
)

CONFIG = {
    "distributed.scheduler.work-stealing": False,
    # The logs of 100,000 steps take more memory than everything else, also in a worker.
    "distributed.admin.low-level-log-length": 1000,
}
"""Settings of Dask, for the scheduler and the workers of this machine."""


@dataclass(frozen=True)
class Worker:
    """A worker process.

    Attributes:
        address: For Dask.
        name: For the user.
        threads: That it has.
        sharing: The workers on its machine, itself included.
    """

    address: str
    name: str
    threads: int
    sharing: int


@contextmanager
def connect(options: WorkerOptions) -> Iterator[tuple[Any, LocalWorkers | None]]:
    """Connect to the cluster, or to a scheduler in this process.

    Yields:
        A client of Dask, and the processes of this machine if they are the workers; none of them
        is started yet, and all are ended at the end.

    Raises:
        RefusedError: `cluster-unreachable`, `unreadable-file` for TLS files.
        SrError: `workers-not-started`.
    """
    with silenced():
        if options.cluster is None:
            with _own_folder() as folder, _own_scheduler(folder) as client:
                workers = LocalWorkers(client.scheduler.address, options.processes, folder)
                try:
                    yield client, workers
                finally:
                    workers.close()
            return
        client = _remote_client(options)
        try:
            yield client, None
        finally:
            client.close(timeout=5)


def workers_of(client: Any) -> dict[str, Worker]:
    """The workers that the scheduler knows now, by address.

    Raises:
        OSError: If the scheduler does not answer.
    """
    found = client.scheduler_info(n_workers=-1)["workers"]
    sharing = Counter(w["host"] for w in found.values())
    return {
        address: Worker(address, str(w["name"]), w["nthreads"], sharing[w["host"]])
        for address, w in found.items()
    }


def value_of(future: Any) -> Any:
    """The value of a finished task; None if it cannot be had now.

    It lies at the worker until it is fetched: if that was lost meanwhile, Dask would wait for ever.
    """
    try:
        return future.result(timeout=_FETCH)
    except (TimeoutError, asyncio.TimeoutError):
        return None


@contextmanager
def _own_folder() -> Iterator[str]:
    """A folder for what Dask's processes leave."""
    try:
        folder = tempfile.mkdtemp(prefix="sr-workers-")
    except OSError as error:
        raise SrError("workers-not-started", reason=error.strerror or str(error)) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _own_scheduler(folder: str) -> Iterator[Any]:
    import dask
    from distributed import Client, LocalCluster

    with dask.config.set(CONFIG | {"temporary-directory": folder}):
        try:
            cluster = LocalCluster(
                n_workers=0,
                host="127.0.0.1",
                # None would still open Dask's default port.
                dashboard_address="127.0.0.1:0",
                silence_logs=logging.CRITICAL,
            )
        except (OSError, RuntimeError, asyncio.TimeoutError) as error:
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise SrError("workers-not-started", reason=reason) from error
        with cluster, Client(cluster, timeout=PATIENCE) as client:
            yield client


def _remote_client(options: WorkerOptions) -> Any:
    from distributed import Client, Security

    security = Security()
    if options.tls_ca is not None:
        security = Security(
            tls_ca_file=options.tls_ca,
            tls_client_cert=options.tls_cert,
            tls_client_key=options.tls_key,
            require_encryption=True,
        )
    address = options.cluster or ""
    try:
        asyncio.run(_find_scheduler(address, security))
        return Client(address, timeout=PATIENCE, security=security, name="sr")
    except Exception as error:
        # What answers may be no scheduler, and its bytes anything: a length of 3 EiB, for instance.
        raise RefusedError(
            "cluster-unreachable", address, seconds=PATIENCE, reason=_reason(error)
        ) from error


def _reason(error: BaseException) -> str:
    """What happened, without the address and the time that Dask repeats around it."""
    while error.__cause__ is not None:
        error = error.__cause__
    error = getattr(error, "real_error", None) or error
    said = (isinstance(error, OSError) and error.strerror) or str(error)
    return (said or "no answer").splitlines()[0]


async def _find_scheduler(address: str, security: Any) -> None:
    """Ask the scheduler who it is; Dask's client would wait for ever for one that is silent."""
    from distributed import rpc

    arguments = security.get_connection_args("client")
    async with rpc(address, timeout=PATIENCE, connection_args=arguments) as scheduler:
        await asyncio.wait_for(scheduler.identity(), PATIENCE)


@contextmanager
def silenced() -> Iterator[None]:
    """Keep Dask's log off stderr: what concerns the user is said by `sr`."""
    before = {name: logging.getLogger(name).level for name in _QUIET}
    # Dask sets its own levels when it is imported.
    try:
        import distributed  # noqa: F401  # only whether it is installed
    except ImportError as error:
        raise SrError("extra-missing", "--workers", extra="cluster") from error
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        # A wait for the value of a lost worker, once given up, fails in a task of its own that
        # nobody looks at; it is said when that is collected.
        gc.collect()
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)
