"""Ctrl-C for a command: at once, but never in the middle of an import or while numba compiles or loads."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_AGAIN = 0.05
_COMPILERS = ("numba", "llvmlite")


@contextmanager
def orderly_interrupts() -> Iterator[None]:
    """Raise KeyboardInterrupt for a SIGINT as ever, but after the import or compilation at work, if there is one.

    An exception inside the start-up of torch's extension modules ends the process by SIGABRT, with a message of
    C++'s and without the clearing up that a command owes; one inside numba, which LLVM calls back, leaves LLVM to end
    it by SIGSEGV on its way out.
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
    if not _is_owed_an_end(frame):
        raise KeyboardInterrupt
    later = threading.Timer(_AGAIN, signal.raise_signal, (number,))
    later.daemon = True
    later.start()


def _is_owed_an_end(frame: FrameType | None) -> bool:
    """Whether an import is at work, or numba: compiled functions themselves have no frame."""
    while frame is not None:
        package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        if frame.f_code.co_filename.startswith("<frozen importlib.") or package in _COMPILERS:
            return True
        frame = frame.f_back
    return False
