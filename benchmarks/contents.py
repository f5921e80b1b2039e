"""The head of RESULTS.md: every part with its command, and where its kept results are."""

from __future__ import annotations

import re
from pathlib import Path

from benchmarks.parts import PARTS, Part

FOLDER = Path(__file__).parent
FILE = FOLDER / "RESULTS.md"


def head() -> str:
    """What stands before the first section."""
    lines = [
        "# All benchmarks",
        "",
        "`python -m benchmarks` runs the parts that are not marked *long*, half an hour at most on two cores, and puts",
        "what each prints below, with the machine and the commit; `--only NAME` runs any. Results at full size, with",
        "peers, intervals and misses, are kept beside the programs. No part needs a GPU.",
        "",
        "| part | what it measures | command | | kept results |",
        "|---|---|---|---|---|",
    ]
    for part in PARTS:
        folder = part.words[0].split(".")[1]
        long = "*long*" if part.long else ""
        lines.append(f"| {part.name} | {part.about} | `{part.command}` | {long} | [{folder}]({folder}/RESULTS.md) |")
    return "\n".join(lines) + "\n"


def refresh(file: Path) -> None:
    """Write the head anew and leave the sections."""
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    first = re.search(r"(?m)^## ", text)
    sections = text[first.start() :] if first else ""
    file.write_text("\n".join(filter(None, [head(), sections])), encoding="utf-8")


def where(part: Part) -> Path:
    """The file with the kept results of a part."""
    return FOLDER / part.words[0].split(".")[1] / "RESULTS.md"


if __name__ == "__main__":
    refresh(FILE)
    print(FILE)
