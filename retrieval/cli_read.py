"""The commands that ask an existing gallery: search, explain, info, delete, export."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import orjson

from retrieval.gallery import Gallery
from retrieval.table import contributions_table, facts_table, hits_table


class UsageError(Exception):
    """The command was called wrongly; exit status 2."""


def search(arguments: argparse.Namespace) -> int:
    """Print the hits of one query."""
    query = query_value(arguments.query)
    where = None if arguments.where is None else _object(arguments.where, "--where")
    with Gallery.open(arguments.gallery) as gallery:
        hits = gallery.search(query, k=arguments.k, where=where)
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
    with Gallery.open(arguments.gallery) as gallery:
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


def export(arguments: argparse.Namespace) -> int:
    """Print ids and payloads as JSON Lines."""
    with Gallery.open(arguments.gallery) as gallery:
        for name, payload in gallery.items():
            print(json.dumps({"id": name, "payload": payload}, ensure_ascii=False))
    return 0
