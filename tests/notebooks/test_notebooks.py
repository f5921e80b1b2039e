"""The notebooks run, with the public data and without, and what is committed of them is fit to be read."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat", reason="the extra `notebooks` is not installed")
pytest.importorskip("nbclient", reason="the extra `notebooks` is not installed")
pytest.importorskip("ipykernel", reason="the extra `notebooks` is not installed")

sys.path.insert(0, str(Path(__file__).parents[2] / "notebooks"))
from executing import data_folder, executed, notebooks  # noqa: E402

PATHS = notebooks()
NAMES = [path.stem for path in PATHS]
LARGEST = 500_000
# Those whose two ways differ most run both ways by default, the others where they are asked for: -m notebooks.
BOTH_WAYS = {"01_encode", "04_upgrade"}

each = pytest.mark.parametrize("path", PATHS, ids=NAMES)
# The clients of kernels warn about their own event loops; that the notebooks warn of nothing is checked in them.
runs = pytest.mark.filterwarnings("default")


@runs
@pytest.mark.notebooks
@each
def test_notebooks_run_with_the_data_that_is_there(path: Path, tmp_path: Path) -> None:
    executed(path, tmp_path, data_folder())


@runs
@pytest.mark.notebooks
@each
def test_notebooks_run_on_data_that_they_make(path: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    if data_folder() is None:
        pytest.skip("there is no public data here, and the other test ran it so")
    if path.stem not in BOTH_WAYS and "notebooks" not in request.config.getoption("-m"):
        pytest.skip("runs with -m notebooks")
    executed(path, tmp_path, None)


@runs
def test_a_failing_cell_and_a_warning_are_noticed(tmp_path: Path) -> None:
    from nbclient.exceptions import CellExecutionError

    for source, error in (("assert 1 == 2", CellExecutionError), ("import warnings; warnings.warn('x')", RuntimeError)):
        path = tmp_path / "made.ipynb"
        nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)]), path)
        with pytest.raises(error):
            executed(path, tmp_path, None)


def code(path: Path) -> list[str]:
    return [cell.source for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]


@each
def test_notebooks_end_in_assertions(path: Path) -> None:
    assert any(isinstance(step, ast.Assert) for step in ast.walk(ast.parse(code(path)[-1])))


@each
def test_notebooks_use_public_names_alone(path: Path) -> None:
    tree = ast.parse("\n".join(code(path)))
    used = [node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            used += [*str(node.module).split("."), *(name.name for name in node.names)]
    assert [name for name in used if name.startswith("_")] == []


@each
def test_committed_outputs_are_there_and_tell_nothing_of_the_machine(path: Path) -> None:
    assert path.stat().st_size < LARGEST
    notebook = nbformat.read(path, 4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    kinds = {output.output_type for cell in cells for output in cell.outputs}
    assert "display_data" in kinds, "no picture"
    assert "error" not in kinds
    assert all(not cell.metadata for cell in notebook.cells)
    texts = [str(output.get("text", "")) for cell in cells for output in cell.outputs]
    texts += [
        str(value)
        for cell in cells
        for output in cell.outputs
        for kind, value in output.get("data", {}).items()
        if kind != "image/png"
    ]
    assert re.findall(r"(?<![\w.:/])/(?:tmp|home|work|root|usr|Users)/\S*", " ".join(texts)) == []
