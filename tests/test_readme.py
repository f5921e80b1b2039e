"""What the README shows is what happens."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import NamedTuple

import pytest

from retrieval import cli

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")

# What the blocks take for granted: a text model, paired vectors of two models, and a sample of the gallery's.
GIVEN = """
import zlib
from types import SimpleNamespace
import numpy as np
import retrieval, vsa

model = SimpleNamespace(
    encode=lambda texts: np.stack(
        [np.random.default_rng(zlib.crc32(t.encode())).standard_normal(384, dtype=np.float32) for t in texts]
    )
)
rng = np.random.default_rng(0)
latent = rng.standard_normal((600, 16))
old = (latent[:, :12] @ rng.standard_normal((12, 24))).astype(np.float32)
new = (latent @ rng.standard_normal((16, 32))).astype(np.float32)
stored = old[:200]
with retrieval.Gallery.create("v1.gallery", dim=24, model="v1") as gallery:
    gallery.add_vectors(range(600), old, payloads=[{"n": n} for n in range(600)])
encode_v2 = lambda records: new[[record["n"] for record in records]]
"""


class Block(NamedTuple):
    """A fenced block, the output shown right after it, and what tests call it by."""

    code: str
    shown: str | None
    name: str


def blocks(language: str) -> list[Block]:
    """The README's blocks of a language, in order."""
    found = re.findall(rf"^```{language}\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", README, re.DOTALL | re.MULTILINE)
    return [Block(code, shown or None, f"{i}: {code.split(chr(10))[0]}") for i, (code, shown) in enumerate(found)]


def test_the_python_blocks_run_in_order_and_print_what_is_shown(tmp_path: Path) -> None:
    shown = blocks("python")
    assert len(shown) >= 4
    assert shown[0].shown, "the first example shows its output"
    script = GIVEN + "".join(f"\nprint('=== {i}')\n{block.code}" for i, block in enumerate(shown))
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    printed = re.split(r"(?m)^=== \d+\n", run.stdout)[1:]
    for block, output in zip(shown, printed, strict=True):
        if block.shown is not None:
            assert output == block.shown, block.name


def test_the_first_example_stands_alone_and_is_silent(tmp_path: Path) -> None:
    first = blocks("python")[0]
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", first.code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert run.stderr == ""
    assert run.stdout == first.shown


def commands() -> list[str]:
    """Every line of a shell block that calls `retrieval`."""
    lines = [line for block in blocks("bash") for line in block.code.replace("\\\n", " ").splitlines()]
    return [line for line in lines if line.startswith("retrieval ")]


@pytest.mark.parametrize("line", commands())
def test_the_command_takes_what_the_readme_gives_it(line: str) -> None:
    words = shlex.split(line.split(" | ")[0], comments=True)[1:]
    assert cli._parser().parse_args(words)


def test_every_command_that_the_readme_names_exists() -> None:
    usage = subprocess.run(
        [sys.executable, "-m", "retrieval.cli", "--help"], capture_output=True, text=True, check=True
    )
    prose = re.search(r"Also: (.*?);", README, re.DOTALL)
    assert prose
    named = {line.split()[1] for line in commands()} | set(re.findall(r"`([a-z]+)`", prose[1]))
    assert len(named) > 5
    for command in named:
        assert re.search(rf"^    {command}\b", usage.stdout, re.MULTILINE), command


def test_every_link_leads_to_a_file() -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_every_benchmark_named_is_there() -> None:
    modules = set(re.findall(r"python -m (benchmarks(?:\.\w+)*)", README))
    assert modules
    for module in modules:
        path = ROOT / module.replace(".", "/")
        assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), module


def numbers(text: str) -> set[Decimal]:
    """The numbers in a text, with as many decimals as are written."""
    return {Decimal(number) for number in re.findall(r"(?<![\w.])\d*\.?\d+", text.replace(",", ""))}


def rounds_to(measured: Decimal, claimed: Decimal) -> bool:
    """Whether a claim is a measured number, or that with some of its decimals rounded off."""
    return (
        measured.as_tuple().exponent <= claimed.as_tuple().exponent
        and measured.quantize(claimed, ROUND_HALF_UP) == claimed
    )


def figures() -> list[tuple[str, str, str]]:
    """Rows of the tables under "What it reaches": figure, value, command."""
    section = re.search(r"^## What it reaches\n(.*?)^## ", README, re.DOTALL | re.MULTILINE)
    assert section
    rows = [line.strip("| ").split(" | ") for line in section[1].splitlines() if line.startswith("| ")]
    return [(row[0], row[1], row[-1]) for row in rows if row[0] != "figure"]


def sections(module: str | None) -> list[str]:
    """Sections of the kept results, of one folder or of all."""
    files = sorted((ROOT / "benchmarks").glob(f"{module or '*'}/RESULTS.md"))
    return [part for file in files for part in re.split(r"(?m)^(?=## )", file.read_text(encoding="utf-8"))]


def holds(section: str, claims: set[Decimal]) -> bool:
    """Whether each number is a measured one, rounded or not."""
    measured = numbers(section)
    return all(any(rounds_to(number, claim) for number in measured) for claim in claims)


@pytest.mark.parametrize("figure", figures(), ids=lambda figure: figure[0][:60])
def test_every_figure_is_in_the_section_of_its_command(figure: tuple[str, str, str]) -> None:
    command = figure[2].strip("`")
    module = re.fullmatch(r"python -m benchmarks\.(\w+).*", command)
    claimed = numbers(figure[1])
    assert claimed, f"no number in {figure[1]!r}"
    told = [section for section in sections(module and module[1]) if command in section]
    assert told, f"no section of RESULTS.md was made by {command}"
    assert any(holds(section, claimed) for section in told), (
        f"{figure[1]!r} of {figure[0]!r} is in no section of {command}"
    )


def test_every_share_in_the_prose_was_measured() -> None:
    """Numbers written as .859 are qualities; examples and tables of figures have tests of their own."""
    prose = re.sub(r"^```.*?^```", "", README, flags=re.DOTALL | re.MULTILINE)
    lines = [(line, {Decimal(share) for share in re.findall(r"(?<![\w.])\.\d+", line)}) for line in prose.splitlines()]
    assert sum(map(len, (shares for _, shares in lines))) >= 4
    unmeasured = [line for line, shares in lines if not any(holds(section, shares) for section in sections(None))]
    assert unmeasured == []
