"""What a gallery is and what runs where."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from retrieval.device import DeviceScan
from retrieval.engine import engine
from retrieval.errors import DeviceError
from retrieval.plan import FLAT, Plan, plan_key
from retrieval.rows import Model
from retrieval.schema import database
from retrieval.snapshot import Snapshot

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
        Items with a vector of the model, and its width.
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


def describe(snapshot: Snapshot, encoder: str, scan: DeviceScan, threads: int | None = None) -> GalleryInfo:
    """Facts about the state of a snapshot."""
    found = engine()
    model = snapshot.active
    files = [file for file in snapshot.folder.iterdir() if file.is_file()]
    return GalleryInfo(
        path=str(snapshot.folder),
        format=snapshot.state.format,
        generation=snapshot.state.generation,
        count=model.count,
        dim=model.dim,
        model=model.name,
        models={one.name: one.count for one in snapshot.models.values()},
        encoder=encoder,
        storage=f"{model.dtype.value} in {database(snapshot.folder).name}",
        bytes_on_disk=sum(file.stat().st_size for file in files),
        bytes_in_memory=_memory(model, snapshot.state.next_item),
        index=_index(snapshot, model),
        device=_device(snapshot, model, scan),
        faiss=found.version,
        blas=found.blas,
        threads=threads or found.threads,
    )


def _index(snapshot: Snapshot, model: Model) -> str:
    text = snapshot.setting(plan_key(model.model))
    plan = None if text is None else Plan.from_text(text)
    if plan is None or plan.factory == FLAT:
        advice = "; `optimize` measures what an index would gain" if model.count >= _LARGE else ""
        return f"flat: every vector is compared, exactly{advice}"
    trial = plan.chosen
    measured = "" if trial is None else f", recall@{plan.k} {trial.recall:.3f} measured"
    now = model.count / max(plan.rows, 1)
    drift = "" if 0.8 <= now <= 1.25 else "; run `optimize` again, the number has changed much since"
    return f"{plan.factory} with {plan.width} of {plan.k} re-ranked{measured} at {plan.rows:,} vectors{drift}"


def _memory(model: Model, next_item: int) -> int:
    return model.count * (4 * model.dim + 24) + 8 * next_item


def _device(snapshot: Snapshot, model: Model, scan: DeviceScan) -> str:
    if not _index(snapshot, model).startswith("flat"):
        return "cpu; the chosen index runs there only"
    try:
        return str(scan.place(4 * model.dim * model.count))
    except DeviceError as error:
        return f"none; {error}"
