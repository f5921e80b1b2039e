"""One file for one map: a header in JSON, arrays as raw bytes, a SHA-256 over all of it.

Layout, little-endian::

    8 bytes   magic  "RTRV-MAP"
    uint32    format version
    uint32    length of the header
    uint64    length of the whole file, digest included
    header    JSON, UTF-8: kind, fields, and name, dtype and shape of each array
    arrays    raw, C order, one after the other, each padded to 64 bytes
    32 bytes  SHA-256 of everything before it

Every version keeps the magic, the version, the length of the file and the digest where they are, so
that a file of a later version can be told from a damaged one: its digest still holds.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from retrieval.compat.errors import DamagedMapError, MapFileError, NewerMapError
from retrieval.durable import sync_folder

MAGIC = b"RTRV-MAP"
VERSION = 1
Parts = tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]
_PREAMBLE = struct.Struct("<8sIIQ")
_DIGEST_SIZE = 32
_ALIGN = 64
_DTYPES = frozenset({"<f4", "<f8", "<i8"})


def write(
    path: str | os.PathLike[str], kind: str, fields: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]
) -> None:
    """Write a map atomically: a temporary file beside it, synced, then renamed over it.

    A crash leaves either the file that was there before or the new one.

    Raises
    ------
    FileNotFoundError
        If the folder does not exist.
    """
    target = Path(path)
    if not target.parent.is_dir():
        raise FileNotFoundError(f"cannot save {target.name}: there is no folder {target.parent}; make it first")
    described, payload = [], []
    for name, array in arrays.items():
        stored = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        if stored.dtype.str not in _DTYPES:
            raise TypeError(f"array {name!r} is {array.dtype}; a map file holds {sorted(_DTYPES)}")
        described.append({"name": name, "dtype": stored.dtype.str, "shape": list(stored.shape)})
        payload.append(stored.tobytes() + b"\0" * (-stored.nbytes % _ALIGN))
    header = json.dumps(
        {"kind": kind, "fields": dict(fields), "arrays": described}, sort_keys=True, allow_nan=False
    ).encode()
    size = _PREAMBLE.size + len(header) + sum(map(len, payload)) + _DIGEST_SIZE
    digest = hashlib.sha256()
    handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            for part in (_PREAMBLE.pack(MAGIC, VERSION, len(header), size), header, *payload):
                digest.update(part)
                file.write(part)
            file.write(digest.digest())
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    sync_folder(target.parent)


def read(path: str | os.PathLike[str], kind: str) -> Parts:
    """Read a map's fields and arrays, after checking the digest.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    MapFileError
        If the file is no map, or one of another kind.
    DamagedMapError
        If the file was cut short or altered.
    NewerMapError
        If a later version of the package wrote it.
    """
    raw = Path(path).read_bytes()
    if raw[: len(MAGIC)] != MAGIC:
        raise MapFileError(f"{path} is not a saved map: it does not begin with {MAGIC.decode()}")
    if len(raw) < _PREAMBLE.size:
        raise DamagedMapError(f"{path} is cut short: {len(raw)} bytes do not hold even the preamble")
    _, version, header_length, size = _PREAMBLE.unpack_from(raw)
    if len(raw) < size:
        raise DamagedMapError(f"{path} is cut short: {len(raw)} bytes of {size}; restore it or fit anew")
    body = memoryview(raw)[:-_DIGEST_SIZE]
    if len(raw) != size or hashlib.sha256(body).digest() != raw[-_DIGEST_SIZE:]:
        raise DamagedMapError(f"{path} was altered: its SHA-256 does not hold; restore it or fit anew")
    if version > VERSION:
        raise NewerMapError(f"{path} has format version {version}, and this package reads up to {VERSION}; upgrade it")
    header = json.loads(bytes(body[_PREAMBLE.size : _PREAMBLE.size + header_length]))
    if header["kind"] != kind:
        raise MapFileError(f"{path} holds a map of kind {header['kind']!r}, not {kind!r}; load it as that")
    return header["fields"], _arrays(raw, header["arrays"], _PREAMBLE.size + header_length)


def _arrays(raw: bytes, described: list[dict[str, Any]], offset: int) -> dict[str, npt.NDArray[Any]]:
    arrays = {}
    for entry in described:
        dtype, shape = np.dtype(entry["dtype"]), tuple(entry["shape"])
        count = int(np.prod(shape, dtype=np.int64))
        # A copy: `frombuffer` would keep the whole file alive, and unaligned to the item size.
        arrays[entry["name"]] = np.frombuffer(raw, dtype, count, offset).reshape(shape).copy()
        nbytes = count * dtype.itemsize
        offset += nbytes + (-nbytes % _ALIGN)
    return arrays
