"""What must hold for any bytes whatever. A breach is an AssertionError or an error that no docstring names."""

from __future__ import annotations

import contextlib
import random
from typing import Any

import numpy as np
import orjson

import vsa
from vsa import state
from vsa.paths import format_path, parse_path

from . import oracle

DIM = 16
LIMITS = vsa.Limits(depth=5, string=40, leaves=30, line=2000)

_free = vsa.JSONEncoder(DIM, seed=3, cache_bytes=1 << 20)
_bound = vsa.JSONEncoder(DIM, seed=3, limits=LIMITS, cache_bytes=0)


def check(data: bytes) -> None:
    """Every property that is quick, on one input."""
    try:
        text = oracle.plain(data)
    except oracle.RejectedError:
        for form in ("auto", "jsonl", "array"):
            refused(data, form)
        return
    _check_lines(data, text)
    _check_array(data, text)
    with contextlib.suppress(vsa.EncoderStateError):
        vsa.JSONEncoder.from_bytes(data)
    _check_path(data.decode("utf-8", "replace")[:60])


def refused(data: bytes, form: str) -> None:
    """The input ends in a documented error, raised or told."""
    told: list[vsa.InvalidRecordError] = []
    try:
        list(vsa.iter_json(data, format=form, on_error=told.append))
    except vsa.InvalidRecordError:
        return
    assert told, f"accepted as {form}"


def _check_lines(data: bytes, text: bytes) -> None:
    good, bad = oracle.lines(text, LIMITS.line)
    told: list[vsa.InvalidRecordError] = []
    found = list(vsa.iter_json(data, format="jsonl", on_error=told.append, limits=LIMITS))
    assert repr(found) == repr(good), (found, good)
    assert [error.line for error in told] == bad, (told, bad)
    _check_records([value for _, value in good])
    _check_limits(data, good, bad)


def _check_array(data: bytes, text: bytes) -> None:
    try:
        expected = oracle.strict(text)
    except oracle.RejectedError:
        expected = None
    if not isinstance(expected, list):
        # Python's own stack decides how deep its parser goes, so near its limit the two may differ.
        if oracle.nesting(text) < 500:
            refused(data, "array")
        return
    found = list(vsa.iter_json(data, format="array"))
    assert [repr(value) for _, value in found] == [repr(value) for value in expected], (found, expected)
    assert [number for number, _ in found] == list(range(1, len(expected) + 1))
    _check_records(expected)


def _check_records(records: list[Any]) -> None:
    """Rows are unit, alike in a batch and alone, and explain and decode themselves."""
    if not records or max(oracle.size(record)[0] for record in records) > _free.limits.depth:
        return
    X = _free.encode(records)
    np.testing.assert_allclose(np.linalg.norm(X, axis=1), 1, atol=1e-5)
    for record, x in list(zip(records, X, strict=True))[:2]:
        assert _free.encode_one(record).tobytes() == x.tobytes()
        parts = _free.explain(record, record)
        assert abs(sum(part for _, part in parts) - 1) < 1e-6, parts
        for path, _ in parts[:3]:
            parse_path(path)
            answers = _free.decode(x, path, [None, "a", 1.5], k=2)
            assert len(answers) == 2
            assert all(np.isfinite(score) for _, score in answers)
        change = _free.delta(removed={"": record}, added={"": records[-1]})
        before, after = _free.encode([{"": record}, {"": records[-1]}], normalize=False)
        assert (before + change == after).all()


def _check_limits(data: bytes, good: list[tuple[int, Any]], bad: list[int]) -> None:
    """Exactly the records within the limits are encoded, and each other one is told with its line."""
    told: list[vsa.InvalidRecordError] = []
    X = _bound.encode_jsonl(data, format="jsonl", on_error=told.append)
    within, beyond = [], []
    for number, value in good:
        depth, string, leaves = oracle.size(value)
        fits = depth <= LIMITS.depth and string <= LIMITS.string and leaves <= LIMITS.leaves
        within.append(value) if fits else beyond.append(number)
    assert sorted(error.line or 0 for error in told) == sorted(beyond + bad), (told, beyond, bad)
    for error in told:
        if error.line in beyond:
            assert isinstance(error, vsa.LimitError)
            assert "(limits." in str(error)
    assert X.tobytes() == _free.encode(within).tobytes()


def _check_path(text: str) -> None:
    try:
        path = parse_path(text)
    except ValueError:
        return
    assert parse_path(format_path(path)) == path


def check_states(records: list[Any], draw: random.Random) -> None:
    """Learning from halves, saving, loading; and documents whose checksum is right and content is not."""
    encoder = vsa.JSONEncoder(DIM, seed=3).fit(records)
    half = draw.randrange(len(records))
    if half:
        parts = vsa.JSONEncoder(DIM, seed=3).fit(records[:half]).partial_fit(records[half:])
        assert parts.name == encoder.name
    data = encoder.to_bytes()
    X = encoder.encode(records)
    assert vsa.JSONEncoder.from_bytes(data).encode(records).tobytes() == X.tobytes()
    for _ in range(5):
        document = orjson.loads(data)
        body = {key: document[key] for key in document if key not in ("kind", "format", "sha256")}
        _spoil(body, draw)
        try:
            odd = vsa.JSONEncoder.from_bytes(state.dump(body))
            if odd.dim > 4096:
                continue
            rows = odd.encode(records)
            assert np.isfinite(rows).all()
        except (vsa.EncoderStateError, vsa.InvalidRecordError):
            continue


_JUNK = (None, True, 0, -1, 7, 2**53, -(2**63), 1e308, -1e-300, 0.5, "", "x", "12", [], {}, [[]], {"a": 1})


def _spoil(body: Any, draw: random.Random) -> None:
    """Change one place of a document."""
    spots: list[tuple[Any, Any]] = []
    stack = [body]
    while stack:
        holder = stack.pop()
        for key in list(holder) if isinstance(holder, dict) else range(len(holder)):
            spots.append((holder, key))
            if isinstance(holder[key], (dict, list)):
                stack.append(holder[key])
    holder, key = draw.choice(spots)
    if draw.random() < 0.2:
        del holder[key]
    else:
        holder[key] = draw.choice(_JUNK)
