"""Run the notebooks and keep their outputs.

    python notebooks/executing.py [NAME ...]

Each runs in an empty folder of its own and must write nothing to standard error, so that a warning is a failure.
`VSA_DATA`, or `../shared/data` beside the project's root, says where the public data sets are. What depends on the
moment of running, such as execution times in metadata, is taken out before the file is written again.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parent
CELL_SECONDS = 240


def notebooks() -> list[Path]:
    """The notebooks in the order of their numbers."""
    return sorted(FOLDER.glob("[0-9]*.ipynb"))


def data_folder() -> Path | None:
    """Where the public data sets are, if they are anywhere."""
    folder = Path(os.environ.get("VSA_DATA") or ROOT.parent / "shared" / "data")
    return folder.resolve() if folder.is_dir() else None


def executed(path: Path, cwd: Path, data: Path | None) -> nbformat.NotebookNode:
    """The notebook with the outputs of a run in `cwd`; without `data` it makes or finds its own.

    Raises
    ------
    nbclient.exceptions.CellExecutionError
        If a cell fails.
    RuntimeError
        If a cell writes to standard error.
    """
    notebook = nbformat.read(path, as_version=4)
    environment = {
        # Arrays are small: more threads would only fight over busy cores.
        "OMP_NUM_THREADS": "1",
        **os.environ,
        "VSA_DATA": str(data or cwd / "no-data"),
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep),
    }
    client = NotebookClient(
        notebook, timeout=CELL_SECONDS, kernel_name="python3", resources={"metadata": {"path": str(cwd)}}
    )
    client.execute(env=environment)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if output.output_type == "stream" and output.name == "stderr":
                raise RuntimeError(f"{path.name}: a cell wrote to standard error:\n{output.text}\n{cell.source}")
    return plain(notebook)


def plain(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The same without what tells of the run rather than of the notebook."""
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:02d}"
        cell.metadata = nbformat.from_dict({})
    return notebook


def main() -> None:
    """Run those named, or all, in place."""
    for path in notebooks():
        if sys.argv[1:] and path.stem not in sys.argv[1:]:
            continue
        with tempfile.TemporaryDirectory() as folder:
            nbformat.write(executed(path, Path(folder), data_folder()), path)
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
