"""Run the benchmarks, each part in a process of its own, and keep what they print.

    python -m benchmarks --list
    python -m benchmarks                     # the short parts, half an hour at most
    python -m benchmarks --only rate --only quality

What a part prints goes into its section of RESULTS.md beside this file, with the machine and the commit. A part that
fails is named, the others go on, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

from benchmarks import contents
from benchmarks.gallery import results
from benchmarks.parts import PARTS, Part


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.split("\n")[0])
    parser.add_argument("--list", action="store_true", help="name the parts and run none")
    parser.add_argument("--only", action="append", metavar="NAME", choices=[part.name for part in PARTS])
    parser.add_argument("--minutes", type=float, default=30.0, help="stop then; parts not begun are named (30)")
    parser.add_argument("--results", type=Path, default=contents.FILE)
    given = parser.parse_args()
    if given.list:
        for part in PARTS:
            print(f"{part.name:<14}{'long' if part.long else '':<6}{part.about}\n{'':<20}{part.command}")
        return 0
    wanted = [part for part in PARTS if (part.name in given.only if given.only else not part.long)]
    end = time.monotonic() + 60.0 * given.minutes
    contents.refresh(given.results)
    # Every part is run, whatever became of those before it.
    failures = [failure for failure in [_run(part, end, given.results) for part in wanted] if failure]
    for failure in failures:
        print(failure, file=sys.stderr)
    return 1 if failures else 0


def _run(part: Part, end: float, file: Path) -> str | None:
    """Run a part and write its section; say what went wrong, if anything did."""
    left = end - time.monotonic()
    if left <= 0:
        return f"{part.name}: not run, the time was up"
    begun = time.monotonic()
    try:
        done = subprocess.run(
            [sys.executable, "-m", *part.words], stdout=subprocess.PIPE, text=True, timeout=left, check=False
        )
    except subprocess.TimeoutExpired:
        return f"{part.name}: stopped after {left:.0f} s, the time was up"
    if done.returncode:
        return f"{part.name}: {part.command} ended with status {done.returncode}"
    took = f"Took {time.monotonic() - begun:.0f} s at commit {results.commit()}."
    # Headings of a part would split its section in two.
    body = "\n".join(f"##{line}" if line.startswith("#") else line for line in done.stdout.strip().splitlines())
    results.write(file, f"{part.name}: {part.about}", part.command, f"{body}\n\n{took}")
    return None


if __name__ == "__main__":
    raise SystemExit(main())
