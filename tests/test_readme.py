"""What the README shows is what happens."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def test_the_example_runs_and_prints_what_the_readme_says(tmp_path):
    program, output = re.search(r"```python\n(.*?)```\n\n```text\n(.*?)```", README, re.DOTALL).groups()
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert run.stderr == ""
    assert run.stdout == output


def test_every_command_that_the_readme_names_exists():
    usage = subprocess.run(
        [sys.executable, "-m", "retrieval.cli", "--help"], capture_output=True, text=True, check=True
    )
    named = set(re.findall(r"retrieval ([a-z]+) ", README)) | {"info", "explain", "delete", "export", "import"}
    for command in named - {"may", "keeps"}:
        assert re.search(rf"^    {command}\b", usage.stdout, re.MULTILINE), command
