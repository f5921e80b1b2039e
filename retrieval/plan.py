"""Which index a gallery uses, and the measurements that chose it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from retrieval.markup import html_list, html_table
from retrieval.table import sized, table

FLAT = "Flat"


def plan_key(model: int) -> str:
    """Where the store keeps the plan of a model's index."""
    return f"plan:{model}"


def hash_key(model: int) -> str:
    """Where the store keeps the SHA-256 of a model's index file."""
    return f"index:{model}"


@dataclass(frozen=True)
class Trial:
    """One index with the search parameters that reach the wanted recall fastest, or come nearest to it.

    Attributes
    ----------
    factory : str
        FAISS factory string of the codes; they are re-ranked from the gallery's own vectors.
    breadth, width : int
        ``nprobe`` or ``efSearch``, and the candidates that are re-ranked for each query.
    recall, low, high : float
        Mean recall@k over the queries and its 95 % interval (normal, from the spread over queries).
    queries_per_second : float
        In one batch of all queries.
    bytes : int
        Memory of the index beyond the vectors.
    build_seconds : float
    enough : bool
        Whether it meets the wanted recall within the memory.
    device : str
        Where it was measured: ``"cpu"``, or GPUs as ``"cuda:0"``.
    half : bool
        Whether the vectors lay in float16 on the GPU.
    breadth_on_cpu : int
        The breadth that the same index needs on the CPU, if it was measured on a GPU and needs another; else 0.
    """

    factory: str
    breadth: int
    width: int
    recall: float
    low: float
    high: float
    queries_per_second: float
    bytes: int
    build_seconds: float
    enough: bool
    device: str = "cpu"
    half: bool = False
    breadth_on_cpu: int = 0


@dataclass(frozen=True)
class Plan:
    """The index in use, the target it was tuned to, and every trial.

    Attributes
    ----------
    factory, breadth, width
        As in `Trial`; ``"Flat"`` compares every vector.
    k : int
        The k that the recall was measured at.
    target : float
        The wanted recall.
    rows : int
        Vectors in the gallery at the time.
    trials : tuple of Trial
    remarks : tuple of str
        What was left out, and why.
    device : str
        Where the index was fastest.
    half : bool
        Whether the vectors lay in float16 on the GPU.
    breadth_on_cpu : int
        The breadth of searches on the CPU, if it is another; else 0.
    """

    factory: str
    breadth: int
    width: int
    k: int
    target: float
    rows: int
    trials: tuple[Trial, ...] = ()
    remarks: tuple[str, ...] = field(default=())
    device: str = "cpu"
    half: bool = False
    breadth_on_cpu: int = 0

    @property
    def chosen(self) -> Trial | None:
        """The trial of the index in use."""
        return next((trial for trial in self.trials if self._is_of(trial)), None)

    def _is_of(self, trial: Trial) -> bool:
        return (trial.factory, trial.device, trial.half) == (self.factory, self.device, self.half)

    @property
    def saw_gpu(self) -> bool:
        """Whether some index was measured on a GPU."""
        return any(trial.device != "cpu" for trial in self.trials)

    def width_for(self, k: int) -> int:
        """Candidates to re-rank for another k: the same share beyond a larger one, no fewer for a smaller one.

        Coarse codes often put the nearest vector behind a dozen others.
        """
        return max(k, self.width, -(-self.width * k // self.k))

    def to_text(self) -> str:
        """The plan as JSON, which `from_text` reads."""
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> Plan:
        """The plan that `to_text` wrote.

        Raises
        ------
        ValueError
            If the text is something else.
        """
        try:
            values: dict[str, Any] = json.loads(text)
            trials = tuple(Trial(**trial) for trial in values.pop("trials"))
            remarks = tuple(values.pop("remarks"))
            known = {name.name for name in fields(cls)}
            return cls(**{k: v for k, v in values.items() if k in known}, trials=trials, remarks=remarks)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not an index plan: {error}") from error

    def __repr__(self) -> str:
        return (
            f"Plan({self.factory!r} on {self.device}, breadth {self.breadth}, {self.width} re-ranked, for "
            f"recall@{self.k} {self.target:g} of {self.rows:,} rows; {len(self.trials)} tried)"
        )

    def __str__(self) -> str:
        head, rows = self._table()
        return "\n".join([table(head, rows, right=range(len(head) - 7, len(head))), *_sentences(self.remarks)])

    def _repr_html_(self) -> str:
        head, rows = self._table()
        return html_table(head, rows, right=range(len(head) - 7, len(head))) + html_list(self.remarks)

    def _table(self) -> tuple[list[str], list[list[str]]]:
        where = ["device"] if self.saw_gpu else []
        head = [
            "",
            "index",
            *where,
            "breadth",
            "re-ranked",
            f"recall@{self.k}",
            "95 %",
            "queries/s",
            "memory",
            "build s",
        ]
        rows = [
            [
                "*" if self._is_of(trial) else "",
                trial.factory,
                *([f"{trial.device}, float16" if trial.half else trial.device] if self.saw_gpu else []),
                str(trial.breadth),
                str(trial.width),
                f"{trial.recall:.4f}",
                f"{trial.low:.3f}-{trial.high:.3f}",
                f"{trial.queries_per_second:,.0f}",
                sized(trial.bytes),
                f"{trial.build_seconds:.1f}",
            ]
            for trial in self.trials
        ]
        return head, rows


def _sentences(remarks: Sequence[str]) -> list[str]:
    return [f"  {remark}" for remark in remarks]
