"""`retrieval index`."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from retrieval import segments, watermark
from retrieval.cli_read import UsageError
from retrieval.errors import GalleryExistsError, RetrievalError
from retrieval.gallery import Gallery
from retrieval.progress import Progress, reporter
from retrieval.schema import FILE_NAME
from retrieval.table import sized

_COMPLAINTS = 10
_SAMPLE = 10_000
_REFUSALS = 100


def index(arguments: argparse.Namespace) -> int:
    """Read a file into a new gallery, or with --append into one that is there."""
    folder = Path(arguments.out)
    if not arguments.append and folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise GalleryExistsError(f"{folder}: exists already; choose another --out, delete it or give --append")
    if arguments.append and (arguments.fit or arguments.seed is not None):
        raise UsageError("--append uses the encoder of the gallery; --fit and --seed do not go with it")
    if arguments.fit and arguments.file == "-":
        raise UsageError("--fit reads the input twice, which standard input does not allow; give a file")
    bad = _Bad(arguments.skip_bad)
    started = time.perf_counter()
    with _opened(arguments.file) as (source, size):
        if arguments.append:
            gallery = Gallery.open(folder, dim=arguments.dim)
        else:
            gallery = Gallery.create(folder, encoder=_encoder(arguments, source, size))
        with gallery, removed_on_failure(None if arguments.append else gallery):
            taken = _read(gallery, source, size, arguments, bad)
            if not taken:
                raise RetrievalError(f"{arguments.file}: no records in it{bad.remark()}")
            seconds = time.perf_counter() - started
            summary = {"records": taken, "skipped": bad.count, "items": gallery.count(), "seconds": seconds}
    if arguments.json:
        print(json.dumps({**summary, "gallery": str(folder)}))
    disk = sized(sum(file.stat().st_size for file in folder.iterdir()))
    read = f"{taken:,} record{'s' * (taken != 1)} in {seconds:.1f} s ({taken / seconds:,.0f} a second)"
    print(f"{folder}: {read}, {disk}{bad.remark()}", file=sys.stderr)
    return 0


class _Bad:
    """Counts what --skip-bad leaves out and shows the first of it."""

    def __init__(self, skipping: bool) -> None:
        self.count = 0
        self.handler: Callable[[Exception], object] | None = self._note if skipping else None

    def _note(self, error: Exception) -> None:
        self.count += 1
        if self.count <= _COMPLAINTS:
            print(f"retrieval: skipped {error}", file=sys.stderr)
        if self.count == _COMPLAINTS:
            print("retrieval: more of them are only counted", file=sys.stderr)

    def remark(self) -> str:
        return f"; {self.count:,} bad ones skipped" if self.count else ""


@contextmanager
def _opened(name: str) -> Iterator[tuple[IO[bytes], int | None]]:
    """The input and its size in bytes, None where that is not known."""
    if name == "-":
        yield sys.stdin.buffer, None
        return
    try:
        file = open(name, "rb")  # noqa: SIM115 - closed below
    except OSError as error:
        raise UsageError(f"{name}: {error.strerror}") from error
    with file:
        yield file, os.fstat(file.fileno()).st_size or None


@contextmanager
def removed_on_failure(gallery: Gallery | None) -> Iterator[None]:
    """Leave no gallery behind if the context fails; None stands for one that was there before."""
    try:
        yield
    except BaseException:
        if gallery is not None:
            gallery.close()
            names = (FILE_NAME, FILE_NAME + "-wal", FILE_NAME + "-shm", watermark.FILE_NAME)
            for file in [*(gallery.path / name for name in names), *segments.files(gallery.path)]:
                file.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                gallery.path.rmdir()
        raise


def _encoder(arguments: argparse.Namespace, source: IO[bytes], size: int | None) -> Any:
    import vsa

    settings: dict[str, Any] = {}
    for name in ("dim", "seed"):
        if getattr(arguments, name) is not None:
            settings[name] = getattr(arguments, name)
    limits = _limits(arguments)
    if limits is not None:
        settings["limits"] = limits
    try:
        encoder = vsa.JSONEncoder(**settings)
    except ValueError as error:
        raise UsageError(str(error)) from error
    if arguments.fit or (arguments.fit is None and source.seekable()):
        read = vsa.iter_json(source, format=arguments.format, on_error="skip", limits=limits)
        with reporter(None, unit="B", total=size, what="fit") as report:
            _fit(encoder, _reported(read, source, report))
        source.seek(0)
    return encoder


def _reported(numbered: Iterator[tuple[int, Any]], source: IO[bytes], report: Progress) -> Iterator[Any]:
    for number, record in numbered:
        if number % 256 == 0:
            report(source.tell())
        yield record
    report(source.tell())


def _fit(encoder: Any, records: Iterator[Any]) -> None:
    """Fit on a sample. Records that the encoder refuses are left to the reading proper, which knows their line."""
    import vsa

    drawn = vsa.sample(records, _SAMPLE)
    for _ in range(_REFUSALS):
        try:
            if drawn:
                encoder.fit(drawn)
            return
        except vsa.InvalidRecordError as error:
            if error.record is None:
                raise
            del drawn[error.record]


def _limits(arguments: argparse.Namespace) -> Any:
    import vsa

    given = {name: getattr(arguments, f"max_{name}") for name in ("string", "depth", "line")}
    given = {name: value for name, value in given.items() if value is not None}
    try:
        return vsa.Limits(**given) if given else None
    except ValueError as error:
        raise UsageError(str(error)) from error


def _read(gallery: Gallery, source: IO[bytes], size: int | None, arguments: argparse.Namespace, bad: _Bad) -> int:
    """Add everything in `source`; the bar counts bytes where their total is known, else records."""
    import vsa

    numbered = vsa.iter_json(
        source, format=arguments.format, on_error=bad.handler or "raise", limits=_limits(arguments)
    )
    unit = "B" if size else "record"
    with reporter(None, unit=unit, total=size, what="add") as report:
        return gallery.add_numbered(
            numbered,
            id=arguments.id,
            unit="line",
            on_bad=bad.handler,
            progress=(lambda done: report(source.tell())) if size else report,
        )
