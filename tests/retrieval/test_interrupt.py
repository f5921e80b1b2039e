"""Ctrl-C and bars, in real processes and on a real terminal."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from reference_gallery import unit
from test_cli import COMMAND

from retrieval import Gallery
from retrieval.checking import check

PROC = Path("/proc/self/fd")
needs_proc = pytest.mark.skipif(not PROC.is_dir(), reason="needs /proc to see what a process has open")

ADD = """
import sys
import numpy as np
from retrieval import Gallery
from retrieval.cli import main
rng = np.random.default_rng(0)
def batches():
    for start in range(0, 10**9, 500):
        yield range(start, start + 500), [None] * 500, rng.standard_normal((500, 32))
class Call:
    def run(self, arguments):
        with Gallery.open(sys.argv[1]) as gallery:
            gallery.add_batches(batches())
import retrieval.cli as cli
cli._parser = lambda: type("P", (), {"parse_args": lambda self, argv: Call()})()
sys.exit(main())
"""


def large(folder: Path, n: int) -> Path:
    """A gallery of n vectors, half of them deleted."""
    X = unit(np.random.default_rng(0).standard_normal((n, 32)))
    with Gallery.create(folder, dim=32) as gallery:
        gallery.add_vectors(range(n), X, payloads=[{"n": i, "text": "word " * 100} for i in range(n)])
        gallery.delete(range(0, n, 2))
    return folder


def interrupted(command: list[str], folder: Path, delay: float) -> tuple[int, str, str]:
    """Send SIGINT some time after the process has opened the gallery; its exit status and what it wrote."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while process.poll() is None and not has_open(process.pid, folder) and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(delay)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def has_open(process: int, folder: Path) -> bool:
    names = []
    for link in Path(f"/proc/{process}/fd").iterdir():
        try:
            names.append(os.readlink(link))
        except OSError:
            continue
    return str(folder / "gallery.sqlite-shm") in names


@needs_proc
@pytest.mark.parametrize("name", ["add", "index", "optimize", "compact"])
def test_ctrl_c_leaves_a_good_gallery_and_one_line(name: str, tmp_path: Path) -> None:
    source = tmp_path / "more.jsonl"
    with source.open("w") as file:
        for number in range(20_000):
            file.write(json.dumps({"id": f"n{number}", "title": f"word {number}"}) + "\n")
    # With 4,000 vectors `optimize` is done in a tenth of a second, before a signal reaches it.
    folder = large(tmp_path / "g", 60_000 if name == "optimize" else 8000)
    if name == "index":
        folder = tmp_path / "indexed"
        subprocess.run([*COMMAND, "index", "-", "--id", "id", "--out", str(folder)], input=b'{"id": "a"}', check=True)
    command = {
        "add": [sys.executable, "-c", ADD, str(folder)],
        "index": [*COMMAND, "index", str(source), "--id", "id", "--out", str(folder), "--append"],
        "optimize": [*COMMAND, "optimize", str(folder)],
        "compact": [*COMMAND, "compact", str(folder)],
    }[name]
    with Gallery.open(folder) as gallery:
        before = list(gallery.items())
    rng = random.Random(name)
    stopped = 0
    for delay in (0.0, rng.uniform(0, 0.3), rng.uniform(0, 1)):
        code, out, err = interrupted(command, folder, delay)
        if code == 130:
            stopped += 1
            assert err.splitlines() == ["retrieval: interrupted"]
            assert [file.name for file in folder.iterdir() if file.name.startswith(".")] == []
        else:
            # It was done before, and the signal came while the interpreter went down or not at all.
            assert name in ("optimize", "compact")
            assert "recall" in out or "before" in err
            assert code in (0, -signal.SIGINT), err
        with Gallery.open(folder) as gallery:
            assert list(gallery.items()) == before
            if name != "index":
                assert gallery.search(gallery.vector("1"), k=1)[0].id == "1"
        assert check(folder).sound
    assert stopped


@pytest.mark.skipif(os.name != "posix", reason="needs signals as POSIX has them")
def test_an_import_is_finished_before_an_interrupt(tmp_path: Path) -> None:
    (tmp_path / "slow_module.py").write_text(
        "import os, signal, time\n"
        "os.kill(os.getpid(), signal.SIGINT)\n"
        "until = time.monotonic() + 0.2\n"
        "while time.monotonic() < until: pass\n"
        "print('imported', flush=True)\n"
    )
    script = (
        "import sys; from retrieval.interrupt import orderly_interrupts\n"
        "try:\n"
        "    with orderly_interrupts():\n"
        "        import slow_module, time\n"
        "        time.sleep(30)\n"
        "except KeyboardInterrupt: print('interrupted')\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path.cwd()), *sys.path])}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["imported", "interrupted"]


@pytest.mark.skipif(os.name != "posix", reason="needs signals as POSIX has them")
@pytest.mark.parametrize("name", ["numba.core.made", "llvmlite.made"])
def test_a_compilation_is_finished_before_an_interrupt(name: str) -> None:
    compiler = (
        "import os, signal, time\n"
        "os.kill(os.getpid(), signal.SIGINT)\n"
        "until = time.monotonic() + 0.2\n"
        "while time.monotonic() < until: pass\n"
        "print('compiled', flush=True)\n"
    )
    script = (
        "import time; from retrieval.interrupt import orderly_interrupts\n"
        "try:\n"
        "    with orderly_interrupts():\n"
        f"        exec({compiler!r}, {{'__name__': {name!r}}})\n"
        "        time.sleep(30)\n"
        "except KeyboardInterrupt: print('interrupted')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["compiled", "interrupted"]


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
def test_both_passes_of_index_show_a_bar_on_a_terminal(tmp_path: Path) -> None:
    source = tmp_path / "some.jsonl"
    source.write_text("".join(json.dumps({"id": n, "title": "x" * 50}) + "\n" for n in range(600)))
    import fcntl
    import struct
    import termios

    ours, theirs = os.openpty()
    # A bar fits itself into the width, which is zero at first.
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    command = [*COMMAND, "index", str(source), "--id", "id", "--out", str(tmp_path / "g"), "--dim", "64"]
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs)
        os.close(theirs)
        shown = b""
        while True:
            try:
                part = terminal.read(65536)
            except OSError:
                break
            if not part:
                break
            shown += part
        assert process.communicate(timeout=60)[0] == b""
    assert process.returncode == 0
    text = shown.decode()
    assert text.index("fit: 100%") < text.index("add: ")
    assert "add: 100%" in text
