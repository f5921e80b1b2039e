"""What a figure is worth nothing without: the machine, the commit and the versions."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from benchmarks.gallery.results import commit


def version(package: str) -> str:
    """The installed version of a package, or "absent"."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "absent"


def described(packages: Iterable[str]) -> str:
    """One line of Markdown: processor, cores, load, commit, versions."""
    info = Path("/proc/cpuinfo")
    cpu = re.search(r"model name\s*: (.*)", info.read_text()) if info.exists() else None
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    return (
        f"{len(os.sched_getaffinity(0))} cores of {cpu[1] if cpu else platform.processor() or 'an unknown processor'}, "
        f"load {os.getloadavg()[0]:.1f}; commit {commit()}; Python {platform.python_version()}, {versions}."
    )
