"""Plant small bugs in a module, one at a time, and count those that its tests see.

    pip install cosmic-ray
    python -m tests.mutants vsa/leaves.py --draw 150
    python -m tests.mutants vsa/leaves.py --draw 150 --only 17,31    # again, after a test was written

Mutants are drawn at random from all that cosmic-ray's operators make of the module, without those in annotations. Each
is run against the tests of its module alone (`SUITES`, or `--tests`). Survivors are printed as diffs.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from .drawing import draw
from .judging import Verdict, judge, load_libraries

SUITES = {
    "vsa/binding.py": ("tests/vsa/test_binding.py",),
    "vsa/leaves.py": ("tests/vsa/test_leaves.py",),
    "retrieval/metrics/ranking.py": ("tests/compat/test_metrics_borders.py", "tests/compat/test_metrics.py"),
    "retrieval/metrics/series.py": ("tests/compat/test_metrics_borders.py", "tests/compat/test_metrics.py"),
    "retrieval/metrics/bootstrap.py": ("tests/compat/test_metrics_borders.py", "tests/compat/test_metrics.py"),
    "retrieval/compat/calibration.py": ("tests/compat/test_calibration.py",),
    "retrieval/compat/isometry.py": ("tests/compat/test_isometry.py",),
    "retrieval/compat/polar.py": ("tests/compat/test_isometry.py",),
    "retrieval/compat/mapfile.py": ("tests/compat/test_mapfile.py",),
    "retrieval/compat/pairs.py": ("tests/compat/test_pairs.py", "tests/compat/test_isometry.py"),
    "retrieval/compat/ridge.py": ("tests/compat/test_map_parts.py", "tests/compat/test_local_linear.py"),
    "retrieval/compat/leave_one_out.py": ("tests/compat/test_map_parts.py", "tests/compat/test_local_linear.py"),
    "retrieval/compat/neighbours.py": ("tests/compat/test_neighbours.py", "tests/compat/test_local_linear.py"),
    "retrieval/compat/kernel_ridge.py": ("tests/compat/test_map_parts.py", "tests/compat/test_kernel_ridge.py"),
    "retrieval/compat/correction.py": (
        "tests/compat/test_neighbours.py", "tests/compat/test_local_linear.py", "tests/compat/test_kernel_ridge.py"),
}  # fmt: skip


def main() -> int:
    """Judge mutants of one module; 1 where the module as it is fails its tests."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("module", type=Path, help="the file, below the project's root")
    parser.add_argument("--draw", type=int, default=150, help="mutants to draw")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="numbers of drawn mutants, by commas")
    parser.add_argument("--tests", nargs="+", help="pytest's arguments, where not those of SUITES")
    parser.add_argument("--list", action="store_true", help="print the mutants and run none")
    arguments = parser.parse_args()
    tests = arguments.tests or SUITES[arguments.module.as_posix()]
    drawn, every = draw(arguments.module, arguments.draw, arguments.seed)
    chosen = {int(number) for number in arguments.only.split(",")} if arguments.only else range(len(drawn))
    if arguments.list:
        for number in sorted(chosen):
            print(f"\n{number}: {drawn[number].operator}\n{drawn[number].diff}")
        return 0
    name = ".".join(arguments.module.with_suffix("").parts)
    with tempfile.TemporaryDirectory() as scratch:
        # Failures that hypothesis remembers would reach from one mutant into the next.
        os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = scratch
        load_libraries()
        start = time.monotonic()
        if judge(name, arguments.module, arguments.module.read_text(encoding="utf-8"), tests, 3600) != Verdict.SURVIVED:
            print(f"{arguments.module} fails its tests without a bug planted: {' '.join(tests)}", file=sys.stderr)
            return 1
        seconds = 60 + 10 * (time.monotonic() - start)
        count = dict.fromkeys(Verdict, 0)
        try:
            for number in sorted(chosen):
                mutant = drawn[number]
                verdict = judge(name, arguments.module, mutant.source, tests, seconds)
                count[verdict] += 1
                if verdict is Verdict.SURVIVED:
                    print(f"\n{number} survived: {mutant.operator}\n{mutant.diff}", flush=True)
        except KeyboardInterrupt:
            print("\nstopped; these were judged:")
    told = ", ".join(f"{number} {verdict.value}" for verdict, number in count.items())
    print(f"\n{arguments.module}: {sum(count.values())} of {every} mutants, seed {arguments.seed}: {told}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
