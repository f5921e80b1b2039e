from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")

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
