"""The public data sets, from VSA_DATA or ../shared/data beside the project's root."""

from __future__ import annotations

import json
import os
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.sparse.linalg import svds

from benchmarks.compat.png import decode_grey

Array = npt.NDArray[np.float32]
Codes = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Clinc:
    """CLINC150: utterances, their intents as 0 ... 149, and their MiniLM vectors."""

    train_texts: list[str]
    val_texts: list[str]
    test_texts: list[str]
    train_classes: Codes
    val_classes: Codes
    test_classes: Codes
    train_minilm: Array
    test_minilm: Array


def folder() -> Path:
    """Return where the data sets are; ends the program where they are not."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    path = Path(os.environ.get("VSA_DATA", beside))
    if not path.is_dir():
        raise SystemExit(f"no data: set VSA_DATA to the folder of the data sets ({path} is none)")
    return path


def clinc() -> Clinc:
    """Read CLINC150."""
    base = folder() / "clinc150"
    raw = json.loads((base / "data_full.json").read_text(encoding="utf-8"))
    names = sorted({intent for _, intent in raw["train"]})
    code = {name: i for i, name in enumerate(names)}
    vectors = [np.load(base / f"minilm-l6-{part}.npy").astype(np.float32) for part in ("train", "test")]
    parts = ("train", "val", "test")
    texts = ([text for text, _ in raw[part]] for part in parts)
    classes = (np.array([code[intent] for _, intent in raw[part]]) for part in parts)
    return Clinc(*texts, *classes, *vectors)


def lsa(train: list[str], test: list[str], dim: int, seed: int) -> tuple[Array, Array]:
    """Latent semantic analysis: TF-IDF over words, cut to `dim` singular directions of the train texts.

    Rows are of unit length, but for texts without any known word, which are zero.
    """
    words = {word: i for i, word in enumerate(sorted({w for text in train for w in _words(text)}))}
    counts = [_counts(texts, words) for texts in (train, test)]
    document_frequency = (counts[0] > 0).sum(axis=0)
    idf = np.log((1 + len(train)) / (1 + document_frequency)) + 1
    weighted = [_unit_sparse(c * idf[None, :]) for c in counts]
    start = np.random.default_rng(seed).standard_normal(min(weighted[0].shape))
    _, _, directions = svds(weighted[0], k=dim, v0=start)
    reduced = []
    for part in weighted:
        rows = part @ directions.T
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        reduced.append((rows / np.where(lengths > 1e-9, lengths, np.inf)).astype(np.float32))
    return reduced[0], reduced[1]


def _words(text: str) -> list[str]:
    """Words of two letters or more, in lower case."""
    return re.findall(r"\b\w\w+\b", text.lower())


def _counts(texts: list[str], words: dict[str, int]) -> csr_array:
    rows, columns = [], []
    for row, text in enumerate(texts):
        for word in _words(text):
            if word in words:
                rows.append(row)
                columns.append(words[word])
    ones = np.ones(len(rows))
    return csr_array((ones, (rows, columns)), shape=(len(texts), len(words)))


def _unit_sparse(matrix: csr_array) -> csr_array:
    lengths = np.sqrt(matrix.multiply(matrix).sum(axis=1))
    return csr_array(matrix.multiply(1 / np.where(lengths > 0, lengths, 1)[:, None]))


def omniglot(part: str) -> tuple[Array, Codes]:
    """Read the characters of a part ("small1", "small2"): (n, 1, 21, 21) ink, and which character.

    105 × 105 bits are averaged over 5 × 5.
    """
    images, names = [], []
    with zipfile.ZipFile(folder() / "omniglot" / f"images_background_{part}.zip") as archive:
        for name in sorted(n for n in archive.namelist() if n.endswith(".png")):
            ink = 1.0 - decode_grey(archive.read(name))
            images.append(ink.reshape(21, 5, 21, 5).mean(axis=(1, 3)))
            names.append(str(Path(name).parent))
    _, codes = np.unique(names, return_inverse=True)
    return np.array(images, dtype=np.float32)[:, None], codes.astype(np.int64)
