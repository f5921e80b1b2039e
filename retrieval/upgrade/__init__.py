"""From one embedding model to the next: what it is worth, and everything that the switch needs."""

from __future__ import annotations

from retrieval.upgrade.evidence import Evidence
from retrieval.upgrade.fingerprint import Fingerprint, Fingerprints
from retrieval.upgrade.plan import Upgrade
from retrieval.upgrade.queries import Queries
from retrieval.upgrade.report import Asked, Cost, Found, Report, Search
from retrieval.upgrade.verdict import Decision, Verdict

__all__ = [
    "Asked",
    "Cost",
    "Decision",
    "Evidence",
    "Fingerprint",
    "Fingerprints",
    "Found",
    "Queries",
    "Report",
    "Search",
    "Upgrade",
    "Verdict",
]
