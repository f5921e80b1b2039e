"""`retrieval upgrade` through a real subprocess: vectors of one's own, and encoders by name."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vsa
from retrieval import Gallery, compat
from retrieval.cli import main
from retrieval.surveys import Sample

N = 300
ENCODERS = """
import numpy as np
import vsa

old = vsa.JSONEncoder(dim=128, seed=1)
new = vsa.JSONEncoder(dim=256, seed=2)
NEW = np.load("new.npy")

def vectors(records):
    return NEW[[record["n"] for record in records]]

number = 3
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(3)
    hidden = rng.standard_normal((N, 5))
    old, new = np.tanh(hidden @ rng.standard_normal((5, 8))), np.tanh(hidden @ rng.standard_normal((5, 12)))
    np.save(tmp_path / "old.npy", old)
    np.save(tmp_path / "new.npy", new)
    (tmp_path / "ids.txt").write_text("".join(f"item-{number}\n" for number in range(N)))
    (tmp_path / "encoders.py").write_text(ENCODERS)
    with Gallery.create(tmp_path / "g", dim=8, model="v1") as gallery:
        gallery.add_vectors([f"item-{n}" for n in range(N)], old, payloads=[{"n": n} for n in range(N)])
    return tmp_path


def run(folder: Path, *arguments: Any, code: int = 0) -> tuple[str, str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path.cwd()), *sys.path])}
    done = subprocess.run(
        [sys.executable, "-m", "retrieval.cli", "upgrade", *map(str, arguments)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == code, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    return done.stdout, done.stderr


@pytest.mark.parametrize("pairs", [("--ids", "ids.txt"), ("--old", "old.npy")])
def test_vectors_of_ones_own_go_all_the_way_and_back(folder: Path, pairs: tuple[str, str]) -> None:
    out, err = run(folder, "plan", "g", "--new", "new.npy", *pairs, "--model", "v2", "--out", "u")
    assert "switch" in out
    assert "not applied yet" in err
    assert "v2" in run(folder, "apply", "g", "u")[0]
    out, _ = run(folder, "backfill", "g", "--new", "new.npy", "--ids", "ids.txt", "--budget", "100")
    assert out.startswith("100 encoded")
    state = json.loads(run(folder, "status", "g", "--json")[0])
    assert (state["model"], state["encoded"], state["waiting"], state["problems"]) == ("v2", 100, 200, [])
    (folder / "few.txt").write_text("item-1\n")
    _, err = run(folder, "backfill", "g", "--new", "new.npy", "--ids", "few.txt", code=2)
    assert "few.txt has 1 ids, and new.npy 300 rows" in err
    for model, file in (("v1", "old.npy"), ("v2", "new.npy")):
        found = subprocess.run(
            [sys.executable, "-m", "retrieval.cli", "search", "g", json.dumps(np.load(folder / file)[7].tolist()),
             "--model", model, "--json", "-k", "1"],
            cwd=folder, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": str(Path.cwd())},
        )  # fmt: skip
        assert json.loads(found.stdout)["id"] == "item-7"
    assert "v1" in run(folder, "rollback", "g")[0]
    _, err = run(folder, "rollback", "g", code=1)
    assert "no upgrade is applied" in err


def test_what_is_covered_is_asked_of_other_items_than_the_pairs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[set[str]] = []
    sample = Gallery.sample

    def few(self: Gallery, n: int, *, seed: int = 0) -> Sample:
        found = sample(self, min(n, 100), seed=seed)
        drawn.append(set(found.ids))
        return found

    monkeypatch.setattr(Gallery, "sample", few)
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))
    named = ("--encoder", "encoders:vectors", "--model", "v2", "--sample", "100", "--out", "u")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", compat.PairsWarning)
        assert main(["upgrade", "plan", "g", *named, "--json"]) == 0
    pairs, others = drawn
    assert len(pairs) == len(others) == 100
    # Two draws of a third each share a ninth of all items.
    assert len(pairs & others) < 60


def test_queries_as_vectors_are_what_the_plan_is_judged_by(folder: Path) -> None:
    old, new = np.load(folder / "old.npy")[:120], np.load(folder / "new.npy")[:120]
    np.save(folder / "q-old.npy", old)
    np.save(folder / "q-new.npy", new)
    (folder / "wanted.txt").write_text("".join(f"item-{number}\n" for number in range(120)))
    plan = ("plan", "g", "--new", "new.npy", "--ids", "ids.txt", "--model", "v2", "--out", "u", "--json")
    asked = ("--queries-old", "q-old.npy", "--queries-new", "q-new.npy")
    told = json.loads(run(folder, *plan, *asked, "--wanted", "wanted.txt")[0])
    assert (told["asked"]["n"], told["asked"]["known"], told["n_pairs"]) == (120, True, N - 120)
    assert "120 queries given" in told["verdict"]["judged_by"]
    told = json.loads(run(folder, *plan, *asked)[0])
    assert (told["asked"]["n"], told["asked"]["known"], told["n_pairs"]) == (120, False, N)
    (folder / "wanted.txt").write_text("nobody\n" * 120)
    _, err = run(folder, *plan, *asked, "--wanted", "wanted.txt", code=2)
    assert "id 'nobody' is not in ids.txt" in err


