"""The parts of the benchmarks: what each shows, how it is called, and whether it is for a short run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """One program of the benchmarks.

    Attributes
    ----------
    name : str
        What ``--only`` calls it by.
    about : str
        What it measures.
    words : tuple of str
        Module and arguments, after ``python -m``.
    long : bool
        Left out of a run of all parts: it takes most of the half hour, or more, by itself.
    """

    name: str
    about: str
    words: tuple[str, ...]
    long: bool = False

    @property
    def command(self) -> str:
        """The line that runs this part by itself."""
        return " ".join(("python -m", *self.words))


# Short runs take fewer seeds or vectors; their arguments say so, and the long parts beside them have the full size.
PARTS = (
    Part("decode", "values read back from vectors, against theory", ("benchmarks.vsa.decode",)),
    Part("drowning", "what a constant field and a unique id cost", ("benchmarks.vsa.drowning",)),
    Part("error-bars", "how often the error bar of a number holds it", ("benchmarks.vsa.error_bars",), long=True),
    Part("exactness", "isometry: self-scores, round trip, time", ("benchmarks.compat.exactness", "1")),
    Part("calibration", "mixed galleries: each version's share of hits", ("benchmarks.compat.calibration", "1")),
    Part("mapping", "100,000 vectors mapped, against encoding again", ("benchmarks.compat.speed", "100000")),
    Part("exact", "exact search, against FAISS and NumPy", ("benchmarks.gallery", "exact", "--quick")),
    Part("indexed", "search through an index, against its peers", ("benchmarks.gallery", "indexed", "--quick")),
    Part("filters", "filtered search, against brute force", ("benchmarks.gallery", "filters", "--quick")),
    Part("embedded", "embedded stores: add, search, delete", ("benchmarks.gallery", "embedded", "--quick")),
    Part("writes", "writing beside embedded stores and the disk", ("benchmarks.gallery", "writes", "--quick")),
    Part("writing", "commits, threads and processes that write", ("benchmarks.gallery.writing", "--quick")),
    Part("rate", "JSON bytes to vectors, against its peers", ("benchmarks.vsa.rate",)),
    Part("growth", "time and memory from 1,000 to 69,202 records", ("benchmarks.vsa.growth",), long=True),
    Part("learning", "classifiers on vectors of records", ("benchmarks.vsa.learning",)),
    Part("backfill", "orders to backfill in", ("benchmarks.upgrade.backfill", "1")),
    Part("expected", "the cosine that a gallery expects, and the true one", ("benchmarks.upgrade.expected",)),
    Part("fixed-rule", "classifiers by a rule fixed beforehand", ("benchmarks.vsa.fixed_rule",), long=True),
    Part("ceiling", "what the recipes allow other classifiers", ("benchmarks.vsa.ceiling",), long=True),
    Part("tate", "artworks from one model to the next", ("benchmarks.upgrade.tate",), long=True),
    Part("quality", "recall@10 of linking and of partial records", ("benchmarks.vsa.quality",), long=True),
    Part("text-models", "MiniLM at chosen fields", ("benchmarks.vsa.text_models",), long=True),
    Part("real-pair", "maps from LSA and MBAT to MiniLM", ("benchmarks.compat.real_pair",), long=True),
    Part("ranking", "CMC and mAP of 100,000 × 100,000", ("benchmarks.compat.ranking",), long=True),
    Part("search", "settings of BCT and BT² by validation", ("benchmarks.compat.search", "omniglot"), long=True),
    Part("trained-nets", "trained maps on CLINC150", ("benchmarks.compat.trained_nets",), long=True),
    Part("omniglot", "trained maps on Omniglot", ("benchmarks.compat.omniglot",), long=True),
    Part("verdicts", "verdicts of reports, against the truth", ("benchmarks.upgrade.verdicts",), long=True),
    Part("by-lot", "verdicts on four hundred upgrades drawn by lot", ("benchmarks.upgrade.eighth",), long=True),
    Part("switched", "a million vectors switched to another model", ("benchmarks.upgrade.million",), long=True),
    Part("gallery", "all of the gallery's parts at full size", ("benchmarks.gallery",), long=True),
    Part("safety", "300 kills, readers, altered bytes", ("benchmarks.gallery", "safety"), long=True),
    Part("gpu", "the gallery on a GPU, against the CPU and FAISS", ("benchmarks.gallery", "gpu"), long=True),
    Part("gpu-vectors", "JSON to vectors with a GPU", ("benchmarks.vsa.device",), long=True),
    Part("gpu-maps", "maps between models on a GPU", ("benchmarks.compat.device",), long=True),
    Part("million", "a gallery that grows to a million vectors", ("benchmarks.gallery", "million"), long=True),
)
