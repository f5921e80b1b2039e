"""From one embedding model to the next: what it is worth, and everything that the switch needs."""

from __future__ import annotations

from retrieval.upgrade.fingerprint import Fingerprint
from retrieval.upgrade.plan import Fingerprints, Upgrade

__all__ = ["Fingerprint", "Fingerprints", "Upgrade"]
