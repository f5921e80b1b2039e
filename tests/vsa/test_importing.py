"""What `import vsa` brings along: NumPy and orjson, and nothing that takes long."""

from __future__ import annotations

import subprocess
import sys


def test_importing_vsa_leaves_slow_libraries_alone() -> None:
    heavy = "{'torch', 'scipy', 'faiss', 'matplotlib', 'numba', 'retrieval'}"
    code = f"import sys, vsa; vsa.JSONEncoder, vsa.fields.Year; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
