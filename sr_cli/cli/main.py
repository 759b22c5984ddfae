"""`sr`: the application, and the conversion of errors to messages and exit codes."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
import warnings
from typing import Annotated, Any

import typer

from sr_cli.cli.commands import SETTINGS, Commands
from sr_cli.cli.console import prepare_streams, report_error, say
from sr_cli.cli.signals import Terminated, raise_on_signals
from sr_cli.errors import ExitCode, SrError
from sr_cli.version import __version__

EPILOG = (
    "Exit codes: 0 all done; 1 an image or checkpoint failed; 2 refused before any image "
    "was opened; 130 interrupted; 141 stdout closed; 143 terminated."
)


class _Group(Commands):
    """Converts every error that reaches the top to a message and an exit code."""

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        try:
            return super().make_context(*arguments, **options)
        except BrokenPipeError:
            raise _broken_pipe() from None

    def invoke(self, ctx: Any) -> Any:
        try:
            # Until here, the default handler suffices: nothing has been written yet.
            raise_on_signals()
            return super().invoke(ctx)
        except SrError as error:
            report_error(error)
            raise SystemExit(int(error.exit_code)) from None
        except KeyboardInterrupt:
            raise _interrupted() from None
        except Terminated:
            say("terminated")
            raise SystemExit(int(ExitCode.TERMINATED)) from None
        except BrokenPipeError:
            raise _broken_pipe() from None
        except OSError as error:
            reason = error.strerror or str(error)
            report_error(SrError("unwritable-file", error.filename or "stdout", reason=reason))
            _discard_stdout()
            raise SystemExit(int(ExitCode.FAILED)) from None


def _discard_stdout() -> None:
    """stdout is unusable, also for what is flushed at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _broken_pipe() -> SystemExit:
    """Whoever read stdout has seen enough: nothing is said."""
    _discard_stdout()
    return SystemExit(int(ExitCode.BROKEN_PIPE))


def _interrupted() -> SystemExit:
    say("interrupted")
    return SystemExit(int(ExitCode.INTERRUPTED))


app = typer.Typer(
    cls=_Group,
    help="Upscale images with neural networks.",
    epilog=EPILOG,
    no_args_is_help=True,
    **SETTINGS,
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"sr {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Upscale images with neural networks."""


def main() -> None:
    """Run the `sr` command and end the process."""
    try:
        try:
            prepare_streams()
            if not sys.warnoptions:
                # Warnings of libraries are for programmers; -W default shows them.
                warnings.simplefilter("ignore")
            app()
        except KeyboardInterrupt:
            raise _interrupted() from None
    except SystemExit as end:
        _exit_quickly(end.code)
        raise


def _exit_quickly(code: object) -> None:
    """Exit without unloading torch's libraries, which takes longer than a small image.

    Returns if threads are running or the exit code is a message: then Python exits as usual. Not
    after Ctrl-C: if that came while a module was imported, Python would end by the signal.
    """
    if not isinstance(code, int):
        return
    # How the process ends is decided.
    signal.signal(signal.SIGINT, lambda *_: os._exit(code))
    busy = any(not t.daemon for t in threading.enumerate() if t is not threading.main_thread())
    interrupted = code == ExitCode.INTERRUPTED
    if not interrupted and (busy or "torch" not in sys.modules):
        return
    if busy:
        # Waits for them, as Python does at its end.
        threading._shutdown()  # type: ignore[attr-defined]
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        return
    atexit._run_exitfuncs()
    os._exit(code)
