"""The command line, through a real subprocess."""

from __future__ import annotations

import gzip
import json
import os
import re
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

COMMAND = [sys.executable, "-m", "retrieval.cli"]
RECORDS: list[dict[str, Any]] = [
    {"acno": "A1", "title": "sunset over the sea", "artist": {"name": "Turner"}, "year": 1842},
    {"acno": "A2", "title": "sunrise over the hills", "artist": {"name": "Constable"}, "year": 1821},
    {"acno": "A3", "title": "portrait of a lady", "artist": {"name": "Reynolds"}, "year": None},
]


def run(*arguments: object, stdin: bytes = b"", code: int = 0) -> tuple[str, str]:
    done = subprocess.run([*COMMAND, *map(str, arguments)], input=stdin, capture_output=True, timeout=120, check=False)
    out, err = done.stdout.decode(), done.stderr.decode()
    assert done.returncode == code, (out, err)
    assert "Traceback" not in err
    return out, err


def lines(records: list[Any]) -> bytes:
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    file = tmp_path / "records.jsonl"
    file.write_bytes(lines(RECORDS))
    return file


@pytest.fixture
def made(tmp_path: Path, source: Path) -> Path:
    folder = tmp_path / "made.gallery"
    run("index", source, "--id", "acno", "--out", folder, "--dim", 256)
    return folder


def contents(folder: Path) -> str:
    return run("export", folder)[0]


