from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

import vsa
from vsa.workers import each

RECORDS = [{"title": f"word{i} sea", "year": 1800 + i % 90, "tags": ["a", i]} for i in range(700)]


@pytest.fixture(scope="module")
def encoder() -> vsa.JSONEncoder:
    return vsa.JSONEncoder(64, seed=5).fit(RECORDS[:100])


def test_workers_give_the_same_bytes_and_name_the_same_records(encoder):
    lines = [json.dumps(record).encode() for record in RECORDS]
    lines[3:3] = [b"", b'{"a": ']
    lines[300] = b'{"title": "' + b"x" * (1 << 20) + b'yz"}'
    lines[650] = b'{"a": NaN}'
    data = b"\n".join(lines)
    told: dict[int, list[str]] = {}
    rows = {}
    for workers in (1, 2):
        told[workers] = []
        rows[workers] = encoder.encode_jsonl(
            data, on_error=lambda e, w=workers: told[w].append(str(e)), workers=workers
        ).tobytes()
    assert rows[1] == rows[2]
    assert told[1] == told[2]
    assert [message.split(":")[0] for message in told[2]] == ["line 5", "line 301", "line 651"]
    with pytest.raises(vsa.InvalidRecordError, match="record 650: nan is not JSON"):
        encoder.encode([*RECORDS[:650], {"a": float("nan")}, *RECORDS], workers=2)
    sums = encoder.encode(RECORDS, workers=2, weights={"title": 3}, normalize=False)
    np.testing.assert_array_equal(sums, encoder.encode(RECORDS, weights={"title": 3}, normalize=False))


class Deadly:
    """Kills the process that works on a 7, and sits on everything else."""

    def work(self, number: int) -> int:
        if number == 7:
            os.kill(os.getpid(), signal.SIGKILL)
        return number * number


def test_results_come_in_order_and_calls_are_drawn_only_as_needed():
    drawn: list[int] = []

    def calls():
        for number in (1, 2, 3, 4, 5, 6, 8, 9, 10, 11):
            drawn.append(number)
            yield (number,)
        raise KeyError("the source broke")

    results = each(Deadly(), "work", calls(), 2)
    assert next(results) == 1
    assert len(drawn) == 4
    for expected in (4, 9, 16, 25, 36, 64, 81, 100, 121):
        assert next(results) == expected
    with pytest.raises(KeyError, match="the source broke"):
        next(results)


def test_a_dead_worker_is_named():
    with pytest.raises(vsa.WorkerError, match="a worker process died: killed for want of memory"):
        list(each(Deadly(), "work", [(n,) for n in range(20)], 2))


def test_ctrl_c_ends_the_workers_and_says_nothing_of_their_own(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent("""
            import itertools, sys, vsa

            def records():
                for number in itertools.count():
                    if number == 1000:
                        print("going", flush=True)
                    yield {"a": number}

            if __name__ == "__main__":
                try:
                    vsa.JSONEncoder(16).encode(records(), workers=2)
                except KeyboardInterrupt:
                    print("stopped")
        """)
    )
    with subprocess.Popen(
        [sys.executable, program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(Path(vsa.__file__).parent.parent)},
    ) as run:
        try:
            assert run.stdout is not None
            assert run.stdout.readline() == "going\n"
            os.killpg(run.pid, signal.SIGINT)
            out, err = run.communicate(timeout=60)
        finally:
            run.kill()
    assert (out, err, run.returncode) == ("stopped\n", "", 0)
    for _ in range(50):
        try:
            os.killpg(run.pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    pytest.fail("worker processes are left")


def test_bad_arguments_are_named(encoder):
    for workers in (0, -1, 1.5, True):
        with pytest.raises(ValueError, match="workers must be a positive integer"):
            encoder.encode(RECORDS, workers=workers)
    with pytest.raises(ValueError, match="learns in one process"):
        vsa.JSONEncoder(64, memory=True).encode_jsonl(b"1\n", workers=2)


def test_a_pickled_encoder_gives_the_same_bytes(encoder):
    encoder.encode(RECORDS[:5])
    assert pickle.loads(pickle.dumps(encoder)).encode(RECORDS[:9]).tobytes() == encoder.encode(RECORDS[:9]).tobytes()
