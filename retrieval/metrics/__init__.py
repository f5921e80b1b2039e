"""How good a ranking is: recall@k, CMC@k, mAP, AC, backfill curves, and intervals for them.

Scores are inner products, larger is nearer; on unit rows that is the cosine. Ties are broken by
insertion order: of two gallery rows with one score, the earlier comes first. Nothing here holds a
query-by-gallery matrix; scores live one block of queries at a time.
"""

from __future__ import annotations

from retrieval.metrics.bootstrap import Interval, paired_bootstrap
from retrieval.metrics.ranking import ClassRanking, cmc_at_k, mean_average_precision, rank_by_class
from retrieval.metrics.recall import recall_at_k
from retrieval.metrics.series import area_under_backfill_curve, backfill_curve, compatibility_rate

__all__ = [
    "ClassRanking",
    "Interval",
    "area_under_backfill_curve",
    "backfill_curve",
    "cmc_at_k",
    "compatibility_rate",
    "mean_average_precision",
    "paired_bootstrap",
    "rank_by_class",
    "recall_at_k",
]
