"""The API reference can be made, and every public name is in it."""

from __future__ import annotations

import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = ("vsa", "vsa.fields", "retrieval", "retrieval.compat", "retrieval.upgrade")


def test_every_public_name_and_method_is_in_the_reference(tmp_path: Path) -> None:
    pytest.importorskip("pdoc", reason="the extra `docs` is not installed")
    program = [sys.executable, str(ROOT / "docs" / "reference.py"), str(tmp_path)]
    made = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    assert made.stderr == ""
    missing = []
    for name in MODULES:
        module = importlib.import_module(name)
        page = (tmp_path / name.replace(".", "/")).with_suffix(".html").read_text(encoding="utf-8")
        assert "::</p>" not in page
        assert "numpy._typing" not in re.sub("<[^>]+>", "", page)
        for public in module.__all__:
            found = getattr(module, public)
            if inspect.ismodule(found):
                continue
            wanted = [public]
            if inspect.isclass(found):
                # Those too that it has from parts of it in other modules.
                bases = [base for base in found.__mro__ if base.__module__.partition(".")[0] in ("vsa", "retrieval")]
                wanted += [f"{public}.{key}" for base in bases for key in vars(base) if key[0] != "_"]
            missing += [f"{name}.{each}" for each in wanted if f'id="{each}"' not in page]
    assert missing == []
