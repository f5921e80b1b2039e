"""Logistic regression on the vectors of records: mutagenesis and recipes, beside features of the same records.

    python -m benchmarks.vsa.learning

Vectors have 2,048 dimensions. Mutagenesis trains on the first 100 molecules and is tested on the last 88, recipes on
the first 2,000 and the last 500; the label and the id are taken out. Whatever is chosen (the regularisation, whether
the encoder is fitted, how it binds arrays, what arrays weigh) is chosen by the likelihood of held-out records within
the train part alone, and an encoder that is fitted is fitted on the train part. Five seeds; scikit-learn is needed
beside the package.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.feature_extraction import DictVectorizer, FeatureHasher
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, RepeatedStratifiedKFold

import vsa
from benchmarks.vsa import peers
from benchmarks.vsa.data import records

DIM = 2048
SEEDS = range(5)
FOLDS = 5
STRENGTHS = (3.0, 10.0, 30.0, 100.0)
LOOSE = vsa.Shares(bound=1, position=0, anywhere=16)


@dataclass(frozen=True)
class Task:
    """A labelled data set whose first `n_train` records train."""

    name: str
    file: str
    label: str
    n_train: int
    bar: float
    members: tuple[float, ...] = (1.0,)
    wide: bool = False

    def read(self) -> tuple[list[Any], np.ndarray]:
        """Records without label and id, and the labels."""
        found = records(self.file)
        bare = [{k: v for k, v in record.items() if k not in (self.label, "id")} for record in found]
        return bare, np.array([str(record[self.label]) for record in found])


TASKS = (
    Task("mutagenesis", "mutagenesis/mutagenesis.json", "mutagenic", 100, 0.8636, members=(1.0, 0.3, 0.1)),
    Task("recipes", "recipes/recipes.jsonl", "cuisine", 2000, 0.70, wide=True),
)


@dataclass(frozen=True)
class Outcome:
    """Mean log-likelihood in cross-validation, what reached it, and the accuracy on the test part."""

    validated: float
    tested: float
    choice: str


def learn(X: Any, y: np.ndarray, n_train: int, what: str, seed: int) -> Outcome:
    """Logistic regression, its strength chosen by the likelihood of held-out records of the train part."""
    # A hundred records tell strengths apart only when they are dealt several times.
    repeats = 3 if n_train < 1000 else 1
    folds = RepeatedStratifiedKFold(n_splits=FOLDS, n_repeats=repeats, random_state=seed)
    model = LogisticRegression(max_iter=500, tol=1e-3)
    search = GridSearchCV(model, {"C": STRENGTHS}, scoring="neg_log_loss", cv=folds).fit(X[:n_train], y[:n_train])
    tested = float((search.predict(X[n_train:]) == y[n_train:]).mean())
    return Outcome(float(search.best_score_), tested, f"{what}C {search.best_params_['C']:.3g}")


@dataclass(frozen=True)
class Form:
    """How the encoder makes the vectors."""

    fitted: bool = False
    arrays: str = "both"
    members: float = 1.0
    dim: int = DIM
    shares: vsa.Shares = field(default_factory=vsa.Shares)

    def __str__(self) -> str:
        parts = ["fitted" if self.fitted else "unfitted", f"arrays {self.arrays}"]
        parts += [f"arrays weigh {self.members:g}"] if self.members != 1.0 else []
        parts += [f"dim {self.dim}"] if self.dim != DIM else []
        return ", ".join(parts + (["words hardly bound"] if self.shares == LOOSE else []))

    def vectors(self, bare: list[Any], n_train: int, seed: int) -> np.ndarray:
        """(n, dim) rows of the encoder."""
        encoder = vsa.JSONEncoder(self.dim, seed=seed, arrays=self.arrays, shares=self.shares)
        if self.fitted:
            encoder.fit(bare[:n_train])
        nested = {key for record in bare for key, value in record.items() if isinstance(value, list)}
        return encoder.encode(bare, weights=dict.fromkeys(nested, self.members) if self.members != 1.0 else None)


def features(value: Any) -> list[str]:
    """The encoder's words and n-grams, with and without their path."""
    return [token for path, leaf in peers.leaves(value) for token in peers.tokens(path, leaf)]


