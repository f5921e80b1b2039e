"""Logistic regression on mutagenesis or recipes by one rule, written down before its first run.

    python -m benchmarks.vsa.fixed_rule mutagenesis

The rule, the same for every row: C from .01, .1, 1, 10 and 100, and whether columns are brought to zero mean and unit
variance, are chosen together by mean accuracy in stratified 5-fold cross-validation, dealt 5 times, on the train part
alone; the first of equals, columns as they are before scaled ones, lesser C before greater. The model is then fitted
on the whole train part and scored once on the test part. Seeds 0 to 4 draw the vectors, where there are any, and
deal the folds. The encoder is the default one, unfitted. Tasks, features and peers are those of
`benchmarks.vsa.learning`.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, RepeatedStratifiedKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

import vsa
from benchmarks.vsa.learning import DIM, SEEDS, TASKS, bags, features, hashed, leaves

STRENGTHS = (0.01, 0.1, 1.0, 10.0, 100.0)


def learn(X: Any, y: np.ndarray, n_train: int, seed: int) -> tuple[float, str]:
    """Accuracy on the test part, and what was chosen."""
    X = np.asarray(X.toarray() if sparse.issparse(X) else X, np.float64)
    model = Pipeline([("columns", "passthrough"), ("model", LogisticRegression(max_iter=2000))])
    grid = {"columns": ["passthrough", StandardScaler()], "model__C": STRENGTHS}
    folds = RepeatedStratifiedKFold(n_splits=5, n_repeats=5, random_state=seed)
    search = GridSearchCV(model, grid, scoring="accuracy", cv=folds).fit(X[:n_train], y[:n_train])
    scaled = search.best_params_["columns"] != "passthrough"
    choice = f"{'scaled' if scaled else 'as they are'}, C {search.best_params_['model__C']:g}"
    return float(search.score(X[n_train:], y[n_train:])), choice


def main() -> None:
    """Print the table."""
    names = [task.name for task in TASKS]
    if len(sys.argv) != 2 or sys.argv[1] not in names:
        sys.exit(f"usage: python -m benchmarks.vsa.fixed_rule {'|'.join(names)}")
    task = TASKS[names.index(sys.argv[1])]
    bare, y = task.read()
    rows: dict[str, Any] = {
        "vsa, the default": lambda seed: vsa.JSONEncoder(DIM, seed=seed).encode(bare),
        "FeatureHasher(2048), same words and n-grams": lambda seed: hashed(bare),
        "bag of leaves, a column each": lambda seed: bags(bare, leaves, task.n_train),
        "the same words and n-grams, a column each": lambda seed: bags(bare, features, task.n_train),
    }
    print("| data | features | accuracy on the test part, mean [range] | chosen |\n|---|---|---|---|")
    for name, made in rows.items():
        found = [learn(made(seed), y, task.n_train, seed) for seed in SEEDS]
        tested = [accuracy for accuracy, _ in found]
        choices = "; ".join(dict.fromkeys(choice for _, choice in found))
        spread = f"{np.mean(tested):.4f} [{min(tested):.4f}, {max(tested):.4f}]"
        print(f"| {task.name} | {name} | {spread} | {choices} |", flush=True)


if __name__ == "__main__":
    main()
