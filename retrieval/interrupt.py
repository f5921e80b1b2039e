"""Ctrl-C for a command: at once, but never in the middle of an import."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_AGAIN = 0.05


@contextmanager
def orderly_interrupts() -> Iterator[None]:
    """Raise KeyboardInterrupt for a SIGINT as ever, but after the import at work, if there is one.

    An exception inside the start-up of torch's extension modules ends the process by SIGABRT, with a message of
    C++'s and without the clearing up that a command owes.
    """
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, _on_interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _on_interrupt(number: int, frame: FrameType | None) -> None:
    if not _importing(frame):
        raise KeyboardInterrupt
    later = threading.Timer(_AGAIN, signal.raise_signal, (number,))
    later.daemon = True
    later.start()


def _importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib."):
            return True
        frame = frame.f_back
    return False
