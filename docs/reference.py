"""Make the API reference from the docstrings; needs the extra `docs`.

    python docs/reference.py [FOLDER]

Pages go to docs/api where no folder is given. A warning, such as a name that cannot be found, is an error.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from pathlib import Path
from types import ModuleType

import numpy.typing
import pdoc

# `vsa` brings `vsa.fields` along, which is among its public names.
MODULES = ("vsa", "vsa.curves", "vsa.plots", "retrieval", "retrieval.metrics", "retrieval.compat", "retrieval.upgrade",
           "retrieval.plots")  # fmt: skip


def build(folder: Path) -> None:
    """Write one page a module, and an index."""
    warnings.simplefilter("error")
    # pdoc looks in the wrong module for the annotations of a named tuple.
    warnings.filterwarnings("ignore", "Error parsing type annotation ForwardRef")
    modules = [importlib.import_module(name) for name in MODULES]
    for module in modules:
        # Names that are imported on first use are not in the module before, and would be left out.
        for public in getattr(module, "__all__", ()):
            vars(module).setdefault(public, getattr(module, public))
    bring_home(modules)
    # Annotations are read when they are shown, and this one would be shown as all that NumPy takes for an array.
    numpy.typing.ArrayLike = type("ArrayLike", (), {"__module__": "numpy.typing"})  # type: ignore[misc]
    pdoc.render.configure(docformat="numpy")
    pdoc.pdoc(*MODULES, output_directory=folder)
    for page in folder.rglob("*.html"):
        # What begins a block of code in a docstring is left as it is by pdoc.
        page.write_text(page.read_text(encoding="utf-8").replace("::</p>", ":</p>"), encoding="utf-8")


def bring_home(modules: list[ModuleType]) -> None:
    """Make what a class has from bases that no page shows its own, as pdoc would leave it out."""
    public = {vars(module)[name] for module in modules for name in getattr(module, "__all__", ())}
    classes = {one for one in public if isinstance(one, type)}
    for shown in classes:
        for base in shown.__mro__[1:]:
            if base.__module__.partition(".")[0] in ("vsa", "retrieval") and base not in classes:
                for name, member in vars(base).items():
                    if not name.startswith("_") and name not in vars(shown):
                        setattr(shown, name, member)


if __name__ == "__main__":
    target = Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).with_name("api")
    build(target)
    print(target / "index.html")
