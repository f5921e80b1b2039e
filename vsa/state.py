"""What is saved of an encoder or its memory: one versioned JSON document with a checksum."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import orjson

from vsa.errors import EncoderStateError, NewerFormatError
from vsa.hashing import FORMAT

KIND = "vsa-encoder"
MEMORY = "vsa-memory"
_NAMES = {KIND: "encoder", MEMORY: "memory"}


def dump(body: dict[str, Any], kind: str = KIND) -> bytes:
    """The document of an encoder's configuration and statistics, or of a memory."""
    return orjson.dumps({"kind": kind, "format": FORMAT, "sha256": checksum(body), **body})


def parse(data: bytes, kind: str = KIND) -> dict[str, Any]:
    """The body of a document that `dump` wrote.

    Raises
    ------
    NewerFormatError
        If a later version of the package wrote it.
    EncoderStateError
        If it is cut, altered or something else.
    """
    name = _NAMES[kind]
    try:
        document = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise EncoderStateError(f"not a saved {name}, or a damaged one: {error}") from error
    if not isinstance(document, dict) or document.get("kind") != kind:
        raise EncoderStateError(f'not a saved {name}: expected a JSON object with "kind": "{kind}"')
    version = document.get("format")
    if isinstance(version, int) and version > FORMAT:
        raise NewerFormatError(
            f"the {name} has format {version}, this package reads up to {FORMAT}; upgrade vsa-retrieval"
        )
    body = {part: value for part, value in document.items() if part not in ("kind", "format", "sha256")}
    if version != FORMAT or checksum(body) != document.get("sha256"):
        raise EncoderStateError(f"the saved {name} is damaged or was altered: its checksum does not match")
    return body


def checksum(body: dict[str, Any]) -> str:
    """SHA-256 of the body with its keys in order."""
    return hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest()


def write_file(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file whole or not at all: temporary name, fsync, rename.

    Raises
    ------
    OSError
        As the file system does; the old file is left as it was.
    """
    target = Path(path)
    name = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with open(name, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, target)
    except BaseException:
        name.unlink(missing_ok=True)
        raise
