"""What a gallery is and what runs where."""

from __future__ import annotations

import contextlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from retrieval import drift, segments
from retrieval.engine import engine
from retrieval.errors import DeviceError
from retrieval.kinds import factories, lists_for
from retrieval.plan import FLAT, Plan, plan_key
from retrieval.residence import Residence
from retrieval.rows import Model
from retrieval.schema import database
from retrieval.sizing import estimate
from retrieval.snapshot import Snapshot
from retrieval.table import sized

_LARGE = 50_000


@dataclass(frozen=True)
class GalleryInfo:
    """Facts about a gallery.

    Attributes
    ----------
    path : str
    format : int
        Format version of the file.
    generation : int
        Number of committed writes.
    count, dim : int
        Items, and the width of the model's vectors.
    model : str
        Name of the model whose vectors are searched.
    models : dict of str to int
        Vectors held, by name of the model.
    encoder : str
        What turns records into vectors.
    storage : str
        Type of the vectors on disk.
    bytes_on_disk, bytes_in_memory : int
        Size of the files; size of the vectors when they are loaded for searching.
    index, device : str
        What searches, where, and why.
    faiss, blas : str
        Version of FAISS and the kernel of its matrix products.
    threads : int
        Of a search on the CPU.
    """

    path: str
    format: int
    generation: int
    count: int
    dim: int
    model: str
    models: dict[str, int]
    encoder: str
    storage: str
    bytes_on_disk: int
    bytes_in_memory: int
    index: str
    device: str
    faiss: str
    blas: str
    threads: int

    def to_dict(self) -> dict[str, Any]:
        """The fields as a dict that `json.dumps` takes."""
        return asdict(self)

    def _repr_html_(self) -> str:
        from retrieval.markup import html_facts

        return html_facts(self.to_dict())


def describe(snapshot: Snapshot, encoder: str, home: Residence, threads: int | None = None) -> GalleryInfo:
    """Facts about the state of a snapshot."""
    found = engine()
    model = snapshot.active
    return GalleryInfo(
        path=str(_from_here(snapshot.folder)),
        format=snapshot.state.format,
        generation=snapshot.state.generation,
        count=snapshot.state.items,
        dim=model.dim,
        model=model.name,
        models={one.name: one.count for one in snapshot.models.values()},
        encoder=encoder,
        storage=_storage(snapshot, model),
        bytes_on_disk=_on_disk(snapshot.folder),
        bytes_in_memory=_memory(model, snapshot.state.next_item),
        index=_index(snapshot, model),
        device=_device(snapshot, model, home),
        faiss=found.version,
        blas=found.blas,
        threads=threads or found.threads,
    )


def _on_disk(folder: Path) -> int:
    total = 0
    for file in folder.iterdir():
        # Another process may remove it meanwhile.
        with contextlib.suppress(OSError):
            total += file.stat().st_size if file.is_file() else 0
    return total


def _from_here(folder: Path) -> Path:
    """A folder as one would name it from the working folder, if it lies in that."""
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder


def _storage(snapshot: Snapshot, model: Model) -> str:
    beside = sum(1 for _ in segments.files(snapshot.folder))
    files = f" and {beside} file{'s' if beside > 1 else ''} beside it" if beside else ""
    return f"{model.dtype.value} in {database(snapshot.folder).name}{files}"


def _index(snapshot: Snapshot, model: Model) -> str:
    text = snapshot.setting(plan_key(model.model))
    plan = None if text is None else Plan.from_text(text)
    if plan is None or plan.factory == FLAT:
        tried = plan is not None and model.count < drift.GROWN * plan.rows
        advice = f"; {_gain(model)}" if model.count >= _LARGE and not tried else ""
        return f"flat: every vector is compared, exactly{advice}"
    trial = plan.chosen
    told = "" if trial is None else f", recall@{plan.k} {trial.recall:.3f} measured at {plan.rows:,} vectors"
    again = drift.last(snapshot.setting(drift.recall_key(model.model)), plan)
    if again is not None:
        told += f" and {again.recall:.3f} at {again.rows:,}"
    advice = ""
    if again is not None and again.short_of(plan):
        advice = f"; below the {plan.target:g} wanted: run `optimize` again"
    elif not 0.8 <= model.count / max(plan.rows if again is None else again.rows, 1) <= drift.GROWN:
        advice = "; run `optimize` again, the number has changed much since"
    return f"{plan.factory} with {plan.width} candidates re-ranked for {plan.k} hits{told}{advice}"


def _gain(model: Model) -> str:
    """What an index would spare a search, as far as that is known before it is built."""
    n, dim = model.count, model.dim
    kind = factories(n, dim)[0]
    more = sized(estimate(n, dim, index=kind).index)
    return (
        f"`optimize` would try {kind} and others: {more} more memory; a search looks into some of its "
        f"{lists_for(n):,} lists, with {n // lists_for(n):,} codes each, where it now compares "
        f"{n:,} vectors ({sized(4 * n * dim)})"
    )


def _memory(model: Model, next_item: int) -> int:
    return model.count * (4 * model.dim + 24) + 8 * next_item


def _device(snapshot: Snapshot, model: Model, home: Residence) -> str:
    text = snapshot.setting(plan_key(model.model))
    plan = None if text is None else Plan.from_text(text)
    try:
        return str(home.place(plan, model.count, model.dim))
    except DeviceError as error:
        return f"none; {error}"
