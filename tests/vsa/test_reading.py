from __future__ import annotations

import gzip
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import values

import vsa
from vsa.lines import cut_lines
from vsa.reading import iter_json

finite = values(
    st.one_of(
        st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False),
        st.text(st.characters(codec="utf-8"), max_size=20),
    )
)  # fmt: skip


@given(st.lists(finite, max_size=6), st.booleans())
def test_lines_come_back_with_their_numbers(records, ended):
    data = b"\n".join(json.dumps(r, ensure_ascii=False).encode() for r in records) + (
        b"\n" if ended and records else b""
    )
    assert list(iter_json(data, format="jsonl")) == list(enumerate(records, 1))


@given(st.lists(finite, max_size=6), st.sampled_from([None, 1]))
def test_arrays_come_back_with_their_numbers(records, indent):
    data = json.dumps(records, ensure_ascii=False, indent=indent).encode()
    assert list(iter_json(data)) == list(enumerate(records, 1))


def test_arrays_larger_than_the_window_are_streamed(monkeypatch):
    monkeypatch.setattr("vsa.reading._CHUNK", 7)
    records = [{"a": "ü" * n, "n": n * 1.5, "deep": [[n]]} for n in range(40)] + [123456789, -0.5e10, True, None]
    data = json.dumps(records, ensure_ascii=False).encode()
    assert [value for _, value in iter_json(io.BytesIO(data))] == records


def test_gzip_bom_and_blank_lines(tmp_path):
    path = tmp_path / "odd-name.bin"
    path.write_bytes(gzip.compress(b'\xef\xbb\xbf{"a": 1}\n\n  \n{"a": 2}'))
    assert list(iter_json(path)) == [(1, {"a": 1}), (4, {"a": 2})]
    with path.open("rb") as file:
        assert len(list(iter_json(file))) == 2
        assert not file.closed
    assert list(iter_json(gzip.compress(b""))) == []


def test_lines_that_are_arrays_need_their_format_named():
    data = b"[1, 2]\n[3]\n"
    assert list(iter_json(data, format="jsonl")) == [(1, [1, 2]), (2, [3])]
    with pytest.raises(vsa.InvalidRecordError, match='format="jsonl"'):
        list(iter_json(data))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b'{"a": 1}\n{"a": \n{"a": 3}', "line 2: not JSON: .* at column"),
        (b'{"a": 1}\n{"a": "half of a li', "line 2: not JSON: .*; the input ends here, was it cut"),
        (b'{"a": "\xff\xfe"}\n', "line 1: not UTF-8: invalid start byte at byte 8"),
        (b'{"a": NaN}\n', "line 1: not JSON"),
        (b'{"a": 1} {"b": 2}\n', "line 1: not JSON"),
        (b"{\n  1\n}\n", "line 1: .*give one value a line"),
        (b"[" * 100_000 + b"]" * 100_000 + b"\n", "deeper than"),
        (b'[{"a": 1}, {"a": NaN}]', "element 2: not JSON: NaN is not JSON"),
        (b'[{"a": 1}, {"a": ', "element 2: not JSON: .*was the input cut"),
        (b'[{"a": 1} {"a": 2}]', "element 1: expected ',' or ']' after it, got '{'"),
        (b'[{"a": 1}', "element 1: expected ',' or ']' after it, got the end of the input; was it cut"),
        (b"[1,]", "element 1: a comma before the closing"),
        (b"[", "expected|cut"),
        (b'["\xff"]', "not UTF-8"),
        (gzip.compress(b'{"a": 1}\n' * 99)[:-12], "compressed input is damaged or cut"),
        (b"\x1f\x8bnot really", "compressed input is damaged or cut"),
    ],
)
def test_bad_input_is_named_with_its_place(data, words):
    with pytest.raises(vsa.InvalidRecordError, match=words):
        list(iter_json(data))


def test_an_object_is_no_array():
    with pytest.raises(vsa.InvalidRecordError, match="not a JSON array: expected '\\['"):
        list(iter_json(b'{"a": 1}', format="array"))


