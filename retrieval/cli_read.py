"""The commands that ask an existing gallery: search, explain, info, delete, optimize, compact, check."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson

from retrieval import checking
from retrieval.gallery import Gallery
from retrieval.table import contributions_table, facts_table, hits_table, sized


class UsageError(Exception):
    """The command was called wrongly; exit status 2."""


def search(arguments: argparse.Namespace) -> int:
    """Print the hits of one query."""
    query = query_value(arguments.query)
    where = None if arguments.where is None else _object(arguments.where, "--where")
    with Gallery.open(arguments.gallery, device=arguments.device) as gallery:
        hits = gallery.search(query, k=arguments.k, where=where, model=arguments.model)
        if arguments.json:
            for rank, hit in enumerate(hits, start=1):
                line = {"rank": rank, "id": hit.id, "score": hit.score, "payload": hit.payload}
                print(json.dumps(line, ensure_ascii=False))
        elif hits:
            print(hits_table(hits, query))
        else:
            print("nothing found" if where else "the gallery is empty", file=sys.stderr)
    return 0


def query_value(text: str) -> Any:
    """The query of the command line: a JSON object, or an array of numbers for a vector.

    Raises
    ------
    UsageError
        If it is neither; says what to write instead.
    """
    if text == "-":
        text = sys.stdin.buffer.read().decode("utf-8", "replace")
    try:
        value = orjson.loads(text.encode("utf-8", "surrogateescape"))
    except orjson.JSONDecodeError as error:
        example = json.dumps({"title": text[:40].strip()}, ensure_ascii=False)
        if text.lstrip()[:1] not in ("{", "["):
            raise UsageError(f"the query is not JSON; write an object such as '{example}'") from error
        raise UsageError(f"the query is not JSON: {error}") from error
    if isinstance(value, list) and value and all(type(one) in (int, float) for one in value):
        return value
    if not isinstance(value, dict):
        kind = type(value).__name__
        example = json.dumps({"title": value if isinstance(value, str) else "sunset"}, ensure_ascii=False)
        raise UsageError(f"the query must be a JSON object, got {kind}; write one such as '{example}'")
    return value


def _object(text: str, what: str) -> dict[str, Any]:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise UsageError(f"{what} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise UsageError(f"{what} must be a JSON object, got {type(value).__name__}")
    return value


def explain(arguments: argparse.Namespace) -> int:
    """Print the share of each path in the score of an item."""
    query = query_value(arguments.query)
    if not isinstance(query, dict):
        raise UsageError("only a JSON object can be explained, not a vector")
    with Gallery.open(arguments.gallery) as gallery:
        shares = gallery.explain(query, arguments.id)
    if arguments.json:
        for path, share in shares:
            print(json.dumps({"path": path, "share": share}, ensure_ascii=False))
    else:
        print(contributions_table(shares))
    return 0


def info(arguments: argparse.Namespace) -> int:
    """Print facts about a gallery."""
    with Gallery.open(arguments.gallery, device=arguments.device) as gallery:
        facts = gallery.info().to_dict()
    print(json.dumps(facts) if arguments.json else facts_table(facts))
    return 0


def delete(arguments: argparse.Namespace) -> int:
    """Delete items."""
    with Gallery.open(arguments.gallery) as gallery:
        gone = gallery.delete(arguments.ids)
        left = gallery.count()
    print(f"{Path(arguments.gallery)}: {gone:,} deleted, {left:,} left", file=sys.stderr)
    return 0


def optimize(arguments: argparse.Namespace) -> int:
    """Choose an index and print what was measured."""
    with Gallery.open(arguments.gallery, device=arguments.device) as gallery:
        try:
            plan = gallery.optimize(
                arguments.recall,
                arguments.k,
                memory=arguments.memory,
                seconds=arguments.seconds,
                index=arguments.index,
            )
        except ValueError as error:
            raise UsageError(str(error)) from error
    print(plan.to_text() if arguments.json else plan)
    return 0


def compact(arguments: argparse.Namespace) -> int:
    """Give space back."""
    with Gallery.open(arguments.gallery) as gallery:
        done = gallery.compact(drop=arguments.drop)
    print(f"{arguments.gallery}: {sized(done.before)} before, {sized(done.after)} now", file=sys.stderr)
    return 0


def duplicates(arguments: argparse.Namespace) -> int:
    """Print pairs of near-duplicates."""
    with Gallery.open(arguments.gallery) as gallery:
        found = False
        for one, other, score in gallery.near_duplicates(arguments.min_score):
            found = True
            if arguments.json:
                print(json.dumps({"a": one, "b": other, "score": score}, ensure_ascii=False))
            else:
                print(f"{score:.4f}  {one}  {other}")
        if not found:
            print(f"no two items have a cosine of {arguments.min_score:g} or more", file=sys.stderr)
    return 0


def check(arguments: argparse.Namespace) -> int:
    """Print what is damaged; exit status 1 if anything is."""
    report = checking.check(arguments.gallery)
    if arguments.json:
        print(json.dumps({**asdict(report), "sound": report.sound}))
    else:
        for problem in report.problems:
            print(f"damaged: {problem}")
        for name in ("records", "vectors"):
            expected = getattr(report, name + "_expected")
            of = "an unknown number" if expected is None else f"{expected:,}"
            print(f"{name}: {getattr(report, name):,} of {of} can be read")
        print("sound" if report.sound else "save what can be read with `retrieval export --salvage`")
    return 0 if report.sound else 1
