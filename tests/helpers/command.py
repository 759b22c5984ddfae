"""`sr` run as a command: inside the test's process, or as a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from typer.testing import CliRunner

from sr_cli.cli.main import app

BICUBIC = ("upscale", "-m", "bicubic", "-x2")

Argument = str | bytes | Path


@dataclass(frozen=True)
class Outcome:
    """What a command returned and said."""

    returncode: int
    stdout: bytes
    stderr: bytes

    @property
    def records(self) -> list[dict[str, Any]]:
        """What `--json` wrote, line by line."""
        return [json.loads(line) for line in self.stdout.splitlines()]

    @property
    def document(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.stdout)

    @property
    def error_codes(self) -> list[str]:
        """The codes of the errors on stderr, in their order."""
        return re.findall(r"^error\[([\w-]+)\]", self.stderr.decode(), re.MULTILINE)

    @property
    def notes(self) -> list[dict[str, Any]]:
        """All notes that `--json` shows, without their sentences."""
        found = [note for record in self.records for note in record.get("notes", [])]
        return [{key: note[key] for key in note if key != "message"} for note in found]

    @property
    def note_kinds(self) -> list[str]:
        """The kinds of all notes that `--json` shows."""
        return [note["kind"] for note in self.notes]


Run = Callable[..., Outcome]


def run_in_process(
    *arguments: Argument, cwd: Path, env: Mapping[str, str] | None = None, input: bytes = b""
) -> Outcome:
    """Run `sr` in this process. An exception that a user would see as a traceback is raised."""
    with restored(cwd, env):
        warnings.simplefilter("ignore")
        done = CliRunner().invoke(app, [os.fsdecode(a) for a in arguments], input=input)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return _checked(Outcome(done.exit_code, done.stdout_bytes, done.stderr_bytes))


def run_process(
    *arguments: Argument, cwd: Path, env: Mapping[str, str] | None = None, input: bytes = b""
) -> Outcome:
    """Run `sr` as a process."""
    done = subprocess.run(
        [sys.executable, "-m", "sr_cli", *arguments],
        cwd=cwd,
        input=input,
        env={**os.environ, **(env or {})},
        capture_output=True,
        timeout=240,
        check=False,
    )
    return _checked(Outcome(done.returncode, done.stdout, done.stderr))


def start_process(
    *arguments: Argument, cwd: Path, env: Mapping[str, str] | None = None, **options: Any
) -> subprocess.Popen[bytes]:
    """Start `sr` as a process that the test looks after; its stderr is a pipe."""
    return subprocess.Popen(
        [sys.executable, "-m", "sr_cli", *arguments],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stderr=subprocess.PIPE,
        **options,
    )


def _checked(done: Outcome) -> Outcome:
    assert b"Traceback" not in done.stderr, done.stderr.decode(errors="replace")
    return done


@contextlib.contextmanager
def restored(cwd: Path, env: Mapping[str, str] | None = None) -> Iterator[None]:
    """Another folder and environment; whatever a command changes in this process is put back."""
    env = env or {}
    handlers = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}
    threads = torch.get_num_threads()
    with (
        _in_folder(cwd),
        patch.dict(os.environ, env),
        _hub_endpoint(env),
        warnings.catch_warnings(),
    ):
        try:
            yield
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
            if torch.get_num_threads() != threads:
                torch.set_num_threads(threads)


@contextlib.contextmanager
def _in_folder(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@contextlib.contextmanager
def _hub_endpoint(env: Mapping[str, str]) -> Iterator[None]:
    """huggingface_hub reads HF_ENDPOINT once, when it is imported."""
    if "HF_ENDPOINT" not in env:
        yield
        return
    from huggingface_hub import constants

    template = env["HF_ENDPOINT"] + "/{repo_id}/resolve/{revision}/{filename}"
    with (
        patch.object(constants, "ENDPOINT", env["HF_ENDPOINT"]),
        patch.object(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template),
    ):
        yield