def leaves(value: Any, path: str = "") -> Iterator[str]:
    """Paths with their values, arrays as bags."""
    if isinstance(value, dict):
        for key, member in value.items():
            yield from leaves(member, f"{path}.{key}")
    elif isinstance(value, list):
        for member in value:
            yield from leaves(member, f"{path}[]")
    else:
        yield f"{path}={value!r}"


def bags(bare: list[Any], names: Callable[[Any], Iterable[str]], n_train: int) -> sparse.csr_matrix:
    """Counts of the names that the train part holds: a column each."""
    counted: list[dict[str, float]] = []
    for record in bare:
        counts: dict[str, float] = {}
        for name in names(record):
            counts[name] = counts.get(name, 0.0) + 1.0
        counted.append({name: math.sqrt(count) for name, count in counts.items()})
    return _unit(DictVectorizer().fit(counted[:n_train]).transform(counted))


def hashed(bare: list[Any]) -> sparse.csr_matrix:
    """The encoder's words and n-grams, bound and unbound, hashed into 2,048 columns."""
    return _unit(FeatureHasher(DIM, input_type="string").transform(list(features(record)) for record in bare))


def _unit(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    lengths = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel())
    return sparse.csr_matrix(sparse.diags(1.0 / np.where(lengths > 0, lengths, 1.0)) @ matrix)


def row(task: Task, what: str, outcomes: list[Outcome]) -> None:
    """Print mean and range over the seeds."""
    tested = [outcome.tested for outcome in outcomes]
    validated = np.mean([outcome.validated for outcome in outcomes])
    choices = "; ".join(dict.fromkeys(outcome.choice for outcome in outcomes))
    spread = f"{np.mean(tested):.4f} [{min(tested):.4f}, {max(tested):.4f}]"
    print(f"| {task.name} | {what} | {spread} | {validated:.3f} | {choices} |", flush=True)


def best(outcomes: Iterable[Outcome]) -> Outcome:
    """What cross-validation prefers; the first of equals."""
    return max(outcomes, key=lambda outcome: outcome.validated)


def run(task: Task) -> None:
    """Print the rows of one data set."""
    bare, y = task.read()
    by_form: list[list[Outcome]] = []
    for fitted, arrays, members in itertools.product((False, True), ("both", "bag"), task.members):
        form = Form(fitted, arrays, members)
        tried = [learn(form.vectors(bare, task.n_train, s), y, task.n_train, f"{form}, ", s) for s in SEEDS]
        by_form.append(tried)
        if members == 1.0:
            row(task, f"vsa, {form}{' (the default)' if form == Form() else ''}", tried)
    chosen = [best(outcomes) for outcomes in zip(*by_form, strict=True)]
    row(task, f"**vsa, chosen by cross-validation** (bar {task.bar})", chosen)
    if task.wide:
        form = Form(True, "bag", dim=4 * DIM)
        row(task, f"vsa, {form}", [learn(form.vectors(bare, task.n_train, 0), y, task.n_train, "", 0)])
        # All words are of one field, so that binding them tells nothing and costs dims.
        form = Form(True, "bag", shares=LOOSE)
        row(task, f"vsa, {form}", [learn(form.vectors(bare, task.n_train, s), y, task.n_train, "", s) for s in SEEDS])
    for what, X in (
        ("FeatureHasher(2048), same words and n-grams", hashed(bare)),
        ("bag of leaves, a column each", bags(bare, leaves, task.n_train)),
        ("the same words and n-grams, a column each", bags(bare, features, task.n_train)),
    ):
        row(task, what, [learn(X, y, task.n_train, "", 0)])


def main() -> None:
    """Print the table."""
    print("| data | features | accuracy on the test part, mean [range] | log-likelihood in cross-validation | chosen |")
    print("|---|---|---|---|---|")
    for task in TASKS:
        run(task)


if __name__ == "__main__":
    main()
