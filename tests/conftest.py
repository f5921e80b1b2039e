from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")

# Under nohup, or in a shell's background, Ctrl-C is ignored, and so it would be by the programs that tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

_BESIDE = Path(__file__).resolve().parent.parent.parent / "shared" / "data"


@pytest.fixture(scope="session")
def data() -> Callable[[str], Path]:
    """A file of the public data sets; skips the test where they are absent."""

    def find(name: str) -> Path:
        folder = Path(os.environ.get("VSA_DATA") or _BESIDE)
        path = folder / name
        if not path.exists():
            pytest.skip(f"{name} is not in {folder}; set VSA_DATA to the folder of the public data sets")
        return path

    return find
