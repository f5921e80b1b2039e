"""Reading a whole gallery and saying what is damaged and what can be saved."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from retrieval import blocks, departures, pathindex, watermark
from retrieval.checksums import payload_crc
from retrieval.errors import DamagedGalleryError, NotAGalleryError, RetrievalError
from retrieval.rows import Model
from retrieval.schema import FAULTS, check_marks, check_watermark, connect
from retrieval.snapshot import Record, Snapshot
from retrieval.vectors import VectorTable

_PROBLEMS = 20
_STEP = 512


@dataclass
class CheckReport:
    """What a check found.

    Attributes
    ----------
    problems : list of str
        At most the first 20; empty if the gallery is sound.
    records, vectors : int
        How many can be read with matching checksums.
    records_expected, vectors_expected : int or None
        How many there should be; None where that itself is unreadable.
    """

    problems: list[str] = field(default_factory=list)
    records: int = 0
    records_expected: int | None = None
    vectors: int = 0
    vectors_expected: int | None = None

    @property
    def sound(self) -> bool:
        """Whether no problem was found."""
        return not self.problems

    def note(self, problem: object) -> None:
        """Add a problem as one line, unless it is there already or the list is full."""
        text = " ".join(str(problem).split())
        if text not in self.problems and len(self.problems) < _PROBLEMS:
            self.problems.append(text)


def check(path: str | Path) -> CheckReport:
    """Read everything in a gallery and compare it with its checksums; changes nothing.

    Raises
    ------
    GalleryNotFoundError, NewerGalleryError
        If there is nothing to check. Damage is reported, not raised.

    Notes
    -----
    Reads the file about twice; memory holds the vectors of one model.
    """
    folder = Path(path)
    report = CheckReport()
    mark = watermark.read(folder)
    try:
        connection = connect(folder, timeout=30.0, writable=False)
    except (DamagedGalleryError, NotAGalleryError) as error:
        report.note(error)
        return report
    try:
        connection.execute("BEGIN")
        _check_structure(connection, report)
        try:
            check_marks(folder, connection)
            snapshot = Snapshot(folder, connection)
            report.records_expected = snapshot.state.items
            try:
                check_watermark(folder, mark, snapshot.state.generation)
            except DamagedGalleryError as error:
                report.note(error)
            report.vectors_expected = sum(model.count for model in snapshot.models.values())
            snapshot.ids()
            models = list(snapshot.models.values())
        except RetrievalError as error:
            report.note(error)
            models = []
        report.records = sum(1 for _ in readable(folder, connection, report))
        if report.records_expected is not None and report.records != report.records_expected:
            report.note(f"{report.records} of {report.records_expected} records can be read")
        for model in models:
            report.vectors += _check_vectors(Snapshot(folder, connection), model, report)
        try:
            pathindex.verify(Snapshot(folder, connection))
        except RetrievalError as error:
            report.note(error)
    except FAULTS as error:
        report.note(f"the file cannot be read: {error}")
    finally:
        connection.close()
    return report


def _check_structure(connection: sqlite3.Connection, report: CheckReport) -> None:
    try:
        for (line,) in connection.execute(f"PRAGMA integrity_check({_PROBLEMS})"):
            if line != "ok":
                report.note(line)
    except FAULTS as error:
        report.note(error)


def _check_vectors(snapshot: Snapshot, model: Model, report: CheckReport) -> int:
    """Number of sound vectors of a model."""
    table = VectorTable(model)
    try:
        table.refresh(snapshot)
        return len(table)
    except RetrievalError as error:
        report.note(error)
    sound = 0
    try:
        for n in blocks.sound(snapshot.folder, snapshot.connection, model):
            sound += n
    except FAULTS as error:
        report.note(error)
    return min(sound, model.count)


def readable(folder: Path, connection: sqlite3.Connection, report: CheckReport | None = None) -> Iterator[Record]:
    """Every record whose checksum matches, by item number, past whatever is damaged.

    Records are sought in ranges that are halved around damage, so that one bad page costs the records in it.
    """
    report = report or CheckReport()
    try:
        (last,) = connection.execute("SELECT max(item) FROM records").fetchone()
        known = [row[0] for row in connection.execute("SELECT next_item FROM state")]
    except FAULTS as error:
        report.note(error)
        last, known = 0, []
    gone: set[int] = set()
    faults: list[RetrievalError] = []
    try:
        gone.update(departures.read(folder, connection, faults=faults)[:, 1].tolist())
    except RetrievalError as error:
        faults.append(error)
    for fault in faults:
        report.note(fault)
    stop = max([(last if isinstance(last, int) else 0) + 1, *(item for item in known if isinstance(item, int))])
    for start in range(1, min(stop, 1 << 40), _STEP):
        for record in _readable_between(connection, start, min(start + _STEP, stop), report):
            if record.item not in gone and not (faults and _came_back(connection, record)):
                yield record


def _came_back(connection: sqlite3.Connection, record: Record) -> bool:
    """Whether the id of a record is that of a later item: then this one was deleted."""
    try:
        row = connection.execute("SELECT item FROM ids WHERE id = ?", (record.id,)).fetchone()
    except FAULTS:
        return False
    return row is not None and isinstance(row[0], int) and row[0] > record.item


def _readable_between(connection: sqlite3.Connection, start: int, stop: int, report: CheckReport) -> Iterator[Record]:
    try:
        rows = connection.execute(
            "SELECT item, id, codec, payload, crc FROM records WHERE item >= ? AND item < ? ORDER BY item",
            (start, stop),
        ).fetchall()
    except FAULTS as error:
        report.note(f"records: {error}")
        if stop - start > 1:
            middle = (start + stop) // 2
            yield from _readable_between(connection, start, middle, report)
            yield from _readable_between(connection, middle, stop, report)
        return
    for item, name, codec, payload, crc in rows:
        if isinstance(name, str) and payload_crc(item, name, codec, payload) == crc:
            yield Record(item, name, codec, payload)
        else:
            report.note(f"the record {name!r} (item {item}) does not match its checksum")


def salvaged(path: str | Path) -> Iterator[Record]:
    """The records of a damaged gallery that can be read."""
    connection = connect(Path(path), timeout=30.0, writable=False)
    try:
        yield from readable(Path(path), connection)
    finally:
        connection.close()
