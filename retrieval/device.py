"""Which device searches are to run on: what was asked for, what there is, and what fits."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from retrieval import gpu
from retrieval.errors import DeviceError
from retrieval.plan import FLAT, Plan
from retrieval.sizing import gpu_bytes
from retrieval.table import sized

AUTO, CPU = "auto", "cpu"

RESERVE = 1_800_000_000
"""Bytes that FAISS takes on each GPU for its own work (1.5 GiB), with a little for the driver."""

# Codes of a product quantizer that FAISS has kernels for: bytes, and numbers of dimensions that each may stand for.
PQ_BYTES = (1, 2, 3, 4, 8, 12, 16, 20, 24, 28, 32, 40, 48, 56, 64, 96)
_PQ_DIMS = (1, 2, 3, 4, 6, 8, 10, 12, 16, 20, 24, 28, 32)
_GRAPH = re.compile(r"CAGRA(\d+)")
_INVERTED = re.compile(r"IVF(\d+),(?:Flat|SQ8|SQ6|SQ4|SQfp16|PQ(\d+)(?:x8)?)")


def checked_device(device: str) -> str:
    """`device`, if it is "auto", "cpu", "cuda", or "cuda:" and numbers: "cuda:1", "cuda:0,1".

    Raises
    ------
    ValueError
    """
    if not isinstance(device, str) or not re.fullmatch(r"auto|cpu|cuda(:\d+(,\d+)*)?", device):
        raise ValueError(f'device must be "auto", "cpu", "cuda", "cuda:1" or "cuda:0,1", got {device!r}')
    return device


@dataclass(frozen=True)
class Place:
    """Where vectors are searched, and the reason for it.

    Attributes
    ----------
    gpus : tuple of int
        None for the CPU, several for one shard on each.
    why : str
    half : bool
        Vectors in float16 on the GPU, if they are compared with all.
    flat : bool
        Whether every vector is compared, though the gallery has an index.
    """

    gpus: tuple[int, ...]
    why: str
    half: bool = False
    flat: bool = False

    @property
    def name(self) -> str:
        """The device, as it is asked for."""
        return f"cuda:{','.join(map(str, self.gpus))}" if self.gpus else CPU

    def __str__(self) -> str:
        return f"{self.name}; {self.why}"


def placeable(factory: str, dim: int) -> bool:
    """Whether FAISS can put an index of this kind on a GPU, as far as this build of it goes.

    Inverted files of whole vectors, scalar and product codes; not RaBitQ, fast-scan codes, HNSW, nor anything that
    re-ranks by itself. CAGRA graphs where the build makes them.
    """
    if _GRAPH.fullmatch(factory):
        return gpu.has_graphs()
    found = _INVERTED.fullmatch(factory)
    if found is None:
        return False
    if found[2] is None:
        return True
    size = int(found[2])
    return size in PQ_BYTES and dim % size == 0 and dim // size in _PQ_DIMS


def graph_degree(factory: str) -> int | None:
    """Neighbours of each vector in a CAGRA graph; None for other kinds."""
    found = _GRAPH.fullmatch(factory)
    return None if found is None else int(found[1])


def factories(n: int, dim: int, lists: int) -> list[str]:
    """Index kinds worth trying on a GPU for n vectors, beside comparing all."""
    kinds = [f"IVF{lists},SQ8", f"IVF{lists},Flat"]
    sizes = [size for size in PQ_BYTES if placeable(f"IVF{lists},PQ{size}", dim) and 2 <= dim // size <= 8]
    if sizes:
        kinds.insert(0, f"IVF{lists},PQ{max(sizes)}")
    if gpu.has_graphs():
        kinds.append("CAGRA64")
    return kinds


def choose(device: str, needed: int, *, half: int | None = None, graph: bool = False) -> Place:
    """Where to run, given what was asked for and how many bytes it takes.

    One GPU with room is taken, the first; failing that one that has room in float16; failing that all that may be
    taken, in shards. GPUs named together ("cuda:0,1") are always taken together.

    Parameters
    ----------
    needed : int
        Bytes on the GPU.
    half : int, optional
        Bytes in float16, if that would do.
    graph : bool
        Whether it is an index that cannot be split.

    Raises
    ------
    DeviceError
        If a GPU was asked for by name that is not there or too small. "auto" takes the CPU then.
    """
    if device == CPU:
        return Place((), "as asked")
    found = _fitting(device, needed, half, graph)
    if isinstance(found, Place):
        return found
    if device != AUTO:
        raise DeviceError(f'device="{device}": {found}; "auto" would take the CPU')
    return Place((), found)


def _fitting(device: str, needed: int, half: int | None, graph: bool) -> Place | str:
    """A place on GPUs, or why there is none."""
    there = gpu.count()
    named = tuple(sorted({int(number) for number in device.partition(":")[2].split(",") if number}))
    if not there or (named and named[-1] >= there):
        return f"FAISS finds {there} GPUs" if there else "this build of FAISS finds no GPU"
    candidates = named or tuple(range(there))
    together = len(named) > 1
    if together and graph:
        return "a graph cannot be split over several GPUs"
    free = {number: gpu.free_memory(number) for number in candidates}
    asked = "a GPU is there and the vectors fit" if device == AUTO else "as asked"
    wanted = [(needed, False)] + ([] if half is None else [(half, True)])
    for size, narrow in [] if together else wanted:
        for number in candidates:
            if _room(free[number], size):
                return Place((number,), _reason(asked, narrow, needed, free[number]), narrow)
    for size, narrow in wanted if len(candidates) > 1 and not graph else []:
        if all(_room(free[number], -(-size // len(candidates))) for number in candidates):
            why = asked if together else f"sharded, since {_lack(needed, max(_known(free)))}"
            return Place(candidates, _reason(why, narrow, needed, min(_known(free))), narrow)
    return _lack(needed if half is None else half, max(_known(free)))


def _known(free: dict[int, int | None]) -> list[int]:
    # A device whose memory is unknown counts as having room, so that some other is known where none has.
    return [size for size in free.values() if size is not None] or [0]


def _room(free: int | None, needed: int) -> bool:
    return free is None or needed + RESERVE <= free


def _lack(needed: int, free: int) -> str:
    return f"the vectors and FAISS need {sized(needed + RESERVE)} of the GPU, {sized(free)} are free"


def _reason(why: str, half: bool, needed: int, free: int | None) -> str:
    if not half:
        return why
    beyond = "" if free is None else f" ({_lack(needed, free)} in float32)"
    return f"{why}, in float16{beyond}; scores are exact all the same"


def decide(device: str, plan: Plan | None, n: int, dim: int) -> Place:
    """Where the vectors of a model are searched, with the index that a plan chose.

    A GPU takes the index if FAISS can put its kind there. Where it cannot, "auto" leaves the index on the CPU, and
    "cuda" compares every vector on the GPU. "auto" also leaves on the CPU what `optimize` found to be faster there,
    with a GPU in sight.

    Raises
    ------
    DeviceError
        As `choose`.
    """
    if device == CPU or not gpu.count():
        return choose(device, 0)
    factory = FLAT if plan is None else plan.factory
    if plan is not None and device == AUTO and plan.device == CPU and plan.saw_gpu:
        return Place((), "`optimize` found it faster here than on the GPU")
    if factory != FLAT and placeable(factory, dim):
        return choose(device, gpu_bytes(n, dim, factory), graph=graph_degree(factory) is not None)
    why = f"FAISS cannot put the index {factory} on a GPU"
    if factory != FLAT and device == AUTO:
        return Place((), f"{why}; `optimize` tries kinds that it can")
    if plan is not None and plan.half:
        place = choose(device, gpu_bytes(n, dim, FLAT, half=True))
        half = "in float16, which `optimize` found fastest"
        return replace(place, half=True, why=f"{place.why}; {half}") if place.gpus else place
    place = choose(device, gpu_bytes(n, dim, FLAT), half=gpu_bytes(n, dim, FLAT, half=True))
    return place if factory == FLAT else replace(place, flat=True, why=f"{why}; every vector is compared there")
