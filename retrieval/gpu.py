"""FAISS on GPUs: what devices there are, and whose turn it is.

Whatever needs a device is reached through `library`, which tests replace by a stand-in. What FAISS cannot do on a GPU
is not asked of it here: it removes nothing, searches no ranges, takes at most 2,048 neighbours and lists, and ignores a
selector without a word, so none is ever passed.
"""

from __future__ import annotations

import ctypes
import importlib
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from weakref import WeakValueDictionary

from retrieval.engine import loaded


def library() -> Any:
    """FAISS, with the parts that need a device."""
    return loaded()[0]


def count() -> int:
    """Devices that this build of FAISS can use."""
    faiss = library()
    return int(faiss.get_num_gpus()) if hasattr(faiss, "StandardGpuResources") else 0


def has_graphs() -> bool:
    """Whether this build of FAISS makes CAGRA graphs, as that with cuVS does."""
    return hasattr(library(), "GpuIndexCagra")


def free_memory(gpu: int) -> int | None:
    """Free bytes of a GPU, or None where that cannot be told."""
    return _free_by_runtime(gpu) or _free_by_torch(gpu)


def _free_by_runtime(gpu: int) -> int | None:
    # FAISS for GPUs has the runtime loaded already.
    for version in (12, 13):
        try:
            runtime = ctypes.CDLL(f"libcudart.so.{version}")
        except OSError:
            continue
        before, free, total = ctypes.c_int(), ctypes.c_size_t(), ctypes.c_size_t()
        if runtime.cudaGetDevice(ctypes.byref(before)) or runtime.cudaSetDevice(gpu):
            return None
        failed = runtime.cudaMemGetInfo(ctypes.byref(free), ctypes.byref(total))
        runtime.cudaSetDevice(before.value)
        return None if failed else int(free.value)
    return None


def _free_by_torch(gpu: int) -> int | None:
    try:
        module = importlib.import_module("torch")
        free, _ = module.cuda.mem_get_info(gpu)
    except (ImportError, RuntimeError, AssertionError):
        return None
    return int(free)


def torch() -> Any:
    """PyTorch, which the caller of a tensor has imported."""
    return sys.modules["torch"]


def device_of(tensor: Any) -> int | None:
    """The number of the GPU that holds a tensor of torch; None for everything else."""
    module = sys.modules.get("torch")
    # While another thread imports torch, it is there without a class of tensors.
    tensors = getattr(module, "Tensor", None)
    if tensors is None or not isinstance(tensor, tensors) or tensor.device.type != "cuda":
        return None
    return int(tensor.device.index)


def finished(tensor: Any) -> None:
    """Wait until a tensor holds what was computed for it: FAISS works on streams of its own."""
    torch().cuda.current_stream(tensor.device).synchronize()


class Card:
    """FAISS's working memory and streams on one GPU, which serve one thread at a time."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.resources = library().StandardGpuResources()
        self.lock = threading.Lock()


_cards: WeakValueDictionary[int, Card] = WeakValueDictionary()
_cards_lock = threading.Lock()


def cards(gpus: Sequence[int]) -> tuple[Card, ...]:
    """The cards of some GPUs, by rising number: the same ones for all indexes of the process, while any is in use."""
    with _cards_lock:
        found = []
        for number in sorted(gpus):
            card = _cards.get(number)
            if card is None:
                card = _cards[number] = Card(number)
            found.append(card)
        return tuple(found)


@contextmanager
def alone(held: Sequence[Card]) -> Iterator[None]:
    """Keep other threads off some cards, which must come in rising order."""
    with ExitStack() as stack:
        for card in held:
            stack.enter_context(card.lock)
        yield
