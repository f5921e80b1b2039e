"""From one embedding model to the next: what it is worth, and everything that the switch needs."""

from __future__ import annotations

from retrieval.upgrade.evidence import Evidence
from retrieval.upgrade.fingerprint import Fingerprint, Fingerprints
from retrieval.upgrade.plan import Upgrade
from retrieval.upgrade.report import Cost, Report, Search
from retrieval.upgrade.verdict import Decision, Verdict

__all__ = ["Cost", "Decision", "Evidence", "Fingerprint", "Fingerprints", "Report", "Search", "Upgrade", "Verdict"]
