"""RESULTS.md by sections: a part that runs again replaces its own."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path

HEAD = "# The gallery: speed at a promised recall, beside its peers\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def machine() -> str:
    """Where the figures are from."""
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    load = os.getloadavg()[0]
    versions = [f"{name} {_version(name)}" for name in ("numpy", "hnswlib", "usearch", "lancedb", "chromadb")]
    faiss = next((name for name in ("faiss-cpu", "faiss-gpu", "faiss-gpu-cuvs") if _version(name) != "absent"), "faiss")
    return (
        f"{len(os.sched_getaffinity(0))} cores of {cpu[1] if cpu else 'an unknown processor'}, load at the end "
        f"{load:.1f}; Python {platform.python_version()}, {faiss} {_version(faiss)}, {', '.join(versions)}; "
        f"commit {commit()}."
    )


def commit() -> str:
    """The commit that ran, and whether files differ from it; "unknown" outside a repository."""
    here = Path(__file__).parent
    try:
        name = _git(here, "rev-parse", "--short", "HEAD")
        # Results that an earlier part wrote are no change of the program.
        changed = _git(here, "status", "--porcelain", "--untracked-files=no", "--", ":/", ":(exclude,top)*.md")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{name}, with changes" if changed else name


def _git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", "-C", str(folder), *words], capture_output=True, check=True, text=True).stdout.strip()


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "absent"


def write(file: Path, title: str, command: str, body: str) -> None:
    """Put a section in place of the one with the same title, or at the end; and show it.

    What stands below the line about the machine was written by hand and is kept.
    """
    section = f"## {title}\n\n`{command}`\n\n{body}\n\n{machine()}\n"
    print("\n" + section, flush=True)
    text = file.read_text(encoding="utf-8") if file.exists() else HEAD
    parts = [part.rstrip() + "\n" for part in re.split(r"(?m)^(?=## )", text)]
    place = next((i for i, part in enumerate(parts) if part.startswith(f"## {title}\n")), None)
    if place is None:
        parts.append(section)
    else:
        notes = re.split(r"(?m)^\d+ cores of .*; commit .*\.$", parts[place])[1:]
        parts[place] = section + (f"\n{notes[-1].strip()}\n" if notes and notes[-1].strip() else "")
    file.write_text("\n".join(parts), encoding="utf-8")
