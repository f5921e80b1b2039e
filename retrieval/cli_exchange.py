"""`retrieval export` and `retrieval import`: galleries as files that other programs read."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

from retrieval.checking import salvaged
from retrieval.cli_index import removed_on_failure
from retrieval.cli_read import UsageError
from retrieval.errors import RetrievalError
from retrieval.gallery import Gallery
from retrieval.payload import load

_ROWS = 1024

Command = Callable[[str, str, Callable[[argparse.Namespace], int]], argparse.ArgumentParser]


def add_commands(command: Command) -> None:
    """Put both into the parser."""
    take = command("export", "Write ids and payloads as JSON Lines, or everything as Parquet.", export)
    take.add_argument("gallery", metavar="DIR", help="folder of the gallery")
    take.add_argument("--salvage", action="store_true", help="pass over damaged records")
    take.add_argument("--vectors", metavar="FILE", help="also write the vectors, row by row, as a .npy file")
    take.add_argument("--encoder", metavar="FILE", help="also write the encoder")
    take.add_argument("--parquet", metavar="FILE", help="write ids, payloads, vectors and encoder to this file instead")
    bring = command("import", "Make a gallery of what export wrote.", import_)
    bring.add_argument("file", help="JSON Lines with id and payload, - for standard input; or a .parquet file")
    bring.add_argument("vectors", nargs="?", help="a .npy file with one row for each line; not with Parquet")
    bring.add_argument("--out", required=True, metavar="DIR", help="folder of the gallery")
    bring.add_argument("--encoder", metavar="FILE", help="the encoder that export wrote")
    bring.add_argument("--model", help="name of the model that the vectors are from, where there is no encoder")
    bring.add_argument("--storage", choices=["float32", "float16"], default="float32", help="type on disk")


def export(arguments: argparse.Namespace) -> int:
    """Print ids and payloads as JSON Lines, all of one state of the gallery, and write what else is asked for."""
    if arguments.salvage:
        if arguments.vectors or arguments.encoder or arguments.parquet:
            raise UsageError("--salvage saves ids and payloads; --vectors, --encoder and --parquet do not go with it")
        for record in salvaged(arguments.gallery):
            _print_item(record.id, load(record.codec, record.payload))
        return 0
    if arguments.parquet and (arguments.vectors or arguments.encoder):
        raise UsageError("--parquet holds vectors and encoder; --vectors and --encoder do not go with it")
    with Gallery.open(arguments.gallery) as gallery:
        if arguments.parquet:
            from retrieval import parquet

            rows = parquet.write(gallery, arguments.parquet)
            print(f"{arguments.parquet}: {rows:,} rows", file=sys.stderr)
            return 0
        if arguments.encoder:
            encoder: Any = gallery.encoder
            if encoder is None:
                raise UsageError(f"{arguments.gallery}: was made from vectors and has no encoder")
            encoder.save(arguments.encoder)
        if arguments.vectors:
            _print_with_vectors(gallery, arguments.vectors)
            return 0
        for name, payload in gallery.items():
            _print_item(name, payload)
    return 0


def _print_with_vectors(gallery: Gallery, name: str) -> None:
    import numpy as np

    header = {"descr": "<f4", "fortran_order": False}
    count = 0
    with open(name, "wb") as file:
        # The count is known at the end; the room that numpy leaves for it in the header does not depend on it.
        np.lib.format.write_array_header_1_0(file, {**header, "shape": (0, gallery.dim)})
        for ids, payloads, X in gallery.batches():
            file.write(X.astype("<f4").tobytes())
            count += len(ids)
            for one, payload in zip(ids, payloads, strict=True):
                _print_item(one, payload)
        file.seek(0)
        np.lib.format.write_array_header_1_0(file, {**header, "shape": (count, gallery.dim)})


def _print_item(name: str, payload: Any) -> None:
    print(json.dumps({"id": name, "payload": payload}, ensure_ascii=False))


def import_(arguments: argparse.Namespace) -> int:
    """Make a gallery, or leave nothing behind."""
    if arguments.encoder and arguments.model:
        raise UsageError("--encoder brings the name of the model; --model does not go with it")
    if arguments.file.endswith(".parquet"):
        if arguments.vectors:
            raise UsageError("a Parquet file holds the vectors; give no second file")
        from retrieval import parquet

        source = parquet.Source(arguments.file)
        dim, batches = source.dim, source.batches()
        encoder, model = source.encoder, source.model
    elif arguments.vectors is None:
        raise UsageError("give the .npy file with the vectors, or one .parquet file")
    else:
        dim, batches = _lines_and_vectors(arguments.file, arguments.vectors)
        encoder = model = None
    if arguments.encoder:
        encoder = _loaded(arguments.encoder)
    if arguments.model:
        encoder, model = None, arguments.model
    if encoder is not None and encoder.dim != dim:
        raise UsageError(f"the vectors have dim {dim}, the encoder makes dim {encoder.dim}")
    made = {"encoder": encoder} if encoder is not None else {"dim": dim, "model": model}
    gallery = Gallery.create(arguments.out, **made, storage=arguments.storage)
    with gallery, removed_on_failure(gallery):
        try:
            taken = gallery.add_batches(batches)
        except ValueError as error:
            if isinstance(error, RetrievalError):
                raise
            raise UsageError(str(error)) from error
    print(f"{arguments.out}: {taken:,} items", file=sys.stderr)
    return 0


def _loaded(name: str) -> Any:
    import vsa

    try:
        return vsa.JSONEncoder.load(name)
    except OSError as error:
        raise UsageError(f"{name}: {error.strerror or error}") from error


def _lines_and_vectors(lines: str, vectors: str) -> tuple[int, Iterator[tuple[list[Any], list[Any], Any]]]:
    """dim, and batches of a file of lines and a .npy file that is mapped, not read."""
    import numpy as np

    try:
        X = np.load(vectors, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UsageError(f"{vectors}: not a .npy file that can be read: {error}") from error
    if X.ndim != 2 or not X.shape[1]:
        raise UsageError(f"{vectors}: expected an array of shape (n, dim), got {X.shape}")
    if not Path(lines).is_file() and lines != "-":
        raise UsageError(f"{lines}: no such file")
    return X.shape[1], _paired(lines, X)


def _paired(lines: str, X: Any) -> Iterator[tuple[list[Any], list[Any], Any]]:
    import vsa

    done = 0
    read = vsa.iter_json(lines, format="jsonl")
    while part := list(islice(read, _ROWS)):
        for number, line in part:
            if not isinstance(line, dict) or "id" not in line:
                raise RetrievalError(f"line {number}: expected an object with id and payload")
        if done + len(part) > len(X):
            more = sum(1 for _ in chain(part, read))
            raise UsageError(f"{done + more} lines for {len(X)} vectors")
        records = [line for _, line in part]
        yield [one["id"] for one in records], [one.get("payload") for one in records], X[done : done + len(part)]
        done += len(part)
    if done != len(X):
        raise UsageError(f"{done} lines for {len(X)} vectors")