def test_queries_as_records_are_encoded_by_both_models(folder: Path) -> None:
    records = [{"n": n, "title": f"house {n % 17} of {n % 13}"} for n in range(200)]
    with Gallery.create(folder / "t", encoder=vsa.JSONEncoder(dim=128, seed=1)) as gallery:
        gallery.add(records, id="n")
    lines = [json.dumps({"query": {"title": one["title"]}, "wanted": one["n"]}) for one in records[:110]]
    (folder / "asked.jsonl").write_text("\n".join(lines))
    plan = ("plan", "t", "--encoder", "encoders:new", "--sample", "50", "--out", "u", "--json")
    told = json.loads(run(folder, *plan, "--queries", "asked.jsonl")[0])
    assert (told["asked"]["n"], told["asked"]["known"]) == (110, True)
    (folder / "asked.jsonl").write_text("\n".join(json.dumps({"title": one["title"]}) for one in records[:110]))
    told = json.loads(run(folder, *plan, "--queries", "asked.jsonl")[0])
    assert (told["asked"]["n"], told["asked"]["known"]) == (110, False)


def test_a_function_encodes_the_sample_and_the_rest(folder: Path) -> None:
    out, _ = run(folder, "plan", "g", "--encoder", "encoders:vectors", "--model", "v2", "--out", "u", "--json")
    assert json.loads(out)["verdict"]
    run(folder, "apply", "g", "u")
    assert "300 encoded" in run(folder, "backfill", "g", "--encoder", "encoders:vectors")[0]
    # No vector is given for most items: they are named, and the command fails.
    (folder / "few.txt").write_text("item-1\n")
    np.save(folder / "few.npy", np.load(folder / "new.npy")[1:2])
    run(folder, "rollback", "g")
    with Gallery.open(folder / "g") as gallery:
        gallery.add_vectors(["more"], np.ones((1, 8)))
    run(folder, "apply", "g", "u")
    _, err = run(folder, "backfill", "g", "--new", "few.npy", "--ids", "few.txt", code=1)
    assert "more: KeyError" in err
    assert "failed: more" in run(folder, "status", "g")[0]


def test_an_encoder_is_kept_by_the_gallery(folder: Path) -> None:
    records = [{"n": n, "title": f"{['red', 'blue', 'green'][n % 3]} house {n}"} for n in range(60)]
    sys.path.insert(0, str(folder))
    import vsa

    with Gallery.create(folder / "json", encoder=vsa.JSONEncoder(dim=128, seed=1)) as gallery:
        gallery.add(records, id="n")
    run(folder, "plan", "json", "--encoder", "encoders:new", "--out", "u")
    run(folder, "apply", "json", "u", "--encoder", "encoders:new")
    assert "60 encoded" in run(folder, "backfill", "json")[0]
    with Gallery.open(folder / "json") as gallery:
        assert gallery.dim == 256
        assert gallery.search({"title": "blue house 4"}, k=1)[0].id == "4"
        gallery.add([{"n": 99, "title": "violet tower"}], id="n")
        assert gallery.search({"title": "violet tower"}, k=1)[0].id == "99"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["plan", "g", "--out", "u"], "--encoder module:function"),
        (["plan", "g", "--out", "u", "--encoder", "encoders"], "write module:function"),
        (["plan", "g", "--out", "u", "--encoder", "nowhere:f"], "No module named 'nowhere'"),
        (["plan", "g", "--out", "u", "--encoder", "encoders:f"], "has no attribute 'f'"),
        (["plan", "g", "--out", "u", "--encoder", "encoders:number"], "neither a function nor an encoder"),
        (["plan", "g", "--out", "u", "--encoder", "encoders:vectors"], "--model NAME is needed"),
        (["plan", "g", "--out", "u", "--new", "no.npy", "--ids", "ids.txt", "--model", "v2"], "no.npy: no such file"),
        (["plan", "g", "--out", "u", "--new", "ids.txt", "--ids", "ids.txt", "--model", "v2"], "not a .npy file"),
        (["plan", "g", "--out", "u", "--new", "new.npy", "--model", "v2"], "--ids FILE or --old NPY"),
        (["plan", "g", "--new", "new.npy", "--queries", "q", "--out", "u"], "--queries goes with --encoder"),
        (
            ["plan", "g", "--new", "new.npy", "--old", "old.npy", "--model", "v2", "--queries-old", "q", "--out", "u"],
            "--queries-old and --queries-new go together",
        ),
        (
            ["plan", "g", "--new", "new.npy", "--old", "old.npy", "--model", "v2", "--wanted", "w", "--out", "u"],
            "--wanted goes with --queries-old",
        ),
        (["apply", "g", "nothing"], "nothing"),
        (["status", "nowhere"], "no such folder"),
    ],
)
def test_wrong_calls_say_what_to_do(folder: Path, arguments: list[str], message: str) -> None:
    code = 1 if arguments[0] == "apply" else 2
    assert message in run(folder, *arguments, code=code)[1]