def test_help_is_light_and_names_the_commands() -> None:
    script = (
        "import sys, retrieval.cli as cli; code = cli.main(['--help']);"
        "heavy = {'torch', 'faiss', 'scipy'} & set(sys.modules);"
        "sys.exit(f'imported {heavy}' if heavy else code)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name in ("index", "search", "explain", "info", "delete", "export", "demo"):
        assert name in done.stdout
    assert run("search", "--help")[0].startswith("usage: retrieval search")
    run(code=2)
    run("search", "x", "{}", "-k", "0", code=2)


def test_index_then_search(made: Path) -> None:
    out, err = run("search", made, json.dumps(RECORDS[1]), "-k", 2)
    assert err == ""
    head, first, second = out.splitlines()
    assert head.split()[:4] == ["rank", "score", "id", "title"]
    assert first.split()[:3] == ["1", "1.0000", "A2"]
    assert len(second.split()) > 3
    rows = [json.loads(line) for line in run("search", made, "-", "--json", stdin=lines(RECORDS[:1]))[0].splitlines()]
    assert [row["rank"] for row in rows] == [1, 2, 3]
    assert rows[0]["id"] == "A1"
    assert rows[0]["payload"] == RECORDS[0]
    assert rows[0]["score"] == pytest.approx(1, abs=1e-6)


def test_compressed_input_and_standard_input_give_the_same_gallery(tmp_path: Path) -> None:
    packed = tmp_path / "records.jsonl.gz"
    packed.write_bytes(gzip.compress(lines(RECORDS)))
    plain = tmp_path / "records.jsonl"
    plain.write_bytes(lines(RECORDS))
    for source, name in ((packed, "gz"), (plain, "plain"), ("-", "in")):
        stdin = lines(RECORDS) if source == "-" else b""
        run("index", source, "--id", "acno", "--out", tmp_path / name, "--dim", 256, "--no-fit", stdin=stdin)
    array = tmp_path / "records.json"
    array.write_text(json.dumps(RECORDS))
    run("index", array, "--id", "acno", "--out", tmp_path / "array", "--dim", 256, "--no-fit")
    for other in ("gz", "in", "array"):
        assert contents(tmp_path / other) == contents(tmp_path / "plain")
        query = json.dumps(RECORDS[2])
        assert run("search", tmp_path / other, query)[0] == run("search", tmp_path / "plain", query)[0]


def test_index_reports_on_standard_error_and_draws_no_bar_in_a_pipe(source: Path, tmp_path: Path) -> None:
    out, err = run("index", source, "--id", "acno", "--out", tmp_path / "g", "--json")
    summary = json.loads(out)
    assert (summary["records"], summary["items"], summary["skipped"]) == (3, 3, 0)
    assert len(err.splitlines()) == 1
    assert "3 records" in err
    assert "\r" not in err


def test_append_replaces_known_ids(made: Path) -> None:
    more = [{"acno": "A2", "title": "a new title"}, {"acno": "A4", "title": "a boat"}]
    run("index", "-", "--id", "acno", "--out", made, "--append", stdin=lines(more))
    kept = [json.loads(line) for line in contents(made).splitlines()]
    assert [row["id"] for row in kept] == ["A1", "A2", "A3", "A4"]
    assert kept[1]["payload"] == more[0]


def test_fit_reads_the_file_twice_and_not_standard_input(source: Path, tmp_path: Path) -> None:
    run("index", source, "--id", "acno", "--out", tmp_path / "fit", "--fit")
    assert run("search", tmp_path / "fit", json.dumps(RECORDS[0]), "-k", 1)[0].splitlines()[1].split()[2] == "A1"
    _, err = run("index", "-", "--id", "acno", "--out", tmp_path / "g", "--fit", stdin=b"{}", code=2)
    assert "reads the input twice" in err
    assert not (tmp_path / "g").exists()


GOOD = b'{"acno": "B1", "title": "x"}\n'
BAD: dict[str, tuple[bytes, str]] = {
    "an empty file": (b"", "no records"),
    "blank lines": (b"\n \n", "no records"),
    "a file cut in a line": (GOOD + b'{"acno": "B2", "ti', "line 2: not JSON.*cut"),
    "a cut gzip file": (gzip.compress(GOOD * 10)[:-12], "compressed input is damaged or cut"),
    "broken UTF-8": (GOOD + b'{"acno": "B2", "title": "\xff"}\n', "line 2: not UTF-8"),
    "NaN": (GOOD + b'{"acno": "B2", "year": NaN}\n', "line 2: not JSON"),
    "deep nesting": (
        GOOD + b'{"acno": "B2", "a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}\n",
        "line 2: .*(deep|depth)",
    ),
    "a long string": (GOOD + b'{"acno": "B2", "a": "' + b"x" * 2_000_000 + b'"}\n', "line 2: .*2,?000,?000"),
    "duplicate ids": (GOOD * 2, "line 2: the id 'B1' came before, in line 1"),
    "a missing id": (GOOD + b'{"title": "y"}\n', "line 2: no id field 'acno'; the fields are: title"),
    "no objects": (b"1\n", "line 1: an object with the field 'acno' was expected"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_gives_one_line_and_changes_nothing(name: str, made: Path, tmp_path: Path) -> None:
    data, message = BAD[name]
    file = tmp_path / "bad"
    file.write_bytes(data)
    before = contents(made)
    for out, more in ((tmp_path / "new.gallery", []), (made, ["--append"])):
        _, err = run("index", file, "--id", "acno", "--out", out, *more, code=1)
        assert len(err.splitlines()) == 1, err
        assert len(err) < 500
        assert re.search(message, err), err
    assert not (tmp_path / "new.gallery").exists()
    assert contents(made) == before


@pytest.mark.slow
def test_a_string_of_200_megabytes_is_refused_in_bounded_memory(tmp_path: Path) -> None:
    file = tmp_path / "long.jsonl"
    with file.open("wb") as out:
        out.write(GOOD + b'{"acno": "B2", "a": "')
        for _ in range(200):
            out.write(b"x" * 1_000_000)
        out.write(b'"}\n')
    _, err = run("index", file, "--id", "acno", "--out", tmp_path / "g", code=1)
    assert err.startswith("retrieval: line 2: longer than")
    assert not (tmp_path / "g").exists()


def test_skip_bad_counts_and_goes_on(tmp_path: Path) -> None:
    data = lines(RECORDS) + b"{broken\n" + b'{"title": "no id"}\n' + GOOD + b'{"acno": "B9", "a": NaN}\n'
    out, err = run("index", "-", "--id", "acno", "--out", tmp_path / "g", "--skip-bad", "--json", stdin=data)
    assert json.loads(out)["records"] == 4
    assert json.loads(out)["skipped"] == 3
    complaints = err.splitlines()
    assert [line.split(":")[1].strip() for line in complaints[:3]] == [
        "skipped line 4",
        "skipped line 5",
        "skipped line 7",
    ]
    assert "3 bad ones skipped" in complaints[-1]


def test_wrong_calls_exit_with_2(made: Path, source: Path, tmp_path: Path) -> None:
    before = contents(made)
    for arguments, message in [
        (["index", source, "--id", "acno", "--out", made], "exists already"),
        (["index", source, "--id", "acno", "--out", source / "g"], "no gallery can be there"),
        (["index", tmp_path / "none.jsonl", "--id", "acno", "--out", tmp_path / "g"], "No such file"),
        (
            ["index", source, "--id", "acno", "--out", made, "--append", "--dim", 512],
            "dim 256, not of dim 512",
        ),
        (
            ["index", source, "--id", "acno", "--out", made, "--append", "--seed", 8],
            "--append uses the encoder",
        ),
        (["index", source, "--id", "acno", "--out", tmp_path / "h", "--append"], "no such folder"),
        (["search", tmp_path / "none", "{}"], "no such folder"),
        (["search", tmp_path, "{}"], "no gallery there"),
        (["search", made, "sunset"], """write an object such as '{"title": "sunset"}'"""),
        (["search", made, '"sunset"'], "must be a JSON object, got str"),
        (["search", made, '{"title": NaN}'], "not JSON"),
    ]:
        _, err = run(*arguments, code=2)
        assert len(err.splitlines()) == 1, err
        assert message in err
    assert contents(made) == before
    assert not (tmp_path / "g").exists()


def test_duplicates_are_listed_or_said_to_be_none(made: Path, source: Path) -> None:
    assert run("duplicates", made) == ("", "no two items have a cosine of 0.95 or more\n")
    source.write_bytes(lines([{**RECORDS[1], "acno": "B1"}]))
    run("index", source, "--id", "acno", "--out", made, "--append")
    out, err = run("duplicates", made, "--json", "--min-score", 0.3)
    assert (json.loads(out)["a"], json.loads(out)["b"], err) == ("A2", "B1", "")
    assert run("duplicates", made, "--min-score", 0.3)[0].split()[1:] == ["A2", "B1"]


def test_the_version_is_that_of_what_is_installed() -> None:
    assert run("--version")[0] == f"vsa-retrieval {version('vsa-retrieval')}\n"


def test_the_device_is_chosen_and_told(made: Path) -> None:
    query = json.dumps({"title": "sunset over the sea"})
    assert json.loads(run("info", made, "--json", "--device", "cpu")[0])["device"] == "cpu; as asked"
    there = "finds no GPU" not in json.loads(run("info", made, "--json")[0])["device"]
    assert json.loads(run("search", made, query, "--json", "-k", 1, "--device", "cpu")[0])["id"] == "A1"
    for command in (["search", made, query], ["optimize", made]):
        _, err = run(*command, "--device", "cuda:99", code=1)
        assert len(err.splitlines()) == 1, err
        assert ("FAISS finds" if there else "this build of FAISS finds no GPU") in err
        assert 'device must be "auto", "cpu"' in run(*command, "--device", "gpu", code=2)[1]


def test_info_explain_delete_export(made: Path) -> None:
    facts = json.loads(run("info", made, "--json")[0])
    assert (facts["count"], facts["dim"]) == (3, 256)
    assert "faiss" in run("info", made)[0]
    query = json.dumps({"title": "sunset over the sea"})
    shares = [json.loads(line) for line in run("explain", made, "A1", query, "--json")[0].splitlines()]
    score = json.loads(run("search", made, query, "--json", "-k", 1)[0])["score"]
    assert sum(row["share"] for row in shares) == pytest.approx(score, abs=1e-5)
    assert "= score" in run("explain", made, "A1", query)[0]
    assert "no item 'nope'" in run("delete", made, "nope", "A1", code=1)[1]
    assert "1 deleted, 2 left" in run("delete", made, "A1")[1]
    assert [json.loads(line)["id"] for line in contents(made).splitlines()] == ["A2", "A3"]


def test_ctrl_c_leaves_the_gallery_as_it_was(made: Path) -> None:
    before = contents(made)
    process = subprocess.Popen(
        [*COMMAND, "index", "-", "--id", "acno", "--out", str(made), "--append"],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None
    process.stdin.write(lines([{"acno": f"n{number}", "title": "x"} for number in range(3000)]))
    process.stdin.flush()
    time.sleep(2)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.decode().splitlines() == ["retrieval: interrupted"]
    assert contents(made) == before


def test_a_closed_pipe_is_no_error(tmp_path: Path) -> None:
    many = [{"acno": f"n{number}", "title": "x" * 2000} for number in range(400)]
    run("index", "-", "--id", "acno", "--out", tmp_path / "g", "--dim", 64, stdin=lines(many))
    command = " ".join([*COMMAND, "export", str(tmp_path / "g"), "| head -n 1"])
    done = subprocess.run(["bash", "-c", command], capture_output=True, check=False, env={**os.environ})
    assert done.stdout.count(b"\n") == 1
    assert done.stderr == b""
