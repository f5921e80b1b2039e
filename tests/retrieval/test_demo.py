"""The demo and the tables it prints."""

from __future__ import annotations

import json
from importlib import metadata

import pytest
from test_cli import run

from retrieval import demo
from retrieval.hits import Hit
from retrieval.snapshot import Record
from retrieval.table import contributions_table, facts_table, hits_table, sized, table


def test_the_demo_answers_and_explains() -> None:
    out, err = run("demo")
    assert err == ""
    assert "Which of them are most like numpy?" in out
    assert "is the nearest to numpy" in out
    assert "answered in" in out
    found = json.loads(run("demo", "--json")[0])
    assert found["asked"] == "numpy"
    assert "numpy" not in [hit["id"] for hit in found["hits"]]
    assert sum(part["share"] for part in found["explanation"]) == pytest.approx(found["hits"][0]["score"], abs=1e-5)


def test_packages_are_nested_records() -> None:
    by_name = {record["name"]: record for record in demo.packages()}
    numpy = by_name["numpy"]
    assert numpy["version"] == metadata.version("numpy")
    assert isinstance(numpy["classifiers"]["programming language"], list)
    wanted = by_name["pytest"]["requires"]
    assert {"name", "version"} <= set(next(one for one in wanted if one["name"] == "pluggy"))
    json.dumps(by_name, allow_nan=False)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("pluggy<2,>=1.5", {"name": "pluggy", "version": "<2,>=1.5"}),
        (
            "Foo[bar,baz] (>=1) ; extra == 'x'",
            {"name": "foo", "extras": "bar,baz", "version": ">=1", "when": "extra == 'x'"},
        ),
        ("plain", {"name": "plain"}),
        ("???", None),
    ],
)
def test_requirements(line: str, expected: dict[str, str] | None) -> None:
    assert demo._requirements([line]) == ([expected] if expected else [])


def hit(name: str, payload: object) -> Hit:
    return Hit(name, 0.5, "m", Record(1, name, 1, json.dumps(payload).encode()))


def test_hits_show_the_fields_that_say_most() -> None:
    records = [
        {"id": "a", "url": "http://x", "height": 3, "title": "one\n\x1b[31mline", "long": "x" * 500, "deep": {"k": 1}},
        {"id": "b", "url": "http://y", "height": 4, "title": "two" * 40, "rare": None},
    ]
    text = hits_table([hit("a", records[0]), hit("b", records[1])], {"height": 3})
    head, first, second = text.splitlines()
    assert head.split() == ["rank", "score", "id", "height", "title"]
    assert first.split(maxsplit=4) == ["1", "0.5000", "a", "3", "one [31mline"]
    assert second.endswith("…")
    assert "\x1b" not in text
    assert hits_table([hit("a", None)]).splitlines()[1].split() == ["1", "0.5000", "a"]


def test_wide_characters_keep_columns_aligned() -> None:
    first, second = table(["a", "b"], [["日本", "x"]]).splitlines()
    assert first == "a     b"
    assert second == "日本  x"


def test_small_texts() -> None:
    assert [sized(count) for count in (0, 999, 1000, 2_500_000, 3e9)] == ["0 B", "999 B", "1.0 kB", "2.5 MB", "3.0 GB"]
    text = contributions_table([(f"p{number}", 0.1) for number in range(15)])
    assert "(3 others)" in text
    assert text.splitlines()[-1].split() == ["+1.5000", "=", "score"]
    assert facts_table({"n": 1200, "bytes_x": 1200, "m": {"a": 3}}).splitlines() == [
        "n        1,200",
        "bytes_x  1.2 kB",
        "m        a (3)",
    ]
