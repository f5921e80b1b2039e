"""The command that runs all benchmarks knows every part that there is."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import __main__ as command
from benchmarks import contents
from benchmarks.gallery import results
from benchmarks.parts import PARTS, Part

ROOT = Path(__file__).parent.parent
# Draws pictures, and measures nothing.
NOT_MEASURING = {"benchmarks.vsa.pictures"}
REFRESH = "python -m benchmarks.contents"


def test_every_program_is_a_part() -> None:
    programs = {
        ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__main__")
        for file in (ROOT / "benchmarks").glob("*/*.py")
        if '__name__ == "__main__"' in file.read_text(encoding="utf-8")
    }
    assert programs - NOT_MEASURING == {part.words[0] for part in PARTS}


def test_the_list_names_every_part_and_runs_none() -> None:
    run = subprocess.run([sys.executable, "-m", "benchmarks", "--list"], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    for part in PARTS:
        assert part.command in run.stdout


def test_the_committed_results_begin_with_all_parts_and_lead_to_their_results() -> None:
    text = contents.FILE.read_text(encoding="utf-8")
    assert text.startswith(contents.head()), f"RESULTS.md lists other parts; run {REFRESH}"
    assert [part.name for part in PARTS if not contents.where(part).exists()] == []


def test_a_new_head_leaves_the_sections(tmp_path: Path) -> None:
    file = tmp_path / "RESULTS.md"
    contents.refresh(file)
    assert file.read_text(encoding="utf-8") == contents.head()
    file.write_text("# An old head\n\n## one\n\n1\n\n## two\n\n2\n", encoding="utf-8")
    contents.refresh(file)
    assert file.read_text(encoding="utf-8") == contents.head() + "\n## one\n\n1\n\n## two\n\n2\n"
    contents.refresh(file)
    assert file.read_text(encoding="utf-8").count("# All benchmarks") == 1


def test_a_part_that_fails_is_named_and_the_next_one_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = (Part("broken", "fails", ("no_such_module",)), Part("sound", "prints", ("this",)))
    monkeypatch.setattr(command, "PARTS", parts)
    file = tmp_path / "RESULTS.md"
    monkeypatch.setattr(sys, "argv", ["benchmarks", "--results", str(file)])
    assert command.main() == 1
    assert "broken: python -m no_such_module ended with status 1" in capsys.readouterr().err
    text = file.read_text(encoding="utf-8")
    assert "## sound: prints\n\n`python -m this`\n\nThe Zen of Python" in text
    assert "## broken" not in text
    monkeypatch.setattr(sys, "argv", ["benchmarks", "--results", str(file), "--minutes", "0"])
    assert command.main() == 1
    assert "sound: not run, the time was up" in capsys.readouterr().err


@pytest.mark.parametrize("file", sorted((ROOT / "benchmarks").rglob("*.py")), ids=lambda file: file.stem)
def test_every_module_finds_what_it_imports_of_the_project(file: Path) -> None:
    name = ".".join(file.relative_to(ROOT).with_suffix("").parts)
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if str(error.name).split(".")[0] in {"benchmarks", "vsa", "retrieval"}:
            raise
        pytest.skip(f"{error.name} is not installed")


def test_what_was_written_below_a_section_is_kept_when_its_part_runs_again(tmp_path: Path) -> None:
    file = tmp_path / "RESULTS.md"
    results.write(file, "One", "python -m one", "| 1 |")
    first = file.read_text(encoding="utf-8")
    file.write_text(first + "\nWhy it is 1.\n\n## Other\n\n2\n", encoding="utf-8")
    for _ in range(2):
        results.write(file, "One", "python -m one", "| 3 |")
    text = file.read_text(encoding="utf-8")
    assert text == first.replace("| 1 |", "| 3 |") + "\nWhy it is 1.\n\n## Other\n\n2\n"
