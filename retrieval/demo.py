"""`retrieval demo`: the installed Python packages as nested JSON, and what is most like one of them."""

from __future__ import annotations

import argparse
import json
import re
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from retrieval.gallery import Gallery
from retrieval.hits import Hit
from retrieval.table import hits_table

_FAVOURITES = ("numpy", "scipy", "torch", "pip", "setuptools")
_REQUIREMENT = re.compile(r"^\s*([A-Za-z0-9._-]+)\s*(?:\[([^]]*)])?\s*\(?([^;)]*)\)?\s*(?:;\s*(.*))?$")
_MOST = 6


def packages() -> list[dict[str, Any]]:
    """One nested record for each installed package, by name."""
    found: dict[str, dict[str, Any]] = {}
    for distribution in metadata.distributions():
        name = distribution.metadata["Name"]
        if name and name.lower() not in found:
            found[name.lower()] = package(distribution)
    return [found[name] for name in sorted(found)]


def package(distribution: metadata.Distribution) -> dict[str, Any]:
    """What a package says about itself; fields that it leaves out are left out here too."""
    # `metadata` is typed as a protocol without `get`, and is a Message throughout.
    fields: Any = distribution.metadata
    assigned: dict[str, Any] = {
        "name": fields["Name"].lower(),
        "version": distribution.version,
        "summary": fields.get("Summary"),
        "keywords": _keywords(fields.get("Keywords")),
        "classifiers": _classifiers(fields.get_all("Classifier") or []),
        "requires": _requirements(distribution.requires or []),
        "author": fields.get("Author") or fields.get("Author-email"),
        "license": fields.get("License-Expression") or _short(fields.get("License")),
    }
    return {name: value for name, value in assigned.items() if value}


def _keywords(text: str | None) -> list[str]:
    return [
        word.strip() for word in re.split(r"[,\s]+" if "," not in (text or "") else ",", text or "") if word.strip()
    ]


def _classifiers(lines: list[str]) -> dict[str, Any]:
    """ "Topic :: Software Development :: Testing" under topic, as lists of what follows."""
    nested: dict[str, Any] = {}
    for line in lines:
        first, *rest = (part.strip() for part in line.split("::"))
        values = nested.setdefault(first.lower(), [])
        text = " / ".join(rest)
        if text and text not in values:
            values.append(text)
    return nested


def _requirements(lines: list[str]) -> list[dict[str, str]]:
    wanted = []
    for line in lines:
        match = _REQUIREMENT.match(line)
        if match is None:
            continue
        name, extras, version, condition = match.groups()
        given = {"name": name.lower(), "extras": extras, "version": version.strip(), "when": condition}
        wanted.append({key: value for key, value in given.items() if value})
    return wanted


def _short(text: str | None) -> str | None:
    # Some packages put the whole text of their licence here.
    return text if text and len(text) < 80 and "\n" not in text else None


def run(arguments: argparse.Namespace) -> int:
    """Index, ask, explain and print."""
    import vsa

    started = time.perf_counter()
    records = packages()
    by_name = {record["name"]: record for record in records}
    asked = next((name for name in _FAVOURITES if name in by_name), records[0]["name"] if records else None)
    if asked is None:
        print("no installed packages were found; the demo has nothing to index")
        return 1
    encoder = vsa.JSONEncoder()
    encoder.fit(records)
    with (
        tempfile.TemporaryDirectory(prefix="retrieval-demo-") as folder,
        Gallery.create(Path(folder) / "packages.gallery", encoder=encoder) as gallery,
    ):
        gallery.add(records, id="name", progress=False)
        indexed = time.perf_counter()
        hits = [hit for hit in gallery.search(by_name[asked], k=_MOST) if hit.id != asked]
        found = time.perf_counter()
        shares = gallery.explain(by_name[asked], hits[0].id) if hits else []
    if arguments.json:
        _print_json(asked, hits, shares)
        return 0
    print(f"{len(records)} installed packages, read as nested JSON. Which of them are most like {asked}?\n")
    print(hits_table(hits, {"summary": ""}))
    if hits:
        print("\n" + in_words(asked, hits[0], shares))
    print(f"\nIndexed in {indexed - started:.2f} s, answered in {1000 * (found - indexed):.1f} ms.")
    print("Your own records:  retrieval index FILE.jsonl --id FIELD --out DIR")
    return 0


def in_words(asked: str, hit: Hit, shares: list[tuple[str, float]]) -> str:
    """What two packages have in common, as a sentence or two."""
    sums: dict[str, float] = {}
    for path, share in shares:
        top = re.split(r"[.\[]", path.lstrip("$.") or path)[0] or path
        sums[top] = sums.get(top, 0.0) + share
    ranked = sorted(sums.items(), key=lambda pair: -pair[1])
    positive = sum(share for _, share in ranked if share > 0) or 1.0
    parts = [f"{name} ({share / positive:.0%})" for name, share in ranked[:3] if share > 0]
    listed = (
        ", ".join(parts[:-1]) + (" and " if len(parts) > 1 else "") + parts[-1] if parts else "nothing in particular"
    )
    words = f"{hit.id} is the nearest to {asked} (cosine {hit.score:.3f}). What they share lies mostly in {listed}."
    paths = [f"  {share:+.3f}  {path}" for path, share in shares[:5] if share > 0]
    return "\n".join([words, "The largest single contributions to that cosine:", *paths])


def _print_json(asked: str, hits: list[Hit], shares: list[tuple[str, float]]) -> None:
    print(
        json.dumps(
            {
                "asked": asked,
                "hits": [{"id": hit.id, "score": hit.score, "payload": hit.payload} for hit in hits],
                "explanation": [{"path": path, "share": share} for path, share in shares],
            },
            ensure_ascii=False,
        )
    )
