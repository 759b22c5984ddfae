"""Ctrl-C and SIGTERM as exceptions, which no callback of a library can swallow."""

from __future__ import annotations

import signal
import sys
import threading
import time
from types import FrameType

_PAUSE = 0.01
"""Seconds, after which the callback that swallowed a signal is certainly over."""


class Terminated(BaseException):
    """Raised on SIGTERM, so that temporary files are removed."""


def raise_on_signals() -> None:
    """Raise `Terminated` on SIGTERM, and both exceptions again where Python ignores them.

    Python runs a handler between any two instructions, also inside a finaliser or the callback of a
    weak reference; an exception in there is printed and ignored (sys.unraisablehook), and the
    command would go on as if nobody had asked it to stop.
    """
    signal.signal(signal.SIGTERM, _on_sigterm)
    sys.unraisablehook = _on_unraisable


def _on_sigterm(_: int, __: FrameType | None) -> None:
    raise Terminated


def _on_unraisable(unraisable: sys.UnraisableHookArgs) -> None:
    if issubclass(unraisable.exc_type, KeyboardInterrupt):
        number = signal.SIGINT
    elif issubclass(unraisable.exc_type, Terminated):
        number = signal.SIGTERM
    else:
        sys.__unraisablehook__(unraisable)
        return
    # Not from here: this is still inside the callback.
    threading.Thread(target=_send_again, args=(number,), daemon=True).start()


def _send_again(number: signal.Signals) -> None:
    time.sleep(_PAUSE)
    main = threading.main_thread().ident
    if sys.platform == "win32" or main is None:
        signal.raise_signal(number)
    else:
        # To the main thread, so that whatever it waits for ends.
        signal.pthread_kill(main, number)
