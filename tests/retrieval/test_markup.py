"""What a notebook shows of results: every value, escaped, and well-formed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from retrieval import Gallery, Hit, Hits, Plan, Trial
from retrieval.health import Drift, Health

EVIL = "<script>alert('x')</script> & \"y\""


def parsed(html: str) -> ElementTree.Element:
    """Fails unless tags are closed and texts escaped."""
    assert "<script" not in html
    return ElementTree.fromstring(f"<div>{html}</div>")


def cells(html: str) -> list[list[str]]:
    return [["".join(cell.itertext()) for cell in row] for row in parsed(html).iter("tr")]


@pytest.fixture
def gallery(folder: Path):
    with Gallery.create(folder, dim=2, model=f"m{EVIL}") as made:
        payloads = [{"title": f"{EVIL} {number}", "year": 1840 + number} for number in range(3)]
        made.add_vectors([EVIL, "b", "c"], [[1, 0], [0.8, 0.6], [0, 1]], payloads=payloads)
        yield made


def test_hits_are_a_list_that_shows_as_a_table(gallery: Gallery) -> None:
    hits = gallery.search(np.array([1.0, 0.0]), k=2)
    assert isinstance(hits, list)
    assert cells(hits._repr_html_()) == [
        ["rank", "score", "id", "title", "year"],
        ["1", "1.0000", EVIL, f"{EVIL} 0", "1840"],
        ["2", "0.8000", "b", f"{EVIL} 1", "1841"],
    ]
    batch = gallery.search(np.eye(2), k=2)
    for some in (hits[:1], batch[1], batch[:1][0], next(iter(batch)), gallery.search_range(np.array([1.0, 0.0]), 0.5)):
        assert isinstance(some, Hits)
    assert hits[:1] == [hits[0]]
    assert cells(Hits()._repr_html_()) == [["rank", "score", "id"]]


def test_hits_of_several_models_name_them() -> None:
    hits = Hits([Hit("a", 0.9, "v2"), Hit("b", 0.8, "v1")])
    assert cells(hits._repr_html_())[1:] == [["1", "0.9000", "a", "v2"], ["2", "0.8000", "b", "v1"]]


def test_facts_of_a_gallery_are_shown(gallery: Gallery) -> None:
    shown = dict(cells(gallery.info()._repr_html_()))
    assert shown["model"] == f"m{EVIL}"
    assert shown["models"] == f"m{EVIL} (3)"
    assert (shown["count"], shown["dim"]) == ("3", "2")
    assert set(shown) == set(gallery.info().to_dict())


def test_the_status_of_an_upgrade_is_shown(gallery: Gallery) -> None:
    status = replace(gallery.upgrade_status(), upgrades=(f"{EVIL} → v2",), expected_cosine=0.87654)
    shown = dict(cells(status._repr_html_()))
    assert shown["upgrades"] == f"{EVIL} → v2"
    assert shown["expected_cosine"] == "0.877"
    assert (shown["encoded"], shown["waiting"], shown["can_roll_back"]) == ("3", "0", "no")
    assert dict(cells(gallery.upgrade_status()._repr_html_()))["upgrades"] == "none"


def test_a_plan_shows_every_trial_and_remark() -> None:
    trial = Trial("HNSW32", 64, 20, 0.9712, 0.96, 0.98, 12_345.6, 4_000_000, 1.25, True)
    plan = Plan("HNSW32", 64, 20, 10, 0.95, 1000, (trial, replace(trial, factory="Flat")), (EVIL,))
    shown = "Plan('HNSW32' on cpu, breadth 64, 20 re-ranked, for recall@10 0.95 of 1,000 rows; 2 tried)"
    assert repr(plan) == shown
    head, chosen, other = cells(plan._repr_html_())
    assert head[4] == "recall@10"
    assert chosen == ["*", "HNSW32", "64", "20", "0.9712", "0.960-0.980", "12,346", "4.0 MB", "1.2"]
    assert other[:2] == ["", "Flat"]
    assert [item.text for item in parsed(plan._repr_html_()).iter("li")] == [EVIL]


def test_health_shows_what_was_looked_at_and_what_is_wrong() -> None:
    drifted = Drift(n=1200, statistic=0.4, p=1e-30)
    html = Health(EVIL, Drift(500, 0.03, 0.5), drifted, 0.3, {"a": EVIL}, 1)._repr_html_()
    assert [value for _, value in cells(html)] == [
        EVIL,
        "alike (KS 0.03, n = 500)",
        "drifted (KS 0.40, n = 1,200)",
        "30.0%",
        "1",
    ]
    assert len(list(parsed(html).iter("li"))) == 3
    sound = Health("v2", None, None, None, {}, 0)._repr_html_()
    assert "look as they should" in sound
    assert [value for _, value in cells(sound)][1:4] == ["not enough known", "not enough known", "no vector is mapped"]
