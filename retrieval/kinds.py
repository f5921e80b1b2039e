"""Which kinds of index `optimize` tries, and on which device."""

from __future__ import annotations

import math
from typing import NamedTuple

from retrieval import device, gpu
from retrieval.device import AUTO, CPU, Place, choose, graph_degree, placeable
from retrieval.errors import DeviceError
from retrieval.plan import FLAT
from retrieval.sizing import gpu_bytes


class Contender(NamedTuple):
    """A kind of index on a device."""

    factory: str
    place: Place

    def __str__(self) -> str:
        half = ", float16" if self.place.half else ""
        return f"{self.factory} on {self.place.name}{half}" if self.place.gpus else self.factory


def lists_for(n: int) -> int:
    """Inverted lists for n vectors."""
    return int(2 ** round(math.log2(max(2.5 * math.sqrt(n), 4))))


def factories(n: int, dim: int) -> list[str]:
    """Index kinds worth trying on the CPU for n vectors, the most promising first."""
    inverted = f"IVF{lists_for(n)}"
    kinds = [f"{inverted},SQ8", f"{inverted},RaBitQ", "HNSW32"]
    if dim % 4 == 0:
        kinds.insert(0, f"{inverted},PQ{dim // 4}x4fsr")
    return kinds


def contenders(asked: str, n: int, dim: int, named: list[str] | None) -> tuple[list[Contender], list[str]]:
    """(what to try, remarks on what does not fit); comparing all vectors comes first, on each device.

    Parameters
    ----------
    asked : str
        The device; "auto" tries what it would choose between, "cuda" what runs there.
    named : list of str, optional
        Kinds to try instead of the usual ones. On a GPU if one is there, fits and takes the kind.

    Raises
    ------
    DeviceError
        If a GPU was asked for by name, and is not there or takes none of the kinds named.
    ValueError
        For a graph that only a GPU builds, where none is there.
    """
    on_cpu = Place((), "")
    there = gpu.count() > 0
    for factory in named or []:
        degree = graph_degree(factory)
        if degree is not None and (asked == CPU or not there or not placeable(factory, dim)):
            raise ValueError(
                f"{factory} is built on a GPU, by FAISS with cuVS; HNSW{degree // 2} is its like on the CPU"
            )
    if asked == CPU or (asked == AUTO and not there):
        return [Contender(factory, on_cpu) for factory in (FLAT, *(factories(n, dim) if named is None else named))], []
    if not there:
        choose(asked, 0)
    found = [] if asked != AUTO else [Contender(FLAT, on_cpu)]
    remarks: list[str] = []
    kinds = device.factories(n, dim, lists_for(n)) if named is None else [one for one in named if placeable(one, dim)]
    for factory, half in [(FLAT, False), (FLAT, True), *((kind, False) for kind in kinds)]:
        try:
            place = choose(asked, gpu_bytes(n, dim, factory, half=half), graph=graph_degree(factory) is not None)
        except DeviceError as error:
            place = Place((), str(error))
        if place.gpus:
            found.append(Contender(factory, Place(place.gpus, place.why, half)))
        else:
            remarks.append(f"{factory}{', float16,' if half else ''} on a GPU: not tried, {place.why}")
    if asked == AUTO:
        others = factories(n, dim) if named is None else [one for one in named if one not in kinds]
        found += [Contender(factory, on_cpu) for factory in others]
    elif named and not kinds:
        raise DeviceError(
            f'device="{asked}": FAISS cannot put {named[0]!r} on a GPU; it can put IVF with Flat, SQ8 or PQ of '
            f"{', '.join(map(str, device.PQ_BYTES))} bytes"
        )
    return found, remarks
