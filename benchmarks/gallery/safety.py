"""Kills, readers beside a writer, altered bytes: the tests of these at their full length."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.gallery import results

_ROOT = Path(__file__).parent.parent.parent
# What, the test, and what makes it long; in a short run it is as long as in the suite.
_TESTS = (
    (
        "300 kills at random moments of add, set_payloads, delete, optimize and compact, half with vectors in files",
        "tests/retrieval/test_kill.py::test_killed_writers_lose_nothing_that_was_acknowledged",
        {"RETRIEVAL_KILLS": "150"},
    ),
    (
        "8 readers and 1 writer, 2 minutes",
        "tests/retrieval/test_processes.py::test_readers_see_whole_writes_only",
        {"RETRIEVAL_READERS": "8", "RETRIEVAL_SECONDS": "120"},
    ),
    (
        "2,000 flips of a bit and truncations over all files of a gallery",
        "tests/retrieval/test_damage.py::test_no_flipped_byte_and_no_cut_gives_a_wrong_result",
        {"RETRIEVAL_FLIPS": "2000"},
    ),
)


def run(quick: bool) -> str:
    """The section's text. A test that fails is told as such, and the program goes on."""
    rows = []
    for what, test, settings in _TESTS:
        environment = {**os.environ, **({} if quick else settings)}
        started = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", test],
            cwd=_ROOT,
            env=environment,
            capture_output=True,
            text=True,
        )
        spent = time.perf_counter() - started
        print(done.stdout[-2000:], flush=True)
        counts = re.search(r"\{'.+': \{'same.+\}\}", done.stdout)
        passed = "passed" if done.returncode == 0 else "**failed**"
        rows.append([what, f"`{test}`", passed, _sums(counts[0]) if counts else "", f"{spent:.0f}"])
    return results.table(["what", "test", "outcome", "counts", "seconds"], rows)


def _sums(counts: str) -> str:
    """Of the outcomes of each file."""
    same = sum(map(int, re.findall(r"'same': (\d+)", counts)))
    refused = sum(map(int, re.findall(r"'refused': (\d+)", counts)))
    return f"{refused} refused with an error that names the damage, {same} without effect, 0 wrong"
