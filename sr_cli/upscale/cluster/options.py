"""Which workers upscale the images, as plain data. Does not import Dask."""

from __future__ import annotations

import importlib.util
import os
import re
from dataclasses import dataclass

from sr_cli.engine.options import check_at_least_one
from sr_cli.errors import RefusedError
from sr_cli.system.cores import available_cores
from sr_cli.upscale.request import UpscaleRequest

_ADDRESS = re.compile(r"(tcp|tls)://(\[[0-9a-fA-F:]+\]|[^\s:/\[\]]+):(\d{1,5})")
_LOOPBACK = re.compile(r"localhost|127(\.\d{1,3}){3}|\[::1\]")


@dataclass(frozen=True)
class WorkerOptions:
    """Which workers upscale the images.

    Attributes:
        workers: Processes on this machine; None for one a device, or with `cluster`.
        devices: The devices of the processes on this machine, in turn; empty for that of the
            engine's options.
        cluster: The address of a Dask scheduler, all of whose workers are used.
        split_pixels: Images with more input pixels are computed by several workers, in bands.
        tls_ca, tls_cert, tls_key: PEM files of the cluster's authority and of this client.
        some: Leave out workers that are not fit for the work, instead of refusing it.
        insecure: Allow a connection to another machine without TLS.
    """

    workers: int | None = None
    devices: tuple[str, ...] = ()
    cluster: str | None = None
    split_pixels: int | None = None
    tls_ca: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    some: bool = False
    insecure: bool = False

    @property
    def processes(self) -> int:
        """The number of processes on this machine."""
        return self.workers or max(1, len(self.devices))

    def check(self, request: UpscaleRequest) -> None:
        """Check the values with those of the request, before anything heavy is imported.

        Raises:
            RefusedError: `out-of-range`, `conflicting-options`, `missing-option`,
                `invalid-address`, `insecure-address`, `file-not-found`, `extra-missing`.
        """
        check_at_least_one(workers=self.workers, split_pixels=self.split_pixels)
        if "-" in request.inputs or request.output == "-":
            raise RefusedError("conflicting-options", "workers", other="stdin and stdout")
        if request.options.adapt is not None:
            raise RefusedError("conflicting-options", "workers", other="adapt")
        if self.cluster is None:
            self._check_cores(request.options.engine.threads)
        else:
            self._check_address(self.cluster)
        if importlib.util.find_spec("distributed") is None:
            option = "--workers" if self.cluster is None else "--cluster"
            raise RefusedError("extra-missing", option, extra="cluster")

    def _check_cores(self, threads: int | None) -> None:
        cores = available_cores()
        if self.processes > cores:
            raise RefusedError(
                "out-of-range", "workers", value=self.processes, allowed=f"1 to {cores} (cores)"
            )
        if threads is not None and threads * self.processes > cores:
            allowed = f"1 to {cores // self.processes} ({cores} cores, {self.processes} workers)"
            raise RefusedError("out-of-range", "threads", value=threads, allowed=allowed)
        for name in ("tls_ca", "tls_cert", "tls_key", "some", "insecure"):
            if getattr(self, name):
                raise RefusedError(
                    "missing-option", "--cluster", example="--cluster tls://host:8786"
                )

    def _check_address(self, address: str) -> None:
        for name, value in (("workers", self.workers), ("several devices", self.devices)):
            if value:
                raise RefusedError("conflicting-options", name, other="cluster")
        found = _ADDRESS.fullmatch(address)
        if found is None or int(found.group(3)) > 65_535:
            raise RefusedError("invalid-address", address, hint="cluster")
        files = {"tls-ca": self.tls_ca, "tls-cert": self.tls_cert, "tls-key": self.tls_key}
        if found.group(1) == "tls" or any(files.values()):
            self._check_tls(found.group(1), files)
        elif not _LOOPBACK.fullmatch(found.group(2)) and not self.insecure:
            raise RefusedError("insecure-address", address, hint="cluster")

    def _check_tls(self, protocol: str, files: dict[str, str | None]) -> None:
        if protocol != "tls":
            raise RefusedError("conflicting-options", "a tcp:// address", other="TLS files")
        for name, path in files.items():
            if path is None:
                raise RefusedError("missing-option", f"--{name}", example=f"--{name} {name}.pem")
            if not os.path.isfile(path):
                raise RefusedError("file-not-found", path)
