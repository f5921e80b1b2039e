"""Whether the tests see a mutant: each runs in a process forked from one that holds the libraries already."""

from __future__ import annotations

import gc
import importlib
import importlib.abc
import importlib.machinery
import os
import signal
import sys
import time
from collections.abc import Sequence
from enum import Enum
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

LIBRARIES = ("numpy", "scipy.sparse", "scipy.linalg", "scipy.special", "orjson", "hypothesis", "pytest")


class Verdict(str, Enum):
    """What became of a mutant."""

    KILLED = "killed"
    TIMED_OUT = "timed out"
    SURVIVED = "survived"


class _Mutated(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module from a source of its own."""

    def __init__(self, module: str, path: Path, source: str) -> None:
        self._module, self._path, self._source = module, path, source

    def find_spec(self, fullname: str, path: Any, target: ModuleType | None = None) -> ModuleSpec | None:
        if fullname != self._module:
            return None
        return importlib.machinery.ModuleSpec(fullname, self, origin=str(self._path))

    def exec_module(self, module: ModuleType) -> None:
        module.__file__ = str(self._path)
        exec(compile(self._source, str(self._path), "exec"), module.__dict__)


def load_libraries() -> None:
    """Import what the tests need and no mutant changes."""
    for name in LIBRARIES:
        importlib.import_module(name)
    # What is there before the forks is no garbage of theirs.
    gc.collect()
    gc.freeze()


def judge(module: str, path: Path, source: str, tests: Sequence[str], seconds: float) -> Verdict:
    """Run the tests, up to the first failure, with `source` for the module; processes that they start see none of it.

    Parameters
    ----------
    module, path
        The name that the tests import, and the file that it stands in.
    tests
        Arguments of pytest.
    seconds
        A mutant that takes longer has made a loop without end.
    """
    child = os.fork()
    if child == 0:
        _run(module, path, source, tests)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return Verdict.SURVIVED if os.waitstatus_to_exitcode(status) == 0 else Verdict.KILLED
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return Verdict.TIMED_OUT


def _run(module: str, path: Path, source: str, tests: Sequence[str]) -> None:
    """Never returns: the process ends with pytest's status, or with 70 where the mutant cannot even be imported."""
    status = 70
    try:
        os.setpgid(0, 0)
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nothing, stream)
        sys.meta_path.insert(0, _Mutated(module, path, source))
        import pytest

        # Plugins that were imported before the fork cannot have their assertions rewritten any more.
        quiet = ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
        status = int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", "--hypothesis-seed=0", *quiet, *tests]))
    finally:
        os._exit(status)
