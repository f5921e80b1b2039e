"""Parts that measure the gallery, each of which writes its own sections of RESULTS.md.

    python -m benchmarks.gallery                           # all but the last three, the peers that are installed
    python -m benchmarks.gallery indexed --data smooth     # one part, one data set
    python -m benchmarks.gallery million                   # some ten minutes
    python -m benchmarks.gallery safety                    # kills, readers, altered bytes; some twenty minutes
    python -m benchmarks.gallery gpu                       # on a machine with a GPU

Peers: hnswlib, usearch, lancedb, pyarrow and chromadb, in an environment of their own.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.gallery import data, results

PARTS = ("indexed", "exact", "filters", "embedded", "writes")
APART = ("million", "safety", "gpu")
DATA = {
    "indexed": data.NAMES,
    "exact": data.NAMES,
    "filters": ("clustered",),
    "embedded": ("clustered",),
    "writes": ("clustered",),
    "gpu": data.NAMES,
}


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gallery", description=__doc__.split("\n")[0])
    parser.add_argument("parts", nargs="*", help=f"of {', '.join((*PARTS, *APART))}; all but the last three by default")
    parser.add_argument("--data", choices=data.NAMES, action="append", help="only on these vectors")
    parser.add_argument("--cache", type=Path, help="where vectors are kept, to be used again")
    parser.add_argument("--quick", action="store_true", help="a tenth of the vectors, nothing written to RESULTS.md")
    parser.add_argument("--results", type=Path, default=Path(__file__).with_name("RESULTS.md"))
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    unknown = set(given.parts) - {*PARTS, *APART}
    if unknown:
        parser.error(f"unknown part {min(unknown)!r}")
    cache = given.cache or Path(tempfile.gettempdir()) / "gallery-vectors"
    wanted = [
        (part, name)
        for part in given.parts or PARTS
        for name in DATA.get(part, ("clustered",))
        if not given.data or name in given.data
    ]
    if given.here:
        _run(*wanted[0], cache, given.quick, given.results)
        return
    # A kernel forced on OpenBLAS would slow FAISS and NumPy down: each chooses its own, or as the package tells it.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OPENBLAS_")}
    for part, name in wanted:
        # Each in a process of its own: memory and threads of one are no matter of the next.
        words = [part, "--data", name, "--cache", str(cache), "--results", str(given.results), "--here"]
        words += ["--quick"] if given.quick else []
        subprocess.run([sys.executable, "-m", "benchmarks.gallery", *words], env=environment, check=True)


def _run(part: str, name: str, cache: Path, quick: bool, file: Path) -> None:
    command = f"python -m benchmarks.gallery {part}"
    if part == "million":
        from benchmarks.gallery import million

        title, body = million.title(), million.run(quick)
    elif part == "safety":
        from benchmarks.gallery import safety

        title, body = "Kills, readers, altered bytes", safety.run(quick)
    else:
        # A gallery is imported first, so that FAISS's BLAS is told of the processor by it.
        from benchmarks.gallery import devices, embedded, exactly, filters, indexed, writes

        run, title = {
            "indexed": (indexed.run, "Through an index"),
            "exact": (exactly.run, "Exact"),
            "filters": (filters.run, "Filters"),
            "embedded": (embedded.run, "Embedded stores"),
            "writes": (writes.run, "Writing beside embedded stores"),
            "gpu": (devices.run, "On a GPU"),
        }[part]
        vectors = data.load(name, cache, quick)
        title, body = f"{title}: {name}", run(vectors, cache) if part == "indexed" else run(vectors)
        command += f" --data {name}"
    if quick:
        file = Path(tempfile.mkdtemp()) / "RESULTS.md"
    results.write(file, title, command, body)


if __name__ == "__main__":
    main()