def test_the_first_fault_is_told_first_whoever_finds_it(capfd):
    """The reader meets the cut element 3 before the encoder meets the deep element 2."""
    encoder = vsa.JSONEncoder(64)
    deep = b"[" * 300 + b"]" * 300
    with pytest.raises(vsa.LimitError, match=r"2: .*levels"):
        encoder.encode_jsonl(b'[{"a": 1}, {"a": %s}, {"a": ' % deep)
    with pytest.raises(vsa.InvalidRecordError, match="element 3: not JSON"):
        encoder.encode_jsonl(b'[{"a": 1}, {"a": 2}, {"a": ')
    X = encoder.encode_jsonl(b'{"a": 1}\n{"a": 2}\n', progress=True)
    assert X.tobytes() == encoder.encode([{"a": 1}, {"a": 2}]).tobytes()
    assert capfd.readouterr() == ("", "")


def test_deep_lines_are_refused_by_the_parser_too():
    with pytest.raises(vsa.LimitError, match="line 1: nested deeper than 1024 levels"):
        list(iter_json(b'{"a":' + b"[" * 100_000 + b"\n", format="jsonl"))


def test_long_lines_are_passed_over_without_being_held():
    data = b'{"a": "' + b"x" * 5000 + b'"}\n{"b": 2}\n'
    limits = vsa.Limits(line=1000)
    with pytest.raises(vsa.LimitError, match=r"line 1: longer than 1,000 bytes \(limits.line\)"):
        list(iter_json(data, limits=limits))
    assert list(iter_json(data, limits=limits, on_error="skip")) == [(2, {"b": 2})]
    with pytest.raises(vsa.LimitError, match="element 2: longer than 1,000 characters"):
        list(iter_json(b'[1, "' + b"x" * 3_000_000 + b'"]', limits=limits))


def test_bad_lines_are_skipped_or_told():
    data = b'{"a": 1}\nbroken\n{"a": 3}\n{"a": "\xff"}\n'
    assert [line for line, _ in iter_json(data, on_error="skip")] == [1, 3]
    told: list[vsa.InvalidRecordError] = []
    assert len(list(iter_json(data, on_error=told.append))) == 2
    assert [error.line for error in told] == [2, 4]


def test_bad_arguments():
    with pytest.raises(ValueError, match="on_error must be"):
        list(iter_json(b"", on_error="ignore"))
    with pytest.raises(ValueError, match="not a valid Format"):
        list(iter_json(b"", format="xml"))
    with pytest.raises(TypeError, match="binary mode"):
        list(iter_json(io.StringIO("{}")))
    with pytest.raises(TypeError, match="expected a path"):
        list(iter_json(3))
    with pytest.raises(FileNotFoundError):
        list(iter_json("no-such-file.jsonl"))
    with pytest.raises(ValueError, match=r"limits.depth must be a positive"):
        vsa.Limits(depth=0)
    with pytest.raises(ValueError, match="1024 at most"):
        vsa.Limits(depth=2000)


def test_encode_jsonl_leaves_out_what_is_skipped():
    encoder = vsa.JSONEncoder(32, limits=vsa.Limits(depth=2))
    data = b'{"a": 1}\n{"a": [[[1]]]}\nbroken\n{"a": 4}\n'
    with pytest.raises(vsa.LimitError, match="line 2: nested deeper"):
        encoder.encode_jsonl(data)
    told: list[vsa.InvalidRecordError] = []
    X = encoder.encode_jsonl(data, on_error=told.append)
    assert X.tobytes() == encoder.encode([{"a": 1}, {"a": 4}]).tobytes()
    assert sorted(error.line for error in told) == [2, 3]


@given(
    st.lists(st.sampled_from([b"1", b"", b" ", b"\x0b", b"[2]\r", b"33333", b"4444444", b"55555555555"]), max_size=12),
    st.booleans(),
    st.integers(1, 9),
)
def test_lines_are_cut_alike_for_any_block(pieces, ended, block):
    data = b"\n".join(pieces) + (b"\n" if ended else b"")
    expected, refused = [], []
    for number, line in enumerate(data.split(b"\n"), 1):
        if len(line) > 6:
            refused.append(number)
        elif line.strip(b" \t\r\n"):
            expected.append((number, line))
    told = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vsa.lines._BLOCK", block)
        raw = io.BufferedReader(io.BytesIO(data), buffer_size=block)
        found = [(n, line.rstrip(b"\n")) for n, line in cut_lines(raw, lambda error: told.append(error.line), 6)]
    assert (found, told) == (expected, refused)
